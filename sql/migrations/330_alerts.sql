-- What must be seen: broken glass, critical jobs, decisions about to expire. Each is shown, and told again, until
-- somebody acknowledged it. And the one way past gate main without a proof: the founder breaks the glass.

select set_config('role', role_name('owner'), true);

create table acknowledgements (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('break_glass', 'critical_job', 'expiring')),
  subject text not null check (subject ~ '^[JPA]-[1-9][0-9]{0,17}$'),
  note text not null default '' check (length(note) <= 2000),
  actor text not null default '',
  actor_role text not null default '' check (actor_role in ('founder', 'admin')),
  at timestamptz not null default now()
);
comment on table acknowledgements is 'Append-only: who saw what, and when. It silences an alert and decides nothing.';
create index acknowledgements_of on acknowledgements (kind, subject, at desc);

create function guard_acknowledgement() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if not may_act() or acting_role() not in ('founder', 'admin') then
    raise exception 'only a person acknowledges' using errcode = '42501';
  end if;
  new.actor := acting_name();
  new.actor_role := acting_role();
  new.at := now();
  if not exists (select from open_alerts(interval '100 years') a where a.kind = new.kind and a.subject = new.subject) then
    raise exception 'nothing of kind % waits at % to be acknowledged', new.kind, new.subject using errcode = 'SH007';
  end if;
  perform audit_append('alert.acknowledged', new.subject, null, jsonb_build_object('kind', new.kind), nullif(new.note, ''));
  perform notify_event(case left(new.subject, 1) when 'J' then 'job' when 'P' then 'patch' else 'approval' end,
    new.subject, 'acknowledged', 'low');
  return new;
end $$;
create trigger guard before insert on acknowledgements for each row execute function guard_acknowledgement();
create trigger append_only before update or delete on acknowledgements for each row execute function forbid_change();
create trigger no_truncate before truncate on acknowledgements for each statement execute function forbid_change();

create function open_alerts(warn_before interval)
  returns table (kind text, subject text, severity text, since timestamptz, summary text, expires_at timestamptz)
  language sql stable security definer set search_path from current
  as $$
  with alert as (
    select 'break_glass' as kind, 'P-' || f.patch_id as subject, 'critical' as severity, max(f.decided_at) as since,
           'P-' || f.patch_id || ' went past gate main without a proof' as summary, null::timestamptz as expires_at
    from founder_decisions f where f.kind = 'break_glass' group by f.patch_id
    union all
    select 'critical_job', 'J-' || j.id, 'critical', coalesce(j.regressed_at, j.created_at),
           concat_ws(' ', j.error_category, j.method, j.route), null
    from self_healing_jobs j
    where j.severity = 'critical' and not j.noise and j.status in ('open', 'patch_proposed', 'sandboxed', 'approved')
    union all
    select 'expiring', 'A-' || r.id, r.risk_level, r.created_at, r.item_type || ': ' || left(r.summary, 200), r.expires_at
    from approval_requests r
    where r.status in ('pending', 'deferred') and r.expires_at > now() and r.expires_at <= now() + warn_before
  )
  select a.kind, a.subject, a.severity, a.since, a.summary, a.expires_at from alert a
  where (select may_act())
    and not exists (select from acknowledgements k where k.kind = a.kind and k.subject = a.subject and k.at >= a.since)
  order by case a.severity when 'critical' then 0 when 'high' then 1 when 'medium' then 2 else 3 end, a.since
$$;
comment on function open_alerts is 'What nobody has acknowledged since it began. warn_before: how long before its end a decision is expiring.';
revoke execute on function open_alerts from public;

-- --- broken glass -------------------------------------------------------------------------------------------

alter table founder_decisions add constraint break_glass_says_why
  check (kind <> 'break_glass' or length(btrim(reason)) >= 10);

insert into patch_steps (old, new, role) values
  ('proposed', 'approved', 'founder'),
  ('sandbox_failed', 'approved', 'founder');

create function glass_broken(of_patch bigint, of_digest text) returns boolean
  language sql stable security definer set search_path from current
  as $$
  select exists (
    select from founder_decisions f
    where f.kind = 'break_glass' and f.patch_id = of_patch and f.digest = of_digest and f.actor_role = 'founder')
