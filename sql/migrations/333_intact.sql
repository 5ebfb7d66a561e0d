-- One byte changed after it was approved, by whoever got past the triggers: refused at every later step. Digests are
-- computed anew from what stands, and not believed. A rollback is never held back by it.

select set_config('role', role_name('owner'), true);

create function check_intact(patch self_healing_patches) returns void
  language plpgsql stable set search_path from current
  as $$
begin
  if patch.digest is distinct from patch_digest(patch.base_commit, patch.ai_diff_proposal, patch.sql_migration) then
    raise exception 'P-%: base, diff or SQL is not what its digest says', patch.id using errcode = 'SH002';
  end if;
  if patch.evidence is not null
     and patch.evidence_digest is distinct from encode(sha256(convert_to(patch.evidence, 'UTF8')), 'hex') then
    raise exception 'P-%: the evidence is not what its digest says', patch.id using errcode = 'SH002';
  end if;
end $$;

create function patch_intact() returns trigger
  language plpgsql security definer set search_path from current
  as $$ begin perform check_intact(new); return new; end $$;
-- after guard and guard_gates in the order of names: evidence that just came has its digest by then
create trigger intact before update of status on self_healing_patches for each row
  when (new.status in ('sandbox_running', 'approved', 'applied') and new.status <> old.status) execute function patch_intact();

create function deed_intact() returns trigger
  language plpgsql security definer set search_path from current
  as $$
declare
  patch self_healing_patches%rowtype;
begin
  select * into patch from self_healing_patches p where p.id = new.patch_id;
  perform check_intact(patch);
  return new;
end $$;
create trigger intact before insert on founder_decisions for each row when (new.kind <> 'rollback') execute function deed_intact();

create function decision_intact() returns trigger
  language plpgsql security definer set search_path from current
  as $$
declare
  patch self_healing_patches%rowtype;
begin
  select p.* into patch from self_healing_patches p join approval_requests r on r.patch_id = p.id where r.id = new.approval_id;
  if found then
    perform check_intact(patch);
  end if;
  return new;
end $$;
create trigger intact before insert on approval_decisions for each row when (new.decision = 'approve') execute function decision_intact();

insert into schema_migrations (name) values ('333_intact');
