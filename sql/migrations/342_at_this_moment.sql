-- Who acts is asked at this very moment and in words that no session can bend. A transaction that sees the past
-- (REPEATABLE READ) would still see a profile that is gone; one that decided and stays open would commit after it went;
-- and with standard_conforming_strings off the pattern sh\_m\_ also means other roles' names.

select set_config('role', role_name('owner'), true);

create or replace function acting_role() returns text
  language sql stable security definer set search_path from current
  as $$
  select case
    when starts_with(current_setting('role'), prefix || 'sh_') then substr(current_setting('role'), length(prefix) + 4)
    when current_setting('role') = 'none' and starts_with(session_user, prefix || 'sh_') then 'none'
    else 'installer'
  end
  from installation
$$;

create or replace function acting_name() returns text
  language sql stable security definer set search_path from current
  as $$
  select case
    when starts_with(session_user, prefix || 'sh_m_') then substr(session_user, length(prefix) + 6)
    -- the sidecar's own word for which part of it acts (policy, healer, a member who attached a patch)
    when session_user = prefix || 'sh_login_proxy' then coalesce(claim('name'), 'sidecar')
    else session_user::text
  end
  from installation
$$;

create or replace function may_act() returns boolean
  language sql stable security definer set search_path from current
  as $$
  select case
    when session_user = prefix || 'sh_login_proxy' then acting_role() in ('proxy', 'viewer')
    when starts_with(session_user, prefix || 'sh_m_') then
      current_setting('transaction_isolation') in ('read committed', 'read uncommitted')
      and exists (
        select from profiles p
        where p.name = acting_name() and lower(p.role::text) = acting_role() and authorised(p.role, p.identity))
    else false
  end
  from installation
$$;

create or replace function audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) returns bigint
  language plpgsql security definer set search_path from current
  as $$
begin
  if not may_act() or acting_role() not in ('proxy', 'admin', 'founder') then
    raise exception 'this role writes nothing into the audit' using errcode = '42501';
  end if;
  if p_action !~ '^[a-z_]+([.][a-z_]+)*$'
     or p_action ~ '^(job|patch|approval|deed|control|switch|member|deploy|alert)[.]' then
    raise exception 'action % is written by the database itself, or is no action', p_action using errcode = '42501';
  end if;
  return audit_append(p_action, left(p_subject, 200), p_before, p_after, left(p_reason, 4000));
end $$;

create function still_authorised() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if new.actor_role <> 'proxy' and not exists (
      select from profiles p
      where p.name = new.actor and lower(p.role::text) = new.actor_role and authorised(p.role, p.identity)) then
    raise exception '% has lost the right before this was done', new.actor using errcode = '42501';
  end if;
  return null;
end $$;
comment on function still_authorised is 'Asked again when the transaction ends: what was decided by somebody who is nobody by then is undone.';
revoke execute on function still_authorised() from public;
create constraint trigger still_authorised after insert on approval_decisions
  deferrable initially deferred for each row execute function still_authorised();
create constraint trigger still_authorised after insert on founder_decisions
  deferrable initially deferred for each row execute function still_authorised();

insert into schema_migrations (name) values ('342_at_this_moment');
