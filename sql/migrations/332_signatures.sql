-- Decisions carry the founder's SSH signature where one is asked for. It is checked outside, with keys the database
-- does not hold: whoever has the database alone can approve nothing.

select set_config('role', role_name('owner'), true);

alter table approval_decisions add column signature text check (length(signature) <= 4096);
alter table founder_decisions add column signature text check (length(signature) <= 4096);

select as_roles($sql$
  grant insert (signature) on approval_decisions to sh_proxy, sh_admin, sh_founder;
  grant insert (signature) on founder_decisions to sh_admin, sh_founder;
$sql$);

insert into schema_migrations (name) values ('332_signatures');
