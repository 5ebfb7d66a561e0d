-- What was measured: request log by day, anomalies, health, baselines. Guarded by grants, not by row-level
-- security, because COPY FROM is refused on tables that have it.

select set_config('role', role_name('owner'), true);

create table observability_logs (
  id uuid not null,
  created_at timestamptz not null,
  service text not null default 'app',
  route_path text not null,
  method text not null,
  status_code integer not null,
  latency_ms double precision not null,
  outcome text not null default 'answered',
  error_message text,
  error_stack text,
  trace_id text,
  user_id text,
  workspace_id text,
  primary key (id, created_at)
) partition by range (created_at);
comment on table observability_logs is 'One row per exchange; a partition per UTC day, so that retention is a drop.';
create index observability_logs_time on observability_logs (service, created_at);
create index observability_logs_trace on observability_logs (trace_id) where trace_id is not null;
create table observability_logs_default partition of observability_logs default;

create function ensure_log_partitions(first date, ahead integer) returns setof text
  language plpgsql security definer set search_path from current
  as $$
declare
  day date;
  part text;
begin
  if ahead not between 0 and 31 then
    raise exception 'ahead is 0 to 31 days' using errcode = '22023';
  end if;
  for day in select first + n from generate_series(0, ahead) n loop
    part := 'observability_logs_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass(format('%I.%I', current_schema(), part)) is not null;
    -- one at a time: two sidecars reach midnight together
    perform pg_advisory_xact_lock(hashtext('selfheal.partitions'));
    continue when to_regclass(format('%I.%I', current_schema(), part)) is not null;
    execute format('create table %I (like observability_logs including defaults including constraints)', part);
    -- rows that came before their partition wait in the default one and move over
    execute format(
      'with moved as (delete from observability_logs_default where created_at >= %1$L and created_at < %2$L returning *)
       insert into %3$I select * from moved',
      day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC', part);
    execute format('alter table observability_logs attach partition %I for values from (%L) to (%L)',
      part, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    return next part;
  end loop;
end $$;
comment on function ensure_log_partitions is 'Makes the partitions of first and of ahead days after it; answers the names of new ones.';

create function drop_log_partitions(before date) returns setof text
  language plpgsql security definer set search_path from current
  as $$
declare
  part text;
begin
  perform pg_advisory_xact_lock(hashtext('selfheal.partitions'));
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'observability_logs'::regclass and c.relname ~ '^observability_logs_\d{8}$'
      and to_date(right(c.relname, 8), 'YYYYMMDD') < before
    order by 1
  loop
    execute format('drop table %I', part);
    return next part;
  end loop;
  delete from observability_logs_default where created_at < before::timestamp at time zone 'UTC';
end $$;
comment on function drop_log_partitions is 'Retention: drops every day before the given one.';

create table observability_anomalies (
  id uuid primary key default gen_random_uuid(),
  detected_at timestamptz not null default now(),
  service text not null default 'app',
  route text not null,
  method text not null default 'GET',
  type text not null check (type in ('latency_spike', 'error_rate_spike', 'unusual_pattern', 'cascade_failure')),
  severity text not null check (severity in ('low', 'medium', 'high', 'critical')),
  description text not null default '',
  metrics jsonb not null default '{}',
  onset timestamptz not null,
  baseline double precision,
  observed double precision,
  ratio double precision,
  sigma double precision,
  samples integer,
  occurrences bigint not null default 1,
  resolved boolean not null default false,
  resolved_at timestamptz,
  resolved_by uuid,
  created_at timestamptz not null default now(),
  unique (service, route, method, type, onset)
);
create index observability_anomalies_open on observability_anomalies (service, detected_at desc) where not resolved;

create table observability_health_snapshots (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now(),
  service text not null default 'app',
  overall_score integer check (overall_score between 0 and 100),
  latency_score integer check (latency_score between 0 and 100),
  error_rate_score integer check (error_rate_score between 0 and 100),
  availability_score integer check (availability_score between 0 and 100),
  metrics jsonb not null default '{}'
);
create index observability_health_snapshots_time on observability_health_snapshots (service, created_at desc);

create table observability_route_baselines (
  id uuid primary key default gen_random_uuid(),
  service text not null default 'app',
  route_path text not null,
  method text not null,
  p50_latency_ms double precision,
  p95_latency_ms double precision,
  p99_latency_ms double precision,
  error_rate double precision not null default 0,
  sample_count bigint not null default 0,
  counts jsonb not null default '{}',
  updated_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  unique (service, route_path, method)
);
comment on column observability_route_baselines.counts is 'What adds up: bucket counts, from which the quantiles follow.';

create function notify_event(kind text, subject text, change text, severity text) returns void
  language sql
  as $$ select pg_notify('selfheal_events', json_build_object(
          'kind', kind, 'subject', left(subject, 200), 'change', change, 'severity', severity)::text) $$;
comment on function notify_event is 'Ids only, far below 8000 bytes; readers fetch, and poll as well.';

create function notify_anomaly() returns trigger
  language plpgsql set search_path from current
  as $$
begin
  if tg_op = 'INSERT' then
    perform notify_event('anomaly', new.id::text, 'opened', new.severity);
  elsif new.resolved is distinct from old.resolved or new.severity is distinct from old.severity then
    perform notify_event('anomaly', new.id::text, case when new.resolved then 'resolved' else 'changed' end, new.severity);
  end if;
  return null;
end $$;
create trigger wake after insert or update on observability_anomalies for each row execute function notify_anomaly();

select as_roles($sql$
  revoke execute on function ensure_log_partitions(date, integer), drop_log_partitions(date) from public;
  grant execute on function ensure_log_partitions(date, integer), drop_log_partitions(date) to sh_proxy;
  grant select, insert on observability_logs, observability_health_snapshots to sh_proxy;
  grant delete on observability_health_snapshots to sh_proxy;
  grant select, insert, update on observability_anomalies, observability_route_baselines to sh_proxy;
  grant select on observability_logs, observability_anomalies, observability_health_snapshots,
                  observability_route_baselines to sh_admin, sh_founder;
  grant select on observability_anomalies, observability_health_snapshots, observability_route_baselines
                  to sh_agent, sh_viewer;
  grant select (id, created_at, service, route_path, method, status_code, latency_ms, outcome, trace_id)
    on observability_logs to sh_agent, sh_viewer;
$sql$);

insert into schema_migrations (name) values ('315_observability');
