-- The two gates: requests, decisions, deeds, switches and the founder's rules. What may pass a gate is decided
-- here, in triggers and checks, whatever a program above believes.

select set_config('role', role_name('owner'), true);

create table gate_switches (
  name text primary key check (name in ('auto_approve_sandbox', 'admin_sandbox')),
  enabled boolean not null default false,
  changed_by text not null default 'default',
  changed_at timestamptz not null default now()
);
comment on table gate_switches is 'What may loosen gate sandbox. Nothing here touches gate main: no switch for it exists.';
insert into gate_switches (name) values ('auto_approve_sandbox'), ('admin_sandbox');

create function switch_on(switch text) returns boolean
  language sql stable security definer set search_path from current
  as $$ select coalesce((select enabled from gate_switches where name = switch), false) $$;

create function set_switch(switch text, turn boolean, why text) returns void
  language plpgsql security definer set search_path from current
  as $$
begin
  if acting_role() <> 'owner' and not (acting_role() = 'founder' and may_act()) then
    raise exception 'gate switches are the founder''s' using errcode = '42501';
  end if;
  if switch_on(switch) is distinct from turn then
    update gate_switches set enabled = turn, changed_by = acting_name(), changed_at = now() where name = switch;
    if not found then
      raise exception 'there is no gate switch %', switch using errcode = 'SH007';
    end if;
    perform audit_append('switch.set', switch, to_jsonb(not turn), to_jsonb(turn), why);
  end if;
end $$;
revoke execute on function set_switch from public;

create table approval_requests (
  id bigint generated always as identity primary key,
  service text not null,
  item_type text not null check (item_type in ('claim', 'campaign', 'email', 'automation', 'brand_change', 'override',
    'patch_sandbox', 'patch_main')),
  status text not null default 'pending' check (status in ('pending', 'approved', 'rejected', 'deferred', 'expired', 'void')),
  summary text not null,
  risk_level text not null check (risk_level in ('low', 'medium', 'high', 'critical')),
  risk_score integer not null default 0 check (risk_score between 0 and 100),
  created_by text not null,
  created_role text not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  digest text,
  evidence_digest text,
  job_id bigint references self_healing_jobs,
  patch_id bigint references self_healing_patches,
  details jsonb not null default '{}',
  idempotency_key text unique,
  check (item_type not in ('patch_sandbox', 'patch_main') or (patch_id is not null and digest is not null)),
  check (item_type <> 'patch_main' or evidence_digest is not null)
);
comment on table approval_requests is 'A-<n>: somebody must say yes. Status moves only by decision, expiry or void.';
create unique index approval_requests_one_waiting on approval_requests (patch_id, item_type)
  where status in ('pending', 'deferred') and patch_id is not null;
create index approval_requests_patch on approval_requests (patch_id);
create index approval_requests_waiting on approval_requests (expires_at) where status in ('pending', 'deferred');

create table approval_decisions (
  id bigint generated always as identity primary key,
  approval_id bigint not null references approval_requests,
  item_type text not null,
  decision text not null check (decision in ('approve', 'reject', 'defer')),
  actor text not null,
  actor_role text not null,
  decided_at timestamptz not null default now(),
  reason text,
  interactive boolean not null default false,
  digest text,
  evidence_digest text,
  idempotency_key text not null unique,
  details jsonb not null default '{}',
  -- the second fence: whatever a trigger misses, this row cannot exist
  check (item_type <> 'patch_main' or decision <> 'approve' or actor_role = 'founder'),
  check (actor_role in ('founder', 'admin', 'proxy')),
  check (decision <> 'reject' or length(btrim(reason)) > 0)
);
comment on table approval_decisions is 'Append-only. One final decision per request; a deferral leaves it undecided.';
create unique index approval_decisions_once on approval_decisions (approval_id) where decision <> 'defer';
create index approval_decisions_of on approval_decisions (approval_id, id);

create table founder_decisions (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('sandbox', 'apply', 'rollback', 'break_glass')),
  patch_id bigint not null references self_healing_patches,
  digest text not null,
  evidence_digest text,
  idempotency_key text not null unique,
  actor text not null,
  actor_role text not null,
  reason text,
  interactive boolean not null default false,
  decided_at timestamptz not null default now(),
  status text not null default 'pending' check (status in ('pending', 'done', 'failed')),
  result jsonb not null default '{}',
  finished_at timestamptz,
  check (actor_role = 'founder' or (actor_role = 'admin' and kind = 'sandbox')),
  check (kind <> 'break_glass' or length(btrim(reason)) > 0)
);
comment on table founder_decisions is 'Deeds: what the founder ordered. The sidecar performs each once and writes the result.';
create unique index founder_decisions_one_pending on founder_decisions (patch_id, kind) where status = 'pending';
create index founder_decisions_patch on founder_decisions (patch_id, kind);

