-- name: create_database_text
-- template0: what somebody put into template1 must not be mistaken for ours
select format('create database %I template template0', $1::text)

-- name: drop_database_text
select format('drop database if exists %I with (force)', $1::text)

-- name: old_databases
select datname from pg_database d
where datname ~ '^selfheal_doctor_[0-9a-f]{8}$'
  and not exists (select from pg_stat_activity a where d.datname in (a.datname, a.application_name))

-- name: claim_database
-- who sweeps sees that this one is at work, before anybody is connected to it
select set_config('application_name', $1, false)

-- name: drop_role_texts
select format('drop role if exists %I', rolname) from pg_roles where rolname like replace($1, '_', '\_') || '%' order by rolname desc

-- name: create_login_text
select format('create role %I login noinherit password %L', $1::text, $2::text)

-- name: grant_bypass_text
select format('alter role %I bypassrls', $1::text)

-- name: profile_removed
delete from profiles where name = $1

-- name: facts
select current_schema() as schema, session_user::text as installer,
  (select coalesce(max(version), 0) + 1 from control_versions) as next_control

-- name: governed_tables
select c.relname as name, (select a.attname from pg_attribute a
    where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attidentity = '' order by a.attnum limit 1) as a_column
from pg_class c
where c.relnamespace = current_schema()::regnamespace and c.relkind = 'r'
  and (c.relrowsecurity or c.relname in ('installation', 'schema_migrations', 'job_steps', 'patch_steps'))
order by c.relname

-- name: what_stands
-- everything a gate rests on, as one text: attacks must leave it as it was
select encode(sha256(convert_to(string_agg(line, e'\n' order by line), 'UTF8')), 'hex') from (
  select 'request ' || r::text from approval_requests r
  union all select 'decision ' || d::text from approval_decisions d
  union all select 'deed ' || f::text from founder_decisions f
  union all select 'switch ' || s::text from gate_switches s
  union all select 'rules ' || v::text from control_versions v
  union all select 'member ' || p::text from profiles p
  union all select 'authority ' || i::text from installation i
  union all select 'step ' || j::text from job_steps j
  union all select 'step ' || j::text from patch_steps j
  union all select 'patch ' || p::text from self_healing_patches p
  union all select 'job ' || j.id || j.status || j.error_signature from self_healing_jobs j
) standing(line)

-- name: authority
-- a live installation may be behind, and know nothing of it yet
select to_jsonb(i) ->> 'authority' as authority, to_regprocedure('app_profiles()') is not null as knows from installation i

-- name: app_profiles_text
-- An application's profiles at their worst: whoever is connected may write what he likes there.
create type public.user_role as enum ('FOUNDER', 'STAFF', 'CLIENT', 'ADMIN');
create table public.profiles (id uuid primary key, role public.user_role not null default 'CLIENT');
alter table public.profiles enable row level security;
create policy everybody on public.profiles using (true) with check (true);
grant all on public.profiles to public;
grant usage on schema public to public

-- name: app_profile
insert into public.profiles values ($1, $2::text::public.user_role)

-- name: is_installed
select to_regclass(format('%I.installation', $1::text)) is not null

