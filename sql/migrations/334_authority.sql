-- An application that keeps its people in public.profiles (identity auth.uid(), enum user_role) stays the authority
-- over who is FOUNDER and who is ADMIN. Two keys turn together: a member's own row and login, which only the installer
-- makes, and the role that the application's row gives that person now. Theirs can take away and never give: whoever
-- may write there, service_role too, makes nobody a member and no admin a founder.
--
-- That table is another's. What its owner puts behind it (a view, a policy that calls functions) runs when it is read,
-- so it is read by a role that may do nothing else, inside a subtransaction that is always rolled back.

do $$
declare
  lookup text := role_name('lookup');
begin
  if not exists (select from pg_roles where rolname = lookup) then
    execute format('create role %I nologin noinherit', lookup);
  end if;
  execute format('grant %I to current_user', lookup);
end $$;

select set_config('role', role_name('owner'), true);

create or replace function as_roles(statements text) returns void
  language plpgsql set search_path from current
  as $$
begin
  execute regexp_replace(
    statements,
    '\msh_(owner|proxy|agent|viewer|admin|founder|lookup|login_proxy)\M',
    (select prefix from installation) || 'sh_\1',
    'g');
end $$;

do $$ begin execute format('grant create on schema %I to %I', current_schema(), role_name('lookup')); end $$;
select set_config('role', role_name('lookup'), true);

create function app_role(identity uuid) returns text
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  as $$
declare
  told text;
begin
  begin
    select max(p.role::text) into told from public.profiles p where p.id = identity having count(*) = 1;
    raise exception using errcode = 'SH000';
  exception
    when sqlstate 'SH000' then null;
    when others then told := null;
  end;
  return told;
end $$;
comment on function app_role is 'The role public.profiles gives that person now; null when it gives none, or cannot be read.';
revoke execute on function app_role from public;

create function app_founders() returns uuid[]
  language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  as $$
declare
  found uuid[];
begin
  begin
    select array_agg(x.id) into found from (select p.id from public.profiles p where p.role::text = 'FOUNDER' limit 2) x;
    raise exception using errcode = 'SH000';
  exception
    when sqlstate 'SH000' then null;
    when others then found := null;
  end;
  return coalesce(found, '{}');
end $$;
comment on function app_founders is 'Who is FOUNDER in public.profiles, two at most: enough to know whether there is one alone.';
revoke execute on function app_founders from public;

do $$ begin execute format('grant execute on function app_role(uuid), app_founders() to %I', role_name('owner')); end $$;

select set_config('role', role_name('owner'), true);
do $$ begin execute format('revoke create on schema %I from %I', current_schema(), role_name('lookup')); end $$;

alter table installation add column authority text check (authority = 'public.profiles');
comment on column installation.authority is 'Whose profiles must agree before a founder or an admin may act; null where ours are the only ones.';

alter table profiles add column identity uuid;
comment on column profiles.identity is 'Whom public.profiles knows this member as: auth.uid() there. Set by the installer, never by a claim.';

create function authorised(role user_role, identity uuid) returns boolean
  language sql stable security definer set search_path from current
  as $$
  select case
    when role not in ('FOUNDER', 'ADMIN') or (select i.authority is null from installation i) then true
    when role = 'FOUNDER' then coalesce(app_role(identity) = 'FOUNDER', false)
    else coalesce(app_role(identity) in ('FOUNDER', 'ADMIN'), false) end
$$;
comment on function authorised is 'Whether the application''s profiles, where they are the authority, let somebody be what ours say.';
revoke execute on function authorised from public;

create or replace function may_act() returns boolean
  language sql stable security definer set search_path from current
  as $$
  select case
    when session_user = prefix || 'sh_login_proxy' then acting_role() in ('proxy', 'viewer')
    when session_user like replace(prefix, '_', '\_') || 'sh\_m\_%' then exists (
      select from profiles p
      where p.name = acting_name() and lower(p.role::text) = acting_role() and authorised(p.role, p.identity))
    else false
  end
  from installation
$$;
comment on function may_act is 'Whether login, acting role and profile agree. Removing the profile, ours or the application''s, removes the right at once.';

create or replace function whoami(out name text, out role text)
  language sql stable security definer set search_path from current
  as $$
  select p.name, lower(p.role::text) from profiles p
  where p.name = acting_name() and session_user = role_name('m_' || p.name) and authorised(p.role, p.identity)