create table control_versions (
  version bigint primary key,
  rules jsonb not null check (jsonb_typeof(rules) = 'object'),
  changed_by text not null,
  changed_role text not null,
  changed_at timestamptz not null default now(),
  reason text not null check (length(btrim(reason)) > 0)
);
comment on table control_versions is 'The founder''s rules; the highest version wins. Append-only.';

create function guard_request() returns trigger
  language plpgsql security definer set search_path from current
  as $$
declare
  patch self_healing_patches%rowtype;
begin
  if acting_role() <> 'proxy' or new.created_by is null then
    new.created_by := acting_name();
  end if;
  new.created_role := acting_role();
  new.created_at := now();
  new.status := 'pending';
  new.expires_at := coalesce(new.expires_at, now() + interval '7 days');
  if new.item_type not in ('patch_sandbox', 'patch_main') then
    return new;
  end if;
  select * into patch from self_healing_patches p where p.id = new.patch_id for share;
  if not found then
    raise exception 'there is no patch P-%', new.patch_id using errcode = 'SH007';
  end if;
  if new.digest is not null and new.digest <> patch.digest then
    raise exception 'P-%: the digest is not that of the patch', patch.id using errcode = 'SH002';
  end if;
  if new.item_type = 'patch_main' then
    if patch.status <> 'sandbox_passed' then
      raise exception 'P-%: gate main opens only after a passed sandbox', patch.id using errcode = 'SH003';
    end if;
    if new.evidence_digest is not null and new.evidence_digest <> patch.evidence_digest then
      raise exception 'P-%: the evidence is not that of the patch', patch.id using errcode = 'SH002';
    end if;
    new.evidence_digest := patch.evidence_digest;
  elsif patch.status not in ('proposed', 'sandbox_passed', 'sandbox_failed') then
    raise exception 'P-%: a % patch goes into no sandbox', patch.id, patch.status using errcode = 'SH003';
  else
    new.evidence_digest := null;
  end if;
  new.digest := patch.digest;
  new.job_id := patch.job_id;
  new.service := patch.service;
  -- computed for the patch, never believed from a request
  new.risk_level := patch.risk_level;
  new.risk_score := patch.risk_score;
  return new;
end $$;
create trigger guard before insert on approval_requests for each row execute function guard_request();
create trigger nothing_is_deleted before delete on approval_requests for each row execute function forbid_change();
create trigger no_truncate before truncate on approval_requests for each statement execute function forbid_change();

create function guard_request_update() returns trigger
  language plpgsql set search_path from current
  as $$
begin
  if to_jsonb(new) - 'status' is distinct from to_jsonb(old) - 'status' then
    raise exception 'A-%: a request never changes; make another', old.id using errcode = 'SH006';
  end if;
  if not (old.status in ('pending', 'deferred') and new.status <> 'pending'
          or old.status = 'approved' and new.status = 'void') then
    raise exception 'A-%: % → % is no step', old.id, old.status, new.status using errcode = 'SH001';
  end if;
  return new;
end $$;
create trigger guard_update before update on approval_requests for each row execute function guard_request_update();

create function record_request() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('approval.requested', 'A-' || new.id, null, jsonb_strip_nulls(jsonb_build_object(
      'item_type', new.item_type, 'risk', new.risk_level, 'patch', 'P-' || new.patch_id, 'digest', new.digest,
      'evidence_digest', new.evidence_digest, 'created_by', new.created_by)), null);
    perform notify_event('approval', 'A-' || new.id, 'requested', new.risk_level);
  elsif new.status <> old.status then
    -- decisions write their own line; expiry and void have no other
    if new.status in ('expired', 'void') then
      perform audit_append('approval.' || new.status, 'A-' || new.id, jsonb_build_object('status', old.status),
        jsonb_build_object('status', new.status), null);
    end if;
    perform notify_event('approval', 'A-' || new.id, new.status, new.risk_level);
  end if;
  return null;
end $$;
create trigger record after insert or update on approval_requests for each row execute function record_request();