-- name: roles
-- Roles, who is in them, and settings that would change how they act; a line each, members by what their profile says.
-- Logins that may create roles keep the admin option on what they made (PostgreSQL 16 and newer): no membership.
-- $1 are the members' names, $2 their roles: read before, as the owner.
with here as (
  select left(role_name(''), -3) as prefix
), profile as (
  select * from unnest($1::text[], $2::text[]) p(name, role)
), ours as (
  select r.*, substr(r.rolname, length(prefix) + 1) as short from pg_roles r, here
  where r.rolname like replace(prefix, '_', '\_') || 'sh\_%'
    and substr(r.rolname, length(prefix) + 1) ~ '^sh_(owner|proxy|agent|viewer|admin|founder|lookup|login_proxy|m_[a-z][a-z0-9_]*)$'
), named as (
  select o.*, case when short like 'sh\_m\_%'
    then coalesce('a member who is ' || lower((select p.role from profile p where p.name = substr(short, 6))),
                  'a login without a profile')
    else short end as noun
  from ours o
), line as (
  select format('role %s login=%s inherit=%s superuser=%s bypassrls=%s createrole=%s createdb=%s replication=%s',
    noun, rolcanlogin, rolinherit, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication) as text
  from named
  union all
  select format('membership %s is in %s admin=%s inherit=%s set=%s', n.noun,
    coalesce((select short from named x where x.oid = g.oid), g.rolname), m.admin_option,
    coalesce(to_jsonb(m) ->> 'inherit_option', n.rolinherit::text), coalesce(to_jsonb(m) ->> 'set_option', 'true'))
  from named n join pg_auth_members m on m.member = n.oid join pg_roles g on g.oid = m.roleid
  union all
  select format('membership %s is in %s', r.rolname, n.noun)
  from named n join pg_auth_members m on m.roleid = n.oid join pg_roles r on r.oid = m.member
  where m.member not in (select oid from named)
    and (not (to_jsonb(m) ? 'set_option') or (to_jsonb(m) ->> 'set_option')::boolean
         or (to_jsonb(m) ->> 'inherit_option')::boolean)
  union all
  select format('setting of %s %s', n.noun, array_to_string(s.setconfig, ' '))
  from named n join pg_db_role_setting s on s.setrole = n.oid
    and s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
  union all
  select format('parameter %s %s to %s', p.parname, g.privilege_type, n.noun)
  from pg_parameter_acl p, aclexplode(p.paracl) g join named n on n.oid = g.grantee
  union all
  select format('schema owner=%s', pg_get_userbyid(nspowner)) from pg_namespace where oid = current_schema()::regnamespace
  union all
  select format('schema %s to %s', g.privilege_type, case g.grantee when 0 then 'public' else pg_get_userbyid(g.grantee) end)
  from pg_namespace n, aclexplode(n.nspacl) g
  where n.oid = current_schema()::regnamespace and g.grantee <> n.nspowner
  union all
  select format('rule %s %s', c.relname, pg_get_ruledef(w.oid))
  from pg_rewrite w join pg_class c on c.oid = w.ev_class
  where c.relnamespace = current_schema()::regnamespace and w.rulename <> '_RETURN'
  union all
  select format('inherits %s from %s', i.inhrelid::regclass, i.inhparent::regclass)
  from pg_inherits i join pg_class c on c.oid = i.inhparent
  where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'v')
)
select distinct regexp_replace(text, '\m' || prefix || 'sh_', 'sh_', 'g') as text from line, here order by 1

-- name: too_strong
-- Roles of this installation, and sessions of it, that row-level security or triggers would not hold back.
with ours as (
  select r.* from pg_roles r
  where r.rolname like replace(left(role_name(''), -3), '_', '\_') || 'sh\_%'
), running as (
  select distinct r.rolname, r.rolsuper, r.rolbypassrls from pg_stat_activity a join pg_roles r on r.oid = a.usesysid
  where a.datname = current_database() and a.application_name = 'selfheal' and a.pid <> pg_backend_pid()
), reason(who, why) as (
  select rolname, 'is a superuser' from ours where rolsuper
  union all select rolname, 'steps over row-level security (BYPASSRLS)' from ours where rolbypassrls
  union all select rolname, 'may create roles' from ours where rolcreaterole
  union all select rolname, 'may replicate' from ours where rolreplication
  union all select rolname, 'acts as the owner' from ours
    where rolcanlogin and not rolsuper and pg_has_role(oid, role_name('owner'), 'member')
  union all select rolname, 'owns the schema' from ours
    where rolcanlogin and exists (select from pg_namespace n where n.oid = current_schema()::regnamespace and n.nspowner = ours.oid)
  union all select o.rolname, 'is in ' || g.rolname from ours o join pg_roles g
    on g.rolname in ('pg_read_all_data', 'pg_write_all_data', 'pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')
    where not o.rolsuper and pg_has_role(o.oid, g.oid, 'member')
  union all select rolname, 'runs Self-Heal now and is a superuser' from running where rolsuper
  union all select rolname, 'runs Self-Heal now and steps over row-level security' from running where rolbypassrls and not rolsuper
)
select who || ' ' || why as text from reason order by 1

-- name: is_superuser
select rolsuper from pg_roles where rolname = session_user
