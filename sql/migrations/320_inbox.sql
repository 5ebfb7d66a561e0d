-- Rows that other programs write are read as input, each exactly once. Into our own tables a trigger notes them; the
-- tables of others are only read, and what was read of them is remembered by its key.

select set_config('role', role_name('owner'), true);

-- by hand, or by a program that knows the columns of the older tables and no others
alter table observability_logs
  alter column id set default gen_random_uuid(),
  alter column created_at set default now(),
  alter column method set default 'GET',
  alter column latency_ms set default 0;
alter table observability_anomalies alter column onset set default now();

create table adopted_inbox (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('log', 'anomaly')),
  row_id uuid not null,
  row_at timestamptz not null,
  queued_at timestamptz not null default now()
);
comment on table adopted_inbox is 'Keys of rows that others wrote into our tables; taken away together with the counting of their job.';

create table adopted_seen (
  source text not null,
  row_key text not null,
  seen_at timestamptz not null default now(),
  primary key (source, row_key)
);
comment on table adopted_seen is 'Rows of other programs'' own tables that were read: the watermark. Forgotten when the row itself is gone.';

create function note_foreign_row() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  insert into adopted_inbox (kind, row_id, row_at)
  values (tg_argv[0], new.id, case tg_argv[0] when 'log' then (to_jsonb(new) ->> 'created_at')::timestamptz
                                              else (to_jsonb(new) ->> 'detected_at')::timestamptz end);
  return null;
end $$;
comment on function note_foreign_row is 'As its owner: who may write a row needs no right on the inbox.';
revoke execute on function note_foreign_row from public;

-- The sidecar's own rows pass by the condition alone, so COPY keeps its speed.
select as_roles($sql$
  create trigger note_foreign after insert on observability_logs for each row
    when (session_user <> 'sh_login_proxy'
          and (new.status_code >= 400 or new.error_message <> '' or new.error_stack <> ''))
    execute function note_foreign_row('log');
  create trigger note_foreign after insert on observability_anomalies for each row
    when (session_user <> 'sh_login_proxy' and not new.resolved)
    execute function note_foreign_row('anomaly');
$sql$);

create function adopted_tables(out kind text, out source text) returns setof record
  language sql stable set search_path from current
  as $$
  select case c.relname when 'observability_logs' then 'log' else 'anomaly' end, format('%I.%I', n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relname in ('observability_logs', 'observability_anomalies')
    and c.relkind in ('r', 'p', 'v', 'f') and not c.relispartition
    and n.nspname <> current_schema() and n.nspname !~ '^pg_'
    and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'id' and not a.attisdropped)
  order by 2
$$;
comment on function adopted_tables is 'Tables of these names in other schemas that the acting role may read: a GRANT SELECT is the consent.';

create function adopted_columns(p_source regclass) returns text
  language sql stable set search_path from current
  as $$
  -- cut where it is read: one row of another program must not fill the memory of this one
  select string_agg(format('%L, left(t.%I::text, 65536)', a.attname, a.attname), ', ')
  from pg_attribute a
  where a.attrelid = p_source and a.attnum > 0 and not a.attisdropped
    and a.attname in ('id', 'created_at', 'detected_at', 'service', 'route_path', 'route', 'method', 'status_code',
      'latency_ms', 'error_message', 'error_stack', 'trace_id', 'user_id', 'type', 'severity', 'description',
      'metrics', 'baseline', 'observed')
$$;

create function adopted_condition(p_kind text, p_source regclass) returns text
  language sql stable set search_path from current
  as $$
  -- only columns that are there, and only where their type fits: an older release had fewer
  select coalesce(string_agg(c.said, ' or '), 'false') from (
    select case
      when p_kind = 'log' and a.attname = 'status_code' and t.typcategory = 'N' then 't.status_code >= 400'
      when p_kind = 'log' and a.attname in ('error_message', 'error_stack') then format('t.%I::text <> ''''', a.attname)
      when p_kind = 'anomaly' and a.attname = 'resolved' and t.typcategory = 'B' then 't.resolved is not true'
    end as said
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = p_source and a.attnum > 0 and not a.attisdropped
    union all
    select 'true' where p_kind = 'anomaly' and not exists (
      select from pg_attribute a where a.attrelid = p_source and a.attname = 'resolved' and not a.attisdropped)
  ) c where c.said is not null
$$;

create function adopted_time(p_source regclass) returns text
  language sql stable set search_path from current
  as $$
  select a.attname::text from pg_attribute a join pg_type t on t.oid = a.atttypid
  where a.attrelid = p_source and a.attname in ('created_at', 'detected_at') and t.typcategory = 'D' and not a.attisdropped
  order by a.attname limit 1
$$;

create function adopted_rows(p_kind text, p_source text, p_since timestamptz, p_most integer,
    out key text, out content jsonb) returns setof record
  language plpgsql stable set search_path from current
  as $$
declare
  source regclass := to_regclass(p_source);
  at text := adopted_time(source);
begin
  if source is null then
    return;
  end if;
  return query execute format(
    'select t.id::text, jsonb_build_object(%s) from %s t
     where (%s) and %s and t.id is not null
       and not exists (select from adopted_seen s where s.source = $1 and s.row_key = t.id::text)
     order by %s limit $3',
    adopted_columns(source), source, adopted_condition(p_kind, source),
    case when at is null or p_since is null then 'true' else format('(t.%1$I > $2 or t.%1$I is null)', at) end,
    case when at is null then '1' else format('t.%I', at) end)
    using p_source, p_since, p_most;
end $$;
comment on function adopted_rows is 'Failing rows of a table of others that were not read yet, oldest first; p_since null reads all of it.';

create function forget_adopted(p_source text) returns bigint
  language plpgsql set search_path from current
  as $$
declare
  gone bigint;
begin
  if to_regclass(p_source) is null then
    delete from adopted_seen where source = p_source;
  else
    execute format('delete from adopted_seen s where s.source = $1 and not exists (select from %s t where t.id::text = s.row_key)',
      to_regclass(p_source)) using p_source;
  end if;
  get diagnostics gone = row_count;
  return gone;
end $$;
comment on function forget_adopted is 'Keys whose rows their owner has deleted.';

alter table adopted_inbox enable row level security;
alter table adopted_inbox force row level security;
alter table adopted_seen enable row level security;
alter table adopted_seen force row level security;

select as_roles($sql$
  create policy owner_all on adopted_inbox to sh_owner using (true) with check (true);
  create policy owner_all on adopted_seen to sh_owner using (true) with check (true);
  create policy sidecar on adopted_inbox to sh_proxy using ((select may_act())) with check ((select may_act()));
  create policy sidecar on adopted_seen to sh_proxy using ((select may_act())) with check ((select may_act()));
  revoke execute on function adopted_tables(), adopted_columns(regclass), adopted_condition(text, regclass),
    adopted_time(regclass), adopted_rows(text, text, timestamptz, integer), forget_adopted(text) from public;
  grant execute on function adopted_tables(), adopted_columns(regclass), adopted_condition(text, regclass),
    adopted_time(regclass), adopted_rows(text, text, timestamptz, integer), forget_adopted(text) to sh_proxy;
  grant select, delete on adopted_inbox to sh_proxy;
  grant select, insert, delete on adopted_seen to sh_proxy;
$sql$);

insert into schema_migrations (name) values ('320_inbox');