create function may_decide(item_type text, decision text, risk_level text) returns boolean
  language sql stable security definer set search_path from current
  as $$
  select may_act() and case acting_role()
    when 'founder' then true
    when 'admin' then case
      when decision <> 'approve' then true
      when item_type = 'patch_main' then false
      when item_type = 'patch_sandbox' then switch_on('admin_sandbox')
      when item_type in ('claim', 'override') then false
      else risk_level in ('low', 'medium') end
    -- the policy, speaking through the sidecar: it only ever says yes, and only to low risk
    when 'proxy' then decision = 'approve' and risk_level = 'low' and case
      when item_type = 'patch_sandbox' then switch_on('auto_approve_sandbox')
      else item_type in ('campaign', 'email', 'automation', 'brand_change') end
    else false end
$$;
comment on function may_decide is 'Who may say what to which item; gate main says yes to the founder only.';

create function guard_decision() returns trigger
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
  new.decided_at := now();
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
  if request.expires_at <= now() then
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
create trigger guard before insert on approval_decisions for each row execute function guard_decision();
create trigger append_only before update or delete on approval_decisions for each row execute function forbid_change();
create trigger no_truncate before truncate on approval_decisions for each statement execute function forbid_change();

create function record_decision() returns trigger
  language plpgsql security definer set search_path from current
  as $$
declare
  before_status text;
begin
  select r.status into before_status from approval_requests r where r.id = new.approval_id;
  perform audit_append('approval.decided', 'A-' || new.approval_id, jsonb_build_object('status', before_status),
    jsonb_strip_nulls(jsonb_build_object('decision', new.decision, 'item_type', new.item_type, 'digest', new.digest,
      'evidence_digest', new.evidence_digest, 'interactive', new.interactive, 'details', new.details)), new.reason);
  update approval_requests set status = case new.decision
    when 'approve' then 'approved' when 'reject' then 'rejected' else 'deferred' end
  where id = new.approval_id and status is distinct from case when new.decision = 'defer' then 'deferred' end;
  return null;
end $$;
create trigger record after insert on approval_decisions for each row execute function record_decision();

create function expire_approvals(moment timestamptz) returns setof bigint
  language plpgsql security definer set search_path from current
  as $$
begin
  return query
    with due as (
      select r.id from approval_requests r
      where r.status in ('pending', 'deferred') and r.expires_at <= moment order by r.id for update skip locked)
    update approval_requests a set status = 'expired' from due where a.id = due.id returning a.id;
end $$;
comment on function expire_approvals is 'Expiry means no, so an early one is safe.';
revoke execute on function expire_approvals from public;

create function void_stale_approvals(of_patch bigint) returns setof bigint
  language plpgsql security definer set search_path from current
  as $$
begin
  return query
    update approval_requests a set status = 'void'
    from self_healing_patches p
    where p.id = of_patch and a.patch_id = p.id and a.status in ('pending', 'deferred', 'approved')
      and (a.digest is distinct from p.digest
           or a.item_type = 'patch_main' and a.evidence_digest is distinct from p.evidence_digest
           or a.status <> 'approved' and p.status in ('rejected', 'superseded', 'rolled_back'))
    returning a.id;
end $$;
comment on function void_stale_approvals is 'Anything changed voids an approval. Runs by itself when a patch moves.';
revoke execute on function void_stale_approvals from public;

create function void_with_patch() returns trigger
  language plpgsql security definer set search_path from current
  as $$ begin perform void_stale_approvals(new.id); return null; end $$;
create trigger void_stale after update on self_healing_patches for each row
  when (old.status is distinct from new.status or old.evidence_digest is distinct from new.evidence_digest)
  execute function void_with_patch();

create function gate_passed(gate text, of_patch bigint, of_digest text, of_evidence text) returns boolean
  language sql stable security definer set search_path from current
  as $$
  select exists (
    select from approval_requests r join approval_decisions d on d.approval_id = r.id and d.decision = 'approve'
    where r.patch_id = of_patch and r.item_type = gate and r.status = 'approved'
      and r.digest = of_digest and d.digest = of_digest
      and (gate <> 'patch_main' or d.actor_role = 'founder' and r.evidence_digest = of_evidence
                                   and d.evidence_digest = of_evidence))
$$;

create function deed_stands(of_kind text, of_patch bigint, of_digest text, of_evidence text) returns boolean
  language sql stable security definer set search_path from current
  as $$
  select exists (
    select from founder_decisions f
    where f.kind = of_kind and f.patch_id = of_patch and f.digest = of_digest and f.status = 'pending'
      and (of_kind <> 'apply' or f.evidence_digest = of_evidence))
$$;

