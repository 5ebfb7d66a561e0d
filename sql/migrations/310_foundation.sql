-- Roles, the mechanism that names them, members, and the audit chain everything else writes to.
--
-- Plain SQL: selfheal migrate runs it, and so does psql (docs/database.md). Names are unqualified, under
--   search_path = <schema>, pg_catalog, pg_temp
-- Roles live in the whole cluster, not in a database. A second installation on one server therefore sets
--   select set_config('selfheal.prefix', 'x7f_', false);
-- before this file runs; statements that name roles go through as_roles(), which puts the prefix in front.

do $$
declare
  prefix text := coalesce(nullif(current_setting('selfheal.prefix', true), ''), '');
  name text;
begin
  if prefix !~ '^([a-z][a-z0-9]{0,15}_)?$' then
    raise exception 'selfheal.prefix must look like x7f_ : %', prefix using errcode = '22023';
  end if;
  foreach name in array array['owner', 'proxy', 'agent', 'viewer', 'admin', 'founder'] loop
    if not exists (select from pg_roles where rolname = prefix || 'sh_' || name) then
      execute format('create role %I nologin noinherit', prefix || 'sh_' || name);
    end if;
  end loop;
  if not exists (select from pg_roles where rolname = prefix || 'sh_login_proxy') then
    execute format('create role %I login noinherit', prefix || 'sh_login_proxy');
  end if;
  execute format('grant %I to current_user', prefix || 'sh_owner');
  -- the login may act as the sidecar and as a mere reader, as nobody else
  execute format('grant %I, %I to %I', prefix || 'sh_proxy', prefix || 'sh_viewer', prefix || 'sh_login_proxy');
  execute format('comment on role %I is %L', prefix || 'sh_owner',
    format('Self-Heal in database %s, schema %s', current_database(), current_schema()));
  -- before the owner changes: afterwards this session may no longer grant it
  execute format('grant usage on schema %I to public', current_schema());
  execute format('alter schema %I owner to %I', current_schema(), prefix || 'sh_owner');
  perform set_config('role', prefix || 'sh_owner', true);
end $$;

create table schema_migrations (
  name text primary key,
  checksum text,
  applied_at timestamptz not null default now()
);
comment on column schema_migrations.checksum is 'SHA-256 of the file; null when psql ran it, filled in by the next migrate.';

create table installation (
  one boolean primary key default true check (one),
  prefix text not null,
  created_at timestamptz not null default now()
);
comment on table installation is 'One row: the prefix in front of this installation''s role names.';
insert into installation (prefix) values (coalesce(nullif(current_setting('selfheal.prefix', true), ''), ''));

create function role_name(short text) returns text
  language sql stable security definer set search_path from current
  as $$ select prefix || 'sh_' || short from installation $$;
comment on function role_name is 'proxy → the name of that group role in this cluster.';

create function as_roles(statements text) returns void
  language plpgsql set search_path from current
  as $$
begin
  execute regexp_replace(
    statements,
    '\msh_(owner|proxy|agent|viewer|admin|founder|login_proxy)\M',
    (select prefix from installation) || 'sh_\1',
    'g');
end $$;
comment on function as_roles is 'Runs statements after putting this installation''s prefix before every role they name.';
revoke execute on function as_roles from public;

-- --- who acts -----------------------------------------------------------------------------------------------

create function claim(key text) returns text
  language sql stable
  as $$ select left(nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> key, 200) $$;
comment on function claim is 'Context a session gave about itself. Never a right: the login and its role decide.';

create type user_role as enum ('FOUNDER', 'STAFF', 'CLIENT', 'ADMIN', 'AGENT', 'VIEWER');

create table profiles (
  id uuid primary key default gen_random_uuid(),
  name text not null unique check (name ~ '^[a-z][a-z0-9_]{0,31}$'),
  role user_role not null,
  created_at timestamptz not null default now()
);
comment on table profiles is 'Members. The login authenticates, role authorises; without the row the login may do nothing.';

create function acting_role() returns text
  language sql stable security definer set search_path from current
  as $$
  select case
    when current_setting('role') like replace(prefix, '_', '\_') || 'sh\_%'
      then substr(current_setting('role'), length(prefix) + 4)
    when current_setting('role') = 'none' and session_user like replace(prefix, '_', '\_') || 'sh\_%'
      then 'none'
    else 'installer'
  end
  from installation
$$;
comment on function acting_role is 'proxy, agent, viewer, admin, founder, owner; none; installer for everybody else.';

