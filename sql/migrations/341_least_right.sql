-- Least right, where an attacker's eye found more: functions of the owner's that anybody could borrow, a decision in a
-- transaction older than the end of its request, a risk whose word sank while its number stood, and code that hides
-- behind tables of others which the sidecar reads.

select set_config('role', role_name('owner'), true);

-- Postgres lets everybody execute a new function. Whoever may execute a trigger's function may put it on a table of his
-- own (a temporary one is enough), and it then acts as its owner on rows that he made up. What fires for a table of ours
-- asks for no such right. Only who acts, and what may be asked about oneself, stays open.
do $$
declare
  f regprocedure;
begin
  for f in
    select p.oid from pg_proc p
    where p.pronamespace = current_schema()::regnamespace and p.proowner = to_regrole(quote_ident(current_user::text))
      and (p.prorettype = 'trigger'::regtype or p.prosecdef
           and p.proname not in ('acting_name', 'acting_role', 'may_act', 'role_name', 'whoami', 'switch_on'))
  loop
    execute format('revoke execute on function %s from public', f);
  end loop;
end $$;

create or replace function guard_decision() returns trigger
  language plpgsql security definer set search_path from current
  as $$
declare
  request approval_requests%rowtype;
  patch self_healing_patches%rowtype;
begin
  select * into request from approval_requests r where r.id = new.approval_id for update;
  if not found then
    raise exception 'there is no approval A-%', new.approval_id using errcode = 'SH007';
  end if;
  new.item_type := request.item_type;
  new.actor := acting_name();
  new.actor_role := acting_role();
  new.decided_at := clock_timestamp();
  if new.actor_role = 'proxy' then
    new.interactive := false;
  end if;
  if not may_decide(request.item_type, new.decision, request.risk_level) then
    raise exception 'A-%: % may not % a % of % risk', request.id, new.actor_role, new.decision,
      request.item_type, request.risk_level using errcode = '42501';
  end if;
  if request.status not in ('pending', 'deferred') then
    raise exception 'A-% is already %', request.id, request.status using errcode = 'SH004';
  end if;
  -- not now(): a transaction that began before the end may have waited
  if request.expires_at <= clock_timestamp() then
    raise exception 'A-% has expired, and expiry means no', request.id using errcode = 'SH005';
  end if;
  if new.digest is distinct from request.digest then
    raise exception 'A-%: what was decided on is not what was asked', request.id using errcode = 'SH002';
  end if;
  if new.decision = 'approve' and request.patch_id is not null then
    select * into patch from self_healing_patches p where p.id = request.patch_id for share;
    if request.digest <> patch.digest
       or request.item_type = 'patch_main' and (request.evidence_digest is distinct from patch.evidence_digest
                                                or new.evidence_digest is distinct from patch.evidence_digest) then
      raise exception 'A-%: patch or evidence changed since it was asked', request.id using errcode = 'SH002';
    end if;
    if request.item_type = 'patch_main' and patch.status <> 'sandbox_passed' then
      raise exception 'A-%: gate main opens only after a passed sandbox', request.id using errcode = 'SH003';
    end if;
  end if;
  return new;
end $$;

alter table approval_requests add constraint a_request_ends check (expires_at < created_at + interval '366 days') not valid;

-- --- what is proposed is bounded, and what was shown of its risk stands -------------------------------------------

alter table self_healing_patches
  add constraint content_is_bounded check (length(ai_diff_proposal) <= 1000000 and length(sql_migration) <= 1000000) not valid,
  add constraint description_is_bounded check (length(description) <= 8000) not valid;

create function shown_risk_stands() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if old.status <> 'proposed' or exists (select from approval_requests r where r.patch_id = old.id) then
    raise exception 'P-%: a risk once shown is never lowered', old.id using errcode = 'SH006';
  end if;
  return new;
end $$;
create trigger shown_risk before update on self_healing_patches for each row
  when (new.risk_score < old.risk_score or severity_rank(new.risk_level) < severity_rank(old.risk_level))
  execute function shown_risk_stands();
revoke execute on function shown_risk_stands() from public;

-- --- code behind tables of others ---------------------------------------------------------------------------------

-- A view, a policy or a cast of theirs runs in the sidecar's session and role when its table is read. What it does there
-- is undone at once: the rows stay, its writes and settings do not.
create or replace function adopted_rows(p_kind text, p_source text, p_since timestamptz, p_most integer,
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
  begin
    return query execute format(
      'select t.id::text, jsonb_build_object(%s) from %s t
       where (%s) and %s and t.id is not null
         and not exists (select from adopted_seen s where s.source = $1 and s.row_key = t.id::text)
       order by %s limit $3',
      adopted_columns(source), source, adopted_condition(p_kind, source),
      case when at is null or p_since is null then 'true' else format('(t.%1$I > $2 or t.%1$I is null)', at) end,
      case when at is null then '1' else format('t.%I', at) end)
      using p_source, p_since, p_most;
    raise exception using errcode = 'SH000';
  exception when sqlstate 'SH000' then null;
  end;
end $$;

create or replace function forget_adopted(p_source text) returns bigint
  language plpgsql set search_path from current
  as $$
declare
  source regclass := to_regclass(p_source);
  kept text[];
  gone bigint;
begin
  if source is not null then
    begin
      execute format('select coalesce(array_agg(t.id::text), ''{}'') from %s t
        where t.id::text in (select s.row_key from adopted_seen s where s.source = $1)', source) into kept using p_source;
      raise exception using errcode = 'SH000';
    exception when sqlstate 'SH000' then null;
    end;
  end if;
  delete from adopted_seen s where s.source = p_source
    and not exists (select from unnest(coalesce(kept, '{}')) k where k = s.row_key);
  get diagnostics gone = row_count;
  return gone;
end $$;

insert into schema_migrations (name) values ('341_least_right');