$$;
comment on function whoami is 'The logged-in member and the role its profile gives; no row for anybody else, nor where the application''s profile says no.';

create function app_profiles() returns text
  language sql stable set search_path from current
  as $$
  select case
    when c.oid is null
      or not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'id' and a.atttypid = 'uuid'::regtype)
      or not exists (
        select from pg_attribute a join pg_enum e on e.enumtypid = a.atttypid
        where a.attrelid = c.oid and a.attname = 'role' and not a.attisdropped and e.enumlabel = 'FOUNDER')
      then 'absent'
    when has_schema_privilege(reader.name, c.relnamespace, 'usage')
      and has_column_privilege(reader.name, c.oid, 'id', 'select')
      and has_column_privilege(reader.name, c.oid, 'role', 'select')
      and (not c.relrowsecurity or exists (
        select from pg_policy p
        where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('r', '*') and to_regrole(quote_ident(reader.name)) = any (p.polroles)))
      then 'readable'
    else 'closed' end
  from (select role_name('lookup') as name) reader
  left join pg_class c on c.oid = to_regclass('public.profiles') and c.relkind in ('r', 'p')
    and current_schema() <> 'public'
$$;
comment on function app_profiles is 'absent: no public.profiles with an id and an enum that has FOUNDER; closed: we may not read it; readable.';

create function open_profiles() returns void
  language plpgsql set search_path from current
  as $$
declare
  lookup text := role_name('lookup');
begin
  if app_profiles() <> 'closed' then
    return;
  end if;
  execute format('grant usage on schema public to %I', lookup);
  execute format('grant select (id, role) on public.profiles to %I', lookup);
  if (select relrowsecurity from pg_class where oid = 'public.profiles'::regclass)
     and not exists (select from pg_policy where polrelid = 'public.profiles'::regclass and polname = 'selfheal_reads') then
    execute format('create policy selfheal_reads on public.profiles for select to %I using (true)', lookup);
  end if;
exception when insufficient_privilege then
  raise notice '%', format('public.profiles stays closed to Self-Heal. Let its owner run: GRANT USAGE ON SCHEMA public TO %1$I; '
    'GRANT SELECT (id, role) ON public.profiles TO %1$I; '
    'CREATE POLICY selfheal_reads ON public.profiles FOR SELECT TO %1$I USING (true)', lookup);
end $$;
comment on function open_profiles is 'As its caller, who must own public.profiles: lets sh_lookup read who has which role, nothing else of it.';

create function adopt_profiles() returns text
  language plpgsql set search_path from current
  as $$
declare
  state text := app_profiles();
  missing text;
begin
  if (select authority is not null from installation) then
    return 'adopted';
  end if;
  if state <> 'readable' then
    return state;
  end if;
  select string_agg(p.name, ', ' order by p.name) into missing from profiles p
  where p.role in ('FOUNDER', 'ADMIN')
    and not coalesce(app_role(p.identity) = 'FOUNDER' or p.role = 'ADMIN' and app_role(p.identity) = 'ADMIN', false);
  if missing is not null then
    -- to adopt it now would lock them out
    return 'unlinked: ' || missing;
  end if;
  update installation set authority = 'public.profiles';
  perform audit_append('member.authority', 'public.profiles', null, jsonb_build_object('authority', 'public.profiles'), null);
  return 'adopted';
end $$;
comment on function adopt_profiles is 'As the owner: makes a readable public.profiles the authority, once every founder and admin of ours is somebody there.';
revoke execute on function adopt_profiles from public;

create or replace function audit_profiles() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('member.added', new.name, null,
      jsonb_strip_nulls(jsonb_build_object('role', new.role, 'identity', new.identity)), null);
  elsif tg_op = 'UPDATE' then
    perform audit_append('member.changed', new.name,
      jsonb_strip_nulls(jsonb_build_object('role', old.role, 'identity', old.identity)),
      jsonb_strip_nulls(jsonb_build_object('role', new.role, 'identity', new.identity)), null);
  else
    perform audit_append('member.removed', old.name,
      jsonb_strip_nulls(jsonb_build_object('role', old.role, 'identity', old.identity)), null, null);
  end if;
  return null;
end $$;

select set_config('role', 'none', true);
select open_profiles();
do $$ begin execute format('revoke %I from current_user', role_name('lookup')); end $$;
select set_config('role', role_name('owner'), true);
select adopt_profiles();

insert into schema_migrations (name) values ('334_authority');