create function acting_name() returns text
  language sql stable security definer set search_path from current
  as $$
  select case
    when session_user like replace(prefix, '_', '\_') || 'sh\_m\_%' then substr(session_user, length(prefix) + 6)
    -- the sidecar's own word for which part of it acts (policy, healer, a member who attached a patch)
    when session_user = prefix || 'sh_login_proxy' then coalesce(claim('name'), 'sidecar')
    else session_user::text
  end
  from installation
$$;
comment on function acting_name is 'A member''s name comes from the login, never from a claim.';

create function may_act() returns boolean
  language sql stable security definer set search_path from current
  as $$
  select case
    when session_user = prefix || 'sh_login_proxy' then acting_role() in ('proxy', 'viewer')
    when session_user like replace(prefix, '_', '\_') || 'sh\_m\_%' then exists (
      select from profiles p where p.name = acting_name() and lower(p.role::text) = acting_role())
    else false
  end
  from installation
$$;
comment on function may_act is 'Whether login, acting role and profile agree. Removing the profile removes the right at once.';

create function whoami(out name text, out role text)
  language sql stable security definer set search_path from current
  as $$ select p.name, lower(p.role::text) from profiles p where p.name = acting_name() and session_user = role_name('m_' || p.name) $$;
comment on function whoami is 'The logged-in member and the role its profile gives; no row for anybody else.';

create function create_member_login(member text, verifier text) returns void
  language plpgsql set search_path from current
  as $$
declare
  login text := role_name('m_' || member);
begin
  if exists (select from pg_roles where rolname = login) then
    execute format('alter role %I with login noinherit password %L', login, verifier);
  else
    execute format('create role %I login noinherit password %L', login, verifier);
  end if;
end $$;
comment on function create_member_login is 'As its caller, who needs CREATEROLE; verifier is a SCRAM verifier, never a password.';

create function set_member_group(member text, short text) returns void
  language plpgsql set search_path from current
  as $$
declare
  login text := role_name('m_' || member);
  other text;
begin
  foreach other in array array['agent', 'viewer', 'admin', 'founder'] loop
    if other = short then
      if current_setting('server_version_num')::int >= 160000 then
        execute format('grant %I to %I with inherit false, set true', role_name(other), login);
      else
        execute format('grant %I to %I', role_name(other), login);
      end if;
    elsif pg_has_role(login, role_name(other), 'member') then
      execute format('revoke %I from %I', role_name(other), login);
    end if;
  end loop;
end $$;

create function drop_member_login(member text) returns void
  language plpgsql set search_path from current
  as $$ begin execute format('drop role if exists %I', role_name('m_' || member)); end $$;

-- --- audit --------------------------------------------------------------------------------------------------

create table audit_log (
  seq bigint primary key,
  at timestamptz not null,
  actor text not null,
  role text not null,
  origin text not null,
  action text not null,
  subject text not null,
  before jsonb,
  after jsonb,
  reason text,
  prev_hash text not null,
  hash text not null unique,
  payload text not null
);
comment on table audit_log is 'Append-only. payload is the exact text that was hashed; hash = sha256(prev_hash || payload), hex.';
create index audit_log_subject on audit_log (subject, seq);
create index audit_log_actor on audit_log (actor, seq);

create table audit_head (
  one boolean primary key default true check (one),
  seq bigint not null,
  hash text not null
);
comment on table audit_head is 'Locked by every append: one chain, no gap, no fork.';
insert into audit_head (seq, hash) values (0, repeat('0', 64));

create function forbid_change() returns trigger
  language plpgsql
  as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = '42501';
end $$;

create trigger append_only before update or delete on audit_log for each row execute function forbid_change();
create trigger no_truncate before truncate on audit_log for each statement execute function forbid_change();
create trigger head_stays before delete on audit_head for each row execute function forbid_change();
create trigger no_truncate before truncate on audit_head for each statement execute function forbid_change();

create function audit_append(
  p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text
) returns bigint
  language plpgsql security definer set search_path from current
  as $$
declare
  head audit_head%rowtype;
  v_at timestamptz;
  v_actor text := acting_name();
  v_role text := acting_role();
  v_origin text := coalesce(claim('origin'), case when v_role = 'installer' then 'migrate' else 'sql' end);
  v_payload text;
  v_hash text;