$$;
comment on function glass_broken is 'The founder let exactly this digest past gate main, with a typed reason and under the eyes of the audit.';

create or replace function guard_gates() returns trigger
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
      if not (gate_passed('patch_main', new.id, new.digest, new.evidence_digest) or glass_broken(new.id, new.digest)) then
        raise exception 'P-%: the founder has not approved this digest with this evidence', new.id using errcode = 'SH003';
      end if;
    when 'applied' then
      if not ((gate_passed('patch_main', new.id, new.digest, new.evidence_digest) or glass_broken(new.id, new.digest))
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

create or replace function deed_stands(of_kind text, of_patch bigint, of_digest text, of_evidence text) returns boolean
  language sql stable security definer set search_path from current
  as $$
  select exists (
    select from founder_decisions f
    where f.kind = of_kind and f.patch_id = of_patch and f.digest = of_digest and f.status = 'pending'
      and (of_kind <> 'apply' or f.evidence_digest is not distinct from of_evidence))
$$;

create or replace function guard_deed() returns trigger
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
  if new.kind in ('sandbox', 'apply', 'break_glass') and exists (
      select from self_healing_jobs j where j.id = patch.job_id and j.status = 'closed') then
    raise exception 'J-% is closed; reopen it first', patch.job_id using errcode = 'SH003';
  end if;
  possible := case new.kind
    when 'sandbox' then array['proposed', 'sandbox_passed', 'sandbox_failed']
    when 'apply' then array['approved']
    when 'rollback' then array['applied', 'verified', 'regressed']
    else array['proposed', 'sandbox_passed', 'sandbox_failed'] end;
  if not (patch.status = any (possible)) then
    raise exception 'P-%: % is no deed for a patch that is %', patch.id, new.kind, patch.status using errcode = 'SH003';
  end if;
  if new.kind = 'apply' and not (gate_passed('patch_main', patch.id, patch.digest, patch.evidence_digest)
                                 or glass_broken(patch.id, patch.digest)) then
    raise exception 'P-%: gate main has not passed for this digest', patch.id using errcode = 'SH003';
  end if;
  return new;
end $$;

create function finish_break_glass() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  update founder_decisions f set status = 'done', result = jsonb_build_object('message', 'past gate main')
  where f.patch_id = new.id and f.kind = 'break_glass' and f.status = 'pending';
  if found then
    -- the question is settled; an answer could only confuse
    update approval_requests r set status = 'void' where r.patch_id = new.id and r.status in ('pending', 'deferred');
  end if;
  return null;
end $$;
create trigger finish_break_glass after update of status on self_healing_patches for each row
  when (new.status = 'approved' and old.status <> 'approved') execute function finish_break_glass();

create or replace function audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) returns bigint
  language plpgsql security definer set search_path from current
  as $$
begin
  if not may_act() or acting_role() not in ('proxy', 'admin', 'founder') then
    raise exception 'this role writes nothing into the audit' using errcode = '42501';
  end if;
  if p_action !~ '^[a-z_]+(\.[a-z_]+)*$'
     or p_action ~ '^(job|patch|approval|deed|control|switch|member|deploy|alert)\.' then
    raise exception 'action % is written by the database itself, or is no action', p_action using errcode = '42501';
  end if;
  return audit_append(p_action, left(p_subject, 200), p_before, p_after, left(p_reason, 4000));
end $$;

alter table acknowledgements enable row level security;
alter table acknowledgements force row level security;

select as_roles($sql$
  create policy owner_all on acknowledgements to sh_owner using (true) with check (true);
  create policy readers on acknowledgements for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  create policy acknowledge on acknowledgements for insert to sh_admin, sh_founder with check ((select may_act()));
  grant select on acknowledgements to sh_proxy, sh_admin, sh_founder;
  grant insert (kind, subject, note) on acknowledgements to sh_admin, sh_founder;
  grant execute on function open_alerts(interval) to sh_proxy, sh_admin, sh_founder;
$sql$);

insert into schema_migrations (name) values ('330_alerts');