create function guard_gates() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if new.status = old.status then
    return new;
  end if;
  case new.status
    when 'sandbox_running' then
      if not (gate_passed('patch_sandbox', new.id, new.digest, null) or deed_stands('sandbox', new.id, new.digest, null)) then
        raise exception 'P-%: nobody let this digest into the sandbox', new.id using errcode = 'SH003';
      end if;
    when 'approved' then
      if not gate_passed('patch_main', new.id, new.digest, new.evidence_digest) then
        raise exception 'P-%: the founder has not approved this digest with this evidence', new.id using errcode = 'SH003';
      end if;
    when 'applied' then
      if not (gate_passed('patch_main', new.id, new.digest, new.evidence_digest)
              and deed_stands('apply', new.id, new.digest, new.evidence_digest)) then
        raise exception 'P-%: the founder has not ordered to apply this digest', new.id using errcode = 'SH003';
      end if;
    when 'rolled_back' then
      if not deed_stands('rollback', new.id, new.digest, null) then
        raise exception 'P-%: the founder has not ordered to roll this digest back', new.id using errcode = 'SH003';
      end if;
    else null;
  end case;
  return new;
end $$;
create trigger guard_gates before update of status on self_healing_patches for each row execute function guard_gates();

create function guard_deed() returns trigger
  language plpgsql security definer set search_path from current
  as $$
declare
  patch self_healing_patches%rowtype;
  possible text[];
begin
  if tg_op = 'UPDATE' then
    if to_jsonb(new) - 'status' - 'result' - 'finished_at' is distinct from to_jsonb(old) - 'status' - 'result' - 'finished_at' then
      raise exception 'a deed never changes' using errcode = 'SH006';
    end if;
    if old.status <> 'pending' or new.status = 'pending' then
      raise exception 'this deed is already %', old.status using errcode = 'SH004';
    end if;
    new.finished_at := now();
    return new;
  end if;
  new.actor := acting_name();
  new.actor_role := acting_role();
  new.decided_at := now();
  new.status := 'pending';
  if not may_act() or new.actor_role not in ('founder', 'admin')
     or new.actor_role = 'admin' and not (new.kind = 'sandbox' and switch_on('admin_sandbox')) then
    raise exception '% is a deed of the founder', new.kind using errcode = '42501';
  end if;
  select * into patch from self_healing_patches p where p.id = new.patch_id for share;
  if not found then
    raise exception 'there is no patch P-%', new.patch_id using errcode = 'SH007';
  end if;
  if new.digest is distinct from patch.digest
     or new.kind = 'apply' and new.evidence_digest is distinct from patch.evidence_digest then
    raise exception 'P-%: patch or evidence changed since it was shown', patch.id using errcode = 'SH002';
  end if;
  if new.kind in ('sandbox', 'apply') and exists (
      select from self_healing_jobs j where j.id = patch.job_id and j.status = 'closed') then
    raise exception 'J-% is closed; reopen it first', patch.job_id using errcode = 'SH003';
  end if;
  possible := case new.kind
    when 'sandbox' then array['proposed', 'sandbox_passed', 'sandbox_failed']
    when 'apply' then array['approved']
    when 'rollback' then array['applied', 'verified', 'regressed']
    else array['proposed', 'sandbox_passed', 'sandbox_failed', 'approved'] end;
  if not (patch.status = any (possible)) then
    raise exception 'P-%: % is no deed for a patch that is %', patch.id, new.kind, patch.status using errcode = 'SH003';
  end if;
  if new.kind = 'apply' and not gate_passed('patch_main', patch.id, patch.digest, patch.evidence_digest) then
    raise exception 'P-%: gate main has not passed for this digest', patch.id using errcode = 'SH003';
  end if;
  return new;
end $$;
create trigger guard before insert or update on founder_decisions for each row execute function guard_deed();
create trigger nothing_is_deleted before delete on founder_decisions for each row execute function forbid_change();
create trigger no_truncate before truncate on founder_decisions for each statement execute function forbid_change();

create function record_deed() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('deed.' || new.kind, 'P-' || new.patch_id, null, jsonb_strip_nulls(jsonb_build_object(
      'digest', new.digest, 'evidence_digest', new.evidence_digest, 'interactive', new.interactive,
      'severity', case when new.kind = 'break_glass' then 'critical' end)), new.reason);
    perform notify_event('patch', 'P-' || new.patch_id, 'deed_' || new.kind,
      case when new.kind = 'break_glass' then 'critical' end);
  else
    perform audit_append('deed.finished', 'P-' || new.patch_id, jsonb_build_object('kind', new.kind),
      jsonb_build_object('status', new.status, 'result', new.result), null);
    perform notify_event('patch', 'P-' || new.patch_id, 'deed_' || new.status, null);
  end if;
  return null;