begin
  select * into strict head from audit_head for update;
  v_at := clock_timestamp();
  v_payload := jsonb_build_array(
    head.seq + 1,
    to_char(v_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    v_actor, v_role, v_origin, p_action, p_subject, p_before, p_after, p_reason)::text;
  v_hash := encode(sha256(convert_to(head.hash || v_payload, 'UTF8')), 'hex');
  insert into audit_log (seq, at, actor, role, origin, action, subject, before, after, reason, prev_hash, hash, payload)
  values (head.seq + 1, v_at, v_actor, v_role, v_origin, p_action, p_subject, p_before, p_after, p_reason,
          head.hash, v_hash, v_payload);
  update audit_head set seq = head.seq + 1, hash = v_hash;
  return head.seq + 1;
end $$;
comment on function audit_append is 'For triggers only; what people and programs may add goes through audit_note().';
revoke execute on function audit_append from public;

create function audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) returns bigint
  language plpgsql security definer set search_path from current
  as $$
begin
  if not may_act() or acting_role() not in ('proxy', 'admin', 'founder') then
    raise exception 'this role writes nothing into the audit' using errcode = '42501';
  end if;
  if p_action !~ '^[a-z_]+(\.[a-z_]+)*$' or p_action ~ '^(job|patch|approval|deed|control|switch|member)\.' then
    raise exception 'action % is written by the database itself, or is no action', p_action using errcode = '42501';
  end if;
  return audit_append(p_action, left(p_subject, 200), p_before, p_after, left(p_reason, 4000));
end $$;
comment on function audit_note is 'A note of the acting role. What triggers write (job.*, patch.*, approval.* …) cannot be forged with it.';
revoke execute on function audit_note from public;

create function audit_first_bad() returns bigint
  language sql stable security definer set search_path from current
  as $$
  select coalesce(
    (select min(expected) from (
      select row_number() over w as expected, seq, prev_hash, hash,
             lag(hash, 1, repeat('0', 64)) over w as before_hash,
             encode(sha256(convert_to(prev_hash || payload, 'UTF8')), 'hex') as computed,
             payload is distinct from jsonb_build_array(
               seq, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               actor, role, origin, action, subject, before, after, reason)::text as altered
      from audit_log window w as (order by seq)
    ) chain where seq <> expected or prev_hash <> before_hash or hash <> computed or altered),
    -- newest rows cut off: the head still knows them
    (select case when h.seq <> coalesce(l.seq, 0) or h.hash <> coalesce(l.hash, repeat('0', 64))
                 then least(coalesce(l.seq, 0), h.seq) + 1 end
     from audit_head h left join lateral (select seq, hash from audit_log order by seq desc limit 1) l on true))
$$;
comment on function audit_first_bad is 'The first sequence number that does not fit, or null. Columns, payload, hashes and head are compared.';
revoke execute on function audit_first_bad from public;

create function audit_profiles() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('member.added', new.name, null, jsonb_build_object('role', new.role), null);
  elsif tg_op = 'UPDATE' then
    perform audit_append('member.changed', new.name, jsonb_build_object('role', old.role),
                         jsonb_build_object('role', new.role), null);
  else
    perform audit_append('member.removed', old.name, jsonb_build_object('role', old.role), null, null);
  end if;
  return null;
end $$;
create trigger audit_members after insert or update or delete on profiles for each row execute function audit_profiles();

alter table audit_log enable row level security;
alter table audit_log force row level security;
alter table audit_head enable row level security;
alter table audit_head force row level security;
alter table profiles enable row level security;
alter table profiles force row level security;

create view audit_entries as
  select seq, at, actor, role, origin, action, subject,
         case when acting_role() in ('proxy', 'admin', 'founder') then before end as before,
         case when acting_role() in ('proxy', 'admin', 'founder') then after end as after,
         case when acting_role() in ('proxy', 'admin', 'founder') then reason end as reason,
         prev_hash, hash,
         case when acting_role() in ('proxy', 'admin', 'founder') then payload else '' end as payload
  from audit_log where (select may_act());
comment on view audit_entries is 'The chain as its reader may see it: agents and viewers get no content.';

select as_roles($sql$
  create policy owner_all on audit_log to sh_owner using (true) with check (true);
  create policy owner_all on audit_head to sh_owner using (true) with check (true);
  create policy owner_all on profiles to sh_owner using (true) with check (true);
  create policy readers on audit_log for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  create policy readers on audit_head for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  create policy readers on profiles for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  grant select on audit_log, audit_head, profiles to sh_proxy, sh_admin, sh_founder;
  grant select on audit_entries to sh_proxy, sh_agent, sh_viewer, sh_admin, sh_founder;
  grant execute on function audit_note(text, text, jsonb, jsonb, text) to sh_proxy, sh_admin, sh_founder;
  grant execute on function audit_first_bad() to sh_proxy, sh_admin, sh_founder;
$sql$);

insert into schema_migrations (name) values ('310_foundation');
