-- Getting at somebody else's role, at the server, or at what guards a table. Read by proxy/store/attacks.py:
--   attack      what it tries
--   as          who tries, each for itself; with -login: the bare login, before it took its role
--   refused by  SQLSTATE and who must have refused (grant, policy, a constraint, one of our functions, or the
--               server's own routine), or "0 rows"; several, with commas, where versions differ
--   alone       outside a transaction
--   beside      only where that stands: public.profiles, an application's own people
-- @name@ is a fact of the stage; role names get the installation's prefix.

-- attack: become the founder
-- as: admin agent viewer proxy reader removed stranger admin-login agent-login proxy-login
-- refused by: 42501 role
set local role sh_founder

-- attack: become the owner
-- as: founder admin agent viewer proxy removed stranger founder-login proxy-login
-- refused by: 42501 role
set local role sh_owner

-- attack: become the sidecar
-- as: founder admin agent viewer removed stranger
-- refused by: 42501 role
select set_config('role', 'sh_proxy', true)

-- attack: become another member's login
-- as: admin agent viewer proxy stranger
-- refused by: 42501 role
set local role sh_m_@founder@

-- attack: another session's authorisation
-- as: admin agent viewer proxy stranger
-- refused by: 42501 role
set local session authorization sh_m_@founder@

-- attack: be the superuser
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 role
set local session authorization @installer@

-- attack: grant itself the founder's group
-- as: admin agent viewer proxy stranger founder
-- refused by: 42501 server
do $$ begin execute format('grant sh_founder to %I', session_user); end $$

-- attack: hand its group on
-- as: founder admin agent proxy
-- refused by: 42501 server
grant sh_founder to sh_m_@agent@

-- attack: make itself superuser
-- as: founder-login admin-login agent-login viewer-login proxy-login stranger
-- refused by: 42501 server
do $$ begin execute format('alter role %I superuser', session_user); end $$

-- attack: step over row-level security for good
-- as: founder-login admin-login agent-login proxy-login stranger
-- refused by: 42501 server
do $$ begin execute format('alter role %I bypassrls', session_user); end $$

-- attack: give itself CREATEROLE
-- as: founder-login admin-login agent-login proxy-login stranger
-- refused by: 42501 server
do $$ begin execute format('alter role %I createrole', session_user); end $$

-- attack: set the founder's password
-- as: admin agent viewer proxy admin-login agent-login proxy-login stranger
-- refused by: 42501 server
alter role sh_m_@founder@ password 'mine'

-- attack: set the sidecar's password
-- as: founder admin agent viewer stranger
-- refused by: 42501 server
alter role sh_login_proxy password 'mine'

-- attack: give the founder's group a login
-- as: founder admin agent proxy
-- refused by: 42501 server
alter role sh_founder login password 'mine'

-- attack: make a login of its own
-- as: founder admin agent viewer proxy stranger agent-login admin-login
-- refused by: 42501 server
create role sh_m_eve login password 'x'

-- attack: make a member through the installer's function
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 server
select create_member_login('eve', 'SCRAM-SHA-256$4096:x$x:x')

-- attack: raise a member through the installer's function
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 server
select set_member_group('@agent@', 'founder')

-- attack: drop a member's login
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 server
select drop_member_login('@founder@')

-- attack: read the password verifiers
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
select rolpassword from pg_authid

-- attack: run statements as the owner
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
select as_roles('grant sh_founder to public')

-- attack: triggers off for its session
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 setting
set local session_replication_role = replica

-- attack: read past row-level security
-- as: admin proxy founder removed
-- refused by: 42501 policy
set local row_security = off; select * from self_healing_patches

-- attack: switch a trigger off
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
alter table approval_decisions disable trigger guard

-- attack: switch every trigger off
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
alter table self_healing_patches disable trigger all

-- attack: drop a trigger
-- as: founder admin agent proxy
-- refused by: 42501 grant
drop trigger guard_gates on self_healing_patches

-- attack: put a trigger in front
-- as: founder admin agent proxy
-- refused by: 42501 grant
create trigger aaa before insert on approval_decisions for each row execute function forbid_change()

-- attack: a rule that swallows the audit
-- as: founder admin agent proxy
-- refused by: 42501 grant
create rule nothing as on insert to audit_log do instead nothing

-- attack: take row-level security off
-- as: founder admin agent viewer proxy
-- refused by: 42501 grant
alter table self_healing_patches disable row level security

-- attack: spare the owner from row-level security
-- as: founder admin agent proxy
-- refused by: 42501 grant
alter table approval_requests no force row level security

-- attack: widen a policy
-- as: founder admin agent proxy
-- refused by: 42501 grant
alter policy readers on audit_log using (true)

-- attack: a policy of its own
-- as: founder admin agent proxy
-- refused by: 42501 grant
create policy mine on profiles using (true) with check (true)

-- attack: drop a policy
-- as: founder admin agent proxy
-- refused by: 42501 grant
drop policy readers on profiles

-- attack: drop a check
-- as: founder admin agent proxy
-- refused by: 42501 grant
alter table approval_decisions drop constraint approval_decisions_check

-- attack: own a table
-- as: founder admin agent proxy
-- refused by: 42501 grant
alter table profiles owner to sh_proxy

-- attack: grant itself a table
-- as: agent viewer stranger
-- refused by: 42501 grant
grant all on profiles to public

-- attack: grant itself what comes later
-- as: founder admin agent proxy
-- refused by: 42501 server
alter default privileges for role sh_owner grant all on tables to public

-- attack: replace the function that says who may act
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
create or replace function may_act() returns boolean language sql as 'select true'

-- attack: overload it with an argument
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
create function may_act(anyelement) returns boolean language sql as 'select true'

-- attack: loosen a function's search path
-- as: founder admin agent proxy
-- refused by: 42501 grant
alter function may_act() set search_path to pg_temp

-- attack: make a function run as its caller
-- as: founder admin agent proxy
-- refused by: 42501 grant
alter function guard_decision() security invoker

-- attack: own a function
-- as: founder admin agent proxy
-- refused by: 42501 grant
alter function audit_append(text, text, jsonb, jsonb, text) owner to sh_proxy

-- attack: drop a function
-- as: founder admin agent proxy
-- refused by: 42501 grant
drop function guard_gates() cascade

-- attack: a table in our schema
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
create table installation_2 (prefix text)

-- attack: a schema in front of ours
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
create schema sh_in_front

-- attack: hide profiles behind a temporary table
-- as: agent admin
-- refused by: 42501 check_step, 42501 grant
create temp table profiles (id uuid, name text, role text, created_at timestamptz);
insert into pg_temp.profiles values (null, '@agent@', 'FOUNDER', now()), (null, '@admin@', 'FOUNDER', now());
set local search_path = pg_temp, @schema@, pg_catalog;
update @schema@.self_healing_patches set status = 'approved' where id = @patch_passed@

-- attack: hide the steps behind a temporary table
-- as: admin proxy
-- refused by: 42501 check_step
create temp table patch_steps (old text, new text, role text);
insert into pg_temp.patch_steps values ('sandbox_passed', 'approved', 'admin'), ('sandbox_passed', 'approved', 'proxy');
set local search_path = pg_temp, @schema@, pg_catalog;
update @schema@.self_healing_patches set status = 'approved' where id = @patch_passed@

-- attack: hide the approvals behind temporary tables
-- as: founder
-- refused by: SH003 guard_gates
create temp table approval_requests (id bigint, patch_id bigint, item_type text, status text, digest text, evidence_digest text);
create temp table approval_decisions (approval_id bigint, decision text, digest text, evidence_digest text, actor_role text);
insert into pg_temp.approval_requests values (1, @patch_passed@, 'patch_main', 'approved', '@digest_passed@', '@evidence_passed@');
insert into pg_temp.approval_decisions values (1, 'approve', '@digest_passed@', '@evidence_passed@', 'founder');
set local search_path = pg_temp, @schema@, pg_catalog;
update @schema@.self_healing_patches set status = 'approved' where id = @patch_passed@

-- attack: hide the installation behind a temporary table
-- as: agent admin
-- refused by: 42501 check_step, 42501 grant
create temp table installation (one boolean, prefix text);
insert into pg_temp.installation values (true, '');
set local search_path = pg_temp, @schema@, pg_catalog;
update @schema@.self_healing_patches set status = 'approved' where id = @patch_passed@

-- attack: a temporary function under the name of ours
-- as: admin agent
-- refused by: 42501 check_step, 42501 grant
create function pg_temp.may_act() returns boolean language sql as 'select true';
create function pg_temp.acting_role() returns text language sql as $f$ select 'founder' $f$;
create function pg_temp.check_step(text, text[], text, text) returns void language sql as '';
set local search_path = pg_temp, @schema@, pg_catalog;
update @schema@.self_healing_patches set status = 'approved' where id = @patch_passed@

-- attack: an operator that calls every role allowed
-- as: admin proxy
-- refused by: 42501 check_step
create function pg_temp.yes(text, text) returns boolean language sql as 'select true';
create operator pg_temp.= (leftarg = text, rightarg = text, function = pg_temp.yes);
set local search_path = pg_temp, @schema@, pg_catalog;
update @schema@.self_healing_patches set status = 'approved' where id operator(pg_catalog.=) @patch_passed@

-- attack: a cast of its own
-- as: founder agent proxy
-- refused by: 42501 server
create cast (text as @schema@.user_role) with inout as implicit

-- attack: an event trigger
-- as: founder agent proxy stranger
-- refused by: 42501 server
create event trigger mine on ddl_command_start execute function forbid_change()

-- attack: an extension that runs code
-- as: founder agent proxy stranger
-- refused by: 42501 server, 42501 grant, 0A000 server, 58P01 server
create extension file_fdw

-- attack: load a library
-- as: founder agent proxy stranger
-- refused by: 42501 server, 58P01 server
load '/tmp/mine.so'

-- attack: run a program
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 server
copy pg_temp.out from program 'id'

-- attack: read a file through COPY
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 server
create temp table lines (line text); copy lines from '/etc/passwd'

-- attack: write a file through COPY
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 server
copy (select 1) to '/tmp/selfheal-attack'

-- attack: read a file
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
select pg_read_file('/etc/passwd')

-- attack: list a folder
-- as: founder agent proxy stranger
-- refused by: 42501 grant
select pg_ls_dir('/')

-- attack: import a file as a large object
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
select lo_import('/etc/passwd')

-- attack: export a large object to a file
-- as: founder agent proxy stranger
-- refused by: 42501 grant
select lo_export(1, '/tmp/selfheal-attack')

-- attack: edit the catalogue
-- as: founder agent proxy stranger
-- refused by: 42501 grant
update pg_proc set prosrc = 'select true' where proname = 'may_act'

-- attack: reload the server's settings
-- as: founder agent proxy stranger
-- refused by: 42501 grant
select pg_reload_conf()

-- attack: change the server's settings
-- as: founder-login agent-login proxy-login stranger
-- refused by: 42501 setting
-- alone
alter system set session_replication_role = replica

-- attack: change the database's settings
-- as: founder agent proxy stranger
-- refused by: 42501 grant
do $$ begin execute format('alter database %I set session_replication_role = replica', current_database()); end $$

-- attack: end the sidecar's session
-- as: agent viewer stranger
-- refused by: 42501 server
select pg_terminate_backend(pid) from pg_stat_activity where usename = 'sh_login_proxy' and datname = current_database()

-- attack: publish what is written
-- as: founder agent proxy stranger
-- refused by: 42501 grant, 42501 server
create publication mine for table @schema@.audit_log

-- attack: a foreign server
-- as: founder agent proxy stranger
-- refused by: 42501 server, 42501 grant
create foreign data wrapper mine