end $$;
create trigger record after insert or update on founder_decisions for each row execute function record_deed();

create function guard_control() returns trigger
  language plpgsql security definer set search_path from current
  as $$
declare
  newest bigint;
begin
  select coalesce(max(v.version), 0) into newest from control_versions v;
  if new.version <> newest + 1 then
    raise exception 'the rules are at version % now', newest using errcode = 'SH002';
  end if;
  new.changed_by := acting_name();
  new.changed_role := acting_role();
  new.changed_at := now();
  return new;
end $$;
create trigger guard before insert on control_versions for each row execute function guard_control();
create trigger append_only before update or delete on control_versions for each row execute function forbid_change();
create trigger no_truncate before truncate on control_versions for each statement execute function forbid_change();

create function record_control() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  perform audit_append('control.version', 'control',
    (select v.rules from control_versions v where v.version = new.version - 1), new.rules, new.reason);
  perform notify_event('audit', 'control', 'version', null);
  return null;
end $$;
create trigger record after insert on control_versions for each row execute function record_control();

alter table gate_switches enable row level security;
alter table gate_switches force row level security;
alter table approval_requests enable row level security;
alter table approval_requests force row level security;
alter table approval_decisions enable row level security;
alter table approval_decisions force row level security;
alter table founder_decisions enable row level security;
alter table founder_decisions force row level security;
alter table control_versions enable row level security;
alter table control_versions force row level security;

create view approvals as
  select r.id, r.service, r.item_type, r.status, r.summary, r.risk_level, r.risk_score, r.created_by, r.created_at,
         r.expires_at, r.digest, r.evidence_digest, r.job_id, r.patch_id,
         case when (select sees_content()) then r.details else '{}' end as details,
         d.decision, d.actor, d.actor_role, d.decided_at,
         case when (select sees_content()) then d.reason end as decision_reason, d.interactive
  from approval_requests r
  left join lateral (select * from approval_decisions x where x.approval_id = r.id order by x.id desc limit 1) d on true
  where (select may_act());
comment on view approvals is 'Requests with their last decision, as their reader may see them.';

select as_roles($sql$
  create policy owner_all on gate_switches to sh_owner using (true) with check (true);
  create policy owner_all on approval_requests to sh_owner using (true) with check (true);
  create policy owner_all on approval_decisions to sh_owner using (true) with check (true);
  create policy owner_all on founder_decisions to sh_owner using (true) with check (true);
  create policy owner_all on control_versions to sh_owner using (true) with check (true);

  create policy readers on gate_switches for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  create policy readers on approval_requests for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  create policy readers on approval_decisions for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  create policy readers on founder_decisions for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  create policy readers on control_versions for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  create policy ask on approval_requests for insert to sh_proxy, sh_admin, sh_founder with check ((select may_act()));
  create policy decide on approval_decisions for insert to sh_proxy, sh_admin, sh_founder with check ((select may_act()));
  create policy order_deed on founder_decisions for insert to sh_admin, sh_founder with check ((select may_act()));
  create policy finish_deed on founder_decisions for update to sh_proxy using ((select may_act())) with check ((select may_act()));
  create policy write_rules on control_versions for insert to sh_proxy, sh_founder with check ((select may_act()));

  grant select on approvals to sh_proxy, sh_agent, sh_viewer, sh_admin, sh_founder;
  grant select on gate_switches, approval_requests, approval_decisions, founder_decisions, control_versions
    to sh_proxy, sh_admin, sh_founder;
  grant insert (service, item_type, summary, risk_level, risk_score, created_by, expires_at, digest, evidence_digest,
    job_id, patch_id, details, idempotency_key) on approval_requests to sh_proxy, sh_admin, sh_founder;
  grant insert (approval_id, decision, reason, interactive, digest, evidence_digest, idempotency_key, details)
    on approval_decisions to sh_proxy, sh_admin, sh_founder;
  grant insert (kind, patch_id, digest, evidence_digest, idempotency_key, reason, interactive)
    on founder_decisions to sh_admin, sh_founder;
  grant update (status, result, finished_at) on founder_decisions to sh_proxy;
  grant insert (version, rules, reason) on control_versions to sh_proxy, sh_founder;
  grant execute on function set_switch(text, boolean, text) to sh_founder;
  grant execute on function expire_approvals(timestamptz), void_stale_approvals(bigint) to sh_proxy;
$sql$);

insert into schema_migrations (name) values ('317_governance');
