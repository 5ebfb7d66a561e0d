-- name: lock
select pg_advisory_lock(hashtext('selfheal.migrate'))

-- name: create_schema
select set_config('selfheal.schema', $1, false), set_config('search_path', $1 || ',pg_catalog,pg_temp', false)

-- name: create_schema_do
do $$ begin
  if to_regnamespace(current_setting('selfheal.schema')) is null then
    execute format('create schema %I', current_setting('selfheal.schema'));
  end if;
end $$

-- name: has_table
select to_regclass($1 || '.schema_migrations') is not null

-- name: applied
select name, checksum from schema_migrations order by name

-- name: note_checksum
update schema_migrations set checksum = $2 where name = $1

-- name: choose_prefix
-- Roles belong to the cluster: the first installation takes the plain names, any other one gets a prefix.
select set_config('selfheal.prefix', case
  when owner.oid is null
    or shobj_description(owner.oid, 'pg_authid')
       = format('Self-Heal in database %s, schema %s', current_database(), $1::text) then ''
  else 'x' || left(md5(current_database() || '.' || $1::text), 8) || '_' end, false)
from (select 1) one left join pg_roles owner on owner.rolname = 'sh_owner'

-- name: set_prefix
select set_config('selfheal.prefix', $1, false)

-- name: prefix
-- through a function: an installer without superuser may not read our tables
select left(role_name(''), -3)

-- name: join_owner
do $$ begin
  execute format('grant %I to current_user', role_name('owner'));
end $$

-- name: leave_owner
do $$ begin
  execute format('revoke %I from current_user', role_name('owner'));
end $$

-- name: become_owner
select set_config('role', role_name('owner'), true)

-- name: set_proxy_password
select set_config('selfheal.verifier', $1, true)

-- name: set_proxy_password_do
do $$ begin
  execute format('alter role %I with login noinherit password %L',
    role_name('login_proxy'), current_setting('selfheal.verifier'));
end $$

-- name: set_switch
select set_switch($1, $2, $3)

-- name: partitions
select ensure_log_partitions((now() at time zone 'UTC')::date, 2)

-- name: open_profiles
select open_profiles()

-- name: adopt_profiles
select adopt_profiles()

-- name: has_founder
select exists (select from profiles where role = 'FOUNDER')

-- name: founder_decides
-- a founder whom the application's profiles let act
select exists (select from profiles where role = 'FOUNDER' and authorised(role, identity))
