-- Jobs and patches: what is broken, what was proposed, and the steps each may take. Row-level security is forced;
-- the steps are rows, read by triggers, and equal the tables of proxy/domain.

select set_config('role', role_name('owner'), true);

create table job_steps (
  old text not null,
  new text not null,
  role text not null,
  primary key (old, new, role)
);
comment on table job_steps is 'Who may take which step; proxy/domain/job.py holds the same table.';
insert into job_steps (old, new, role)
  select s.old, s.new, s.role from (values
    ('open', 'patch_proposed', 'proxy'),
    ('patch_proposed', 'sandboxed', 'proxy'),
    ('sandboxed', 'patch_proposed', 'proxy'),
    ('sandboxed', 'approved', 'proxy'),
    ('approved', 'applied', 'proxy'),
    ('applied', 'resolved', 'proxy'),
    ('patch_proposed', 'open', 'proxy'),
    ('sandboxed', 'open', 'proxy'),
    ('approved', 'open', 'proxy'),
    ('approved', 'patch_proposed', 'proxy'),
    ('approved', 'sandboxed', 'proxy'),
    ('applied', 'open', 'proxy'),
    ('resolved', 'open', 'proxy')
  ) s (old, new, role)
  union all
  select 'snoozed', 'open', role from unnest(array['proxy', 'founder', 'admin']) role
  union all
  select 'closed', 'open', role from unnest(array['founder', 'admin']) role
  union all
  select old, 'snoozed', role
  from unnest(array['open', 'patch_proposed', 'sandboxed', 'approved']) old, unnest(array['founder', 'admin']) role
  union all
  select old, 'closed', role
  from unnest(array['open', 'patch_proposed', 'sandboxed', 'approved', 'applied', 'resolved', 'snoozed']) old,
       unnest(array['founder', 'admin']) role;

create table patch_steps (
  old text not null,
  new text not null,
  role text not null,
  primary key (old, new, role)
);
comment on table patch_steps is 'Who may take which step; proxy/domain/patch.py holds the same table.';
insert into patch_steps (old, new, role)
  select s.old, s.new, s.role from (values
    ('proposed', 'sandbox_running', 'proxy'),
    ('sandbox_passed', 'sandbox_running', 'proxy'),
    ('sandbox_failed', 'sandbox_running', 'proxy'),
    ('sandbox_running', 'sandbox_passed', 'proxy'),
    ('sandbox_running', 'sandbox_failed', 'proxy'),
    ('sandbox_passed', 'approved', 'founder'),
    ('approved', 'applied', 'proxy'),
    ('applied', 'verified', 'proxy'),
    ('applied', 'regressed', 'proxy'),
    ('verified', 'regressed', 'proxy'),
    ('applied', 'rolled_back', 'proxy'),
    ('verified', 'rolled_back', 'proxy'),
    ('regressed', 'rolled_back', 'proxy')
  ) s (old, new, role)
  union all
  select old, 'rejected', role
  from unnest(array['proposed', 'sandbox_running', 'sandbox_passed', 'sandbox_failed', 'approved']) old,
       unnest(array['founder', 'admin']) role
  union all
  select old, 'superseded', 'proxy'
  from unnest(array['proposed', 'sandbox_running', 'sandbox_passed', 'sandbox_failed', 'approved']) old;

create function check_step(noun text, allowed text[], old text, new text) returns void
  language plpgsql set search_path from current
  as $$
begin
  if allowed is null then
    raise exception '%: % → % is no step', noun, old, new using errcode = 'SH001';
  elsif not may_act() or not (acting_role() = any (allowed)) then
    raise exception '%: % → % is no step for %', noun, old, new, acting_role() using errcode = '42501';
  end if;
end $$;

create function severity_rank(word text) returns smallint
  language sql immutable
  as $$ select case word when 'low' then 0 when 'medium' then 1 when 'high' then 2 when 'critical' then 3 end::smallint $$;
comment on function severity_rank is 'As text medium sorts before high.';

-- --- jobs ---------------------------------------------------------------------------------------------------

create table self_healing_jobs (
  id bigint generated always as identity primary key,
  service text not null,
  environment text not null default 'production',
  method text,
  route text,
  error_signature text not null,
  signature_text text not null default '',
  error_category text not null check (error_category in ('RLS_VIOLATION', 'AUTH_FAILURE', 'SSR_HYDRATION',
    'API_SCHEMA', 'PERFORMANCE', 'UI_BUG', 'REDIRECT_LOOP', 'DB_ERROR', 'UNKNOWN')),
  severity text not null check (severity in ('low', 'medium', 'high', 'critical')),
  status text not null default 'open' check (status in ('open', 'patch_proposed', 'sandboxed', 'approved',
    'applied', 'resolved', 'snoozed', 'closed')),
  occurrences bigint not null default 1 check (occurrences >= 1),
  first_seen timestamptz not null,
  last_seen timestamptz not null,
  rule text not null default '',
  evidence text[] not null default '{}',
  reason text,
  regression boolean not null default false,
  regressed_at timestamptz,
  noise boolean not null default false,
  snoozed_until timestamptz,
  trace_id text,
  related_observability_log_ids uuid[] not null default '{}',
  related_anomaly_ids uuid[] not null default '{}',
  ai_summary text,
  ai_recommended_actions text[] not null default '{}',
  closed_reason text,
  applied_at timestamptz,
  resolved_at timestamptz,
  sampled_at timestamptz,
  replayable boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
comment on table self_healing_jobs is 'One distinct bug each: at most one that is not closed per service, environment and signature.';
create unique index self_healing_jobs_one_open on self_healing_jobs (service, environment, error_signature)
  where status <> 'closed';
create index self_healing_jobs_list on self_healing_jobs (severity_rank(severity) desc, last_seen desc, id desc)
  where status in ('open', 'patch_proposed', 'sandboxed', 'approved', 'applied', 'snoozed') and not noise;
create index self_healing_jobs_snoozed on self_healing_jobs (snoozed_until) where status = 'snoozed';
create index self_healing_jobs_resolved on self_healing_jobs (resolved_at) where status = 'resolved';

create table self_healing_events (
  id bigint generated always as identity primary key,
  job_id bigint not null references self_healing_jobs,
  occurred_at timestamptz not null,
  failure jsonb not null,
  request jsonb,
  request_body bytea,
  created_at timestamptz not null default now()
);
comment on table self_healing_events is 'At most 20 kept samples a job, redacted before they came here.';
create index self_healing_events_job on self_healing_events (job_id, id desc);

create table self_healing_links (
  job_id bigint not null references self_healing_jobs,
  kind text not null check (kind in ('log', 'anomaly')),
  ref uuid not null,
  at timestamptz not null default now(),
  primary key (job_id, kind, ref)
);
comment on table self_healing_links is 'Every log row and anomaly of a job; the arrays on the job keep the last 50.';
create index self_healing_links_ref on self_healing_links (ref);
create index self_healing_links_at on self_healing_links (at);

create table self_healing_aliases (
  service text not null,
  environment text not null,
  error_signature text not null,
  stands_for text not null,
  primary key (service, environment, error_signature),
  check (error_signature <> stands_for)
);
comment on table self_healing_aliases is 'A merge is durable: failures of this signature belong to the job of the other.';

create function guard_job() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if tg_op = 'INSERT' then
    if new.status <> 'open' then
      raise exception 'a job starts open' using errcode = 'SH001';
    end if;
    return new;
  end if;
  if (new.id, new.service, new.environment, new.created_at)
     is distinct from (old.id, old.service, old.environment, old.created_at) then
    raise exception 'J-%: what identifies a job stays', old.id using errcode = 'SH006';
  end if;
  if new.status is distinct from old.status then
    perform check_step('J-' || old.id,
      (select array_agg(s.role) from job_steps s where s.old = old.status and s.new = new.status),
      old.status, new.status);
    case new.status
      when 'applied' then new.applied_at := now(); new.regression := false;
      when 'resolved' then new.resolved_at := now();
      when 'snoozed' then
        if new.snoozed_until is null or new.snoozed_until <= now() then
          raise exception 'J-%: a snooze ends in the future', old.id using errcode = '22023';
        end if;
      else null;
    end case;
    if new.status <> 'snoozed' then
      new.snoozed_until := null;
    end if;
  end if;
  new.updated_at := now();
  return new;
end $$;
create trigger guard before insert or update on self_healing_jobs for each row execute function guard_job();
create trigger nothing_is_deleted before delete on self_healing_jobs for each row execute function forbid_change();
create trigger no_truncate before truncate on self_healing_jobs for each statement execute function forbid_change();

create function record_job() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('job.created', 'J-' || new.id, null, jsonb_build_object(
      'service', new.service, 'environment', new.environment, 'signature', new.error_signature,
      'category', new.error_category, 'severity', new.severity, 'rule', new.rule), new.reason);
    perform notify_event('job', 'J-' || new.id, 'created', new.severity);
    return null;
  end if;
  if new.status <> old.status then
    perform audit_append('job.status', 'J-' || new.id, jsonb_build_object('status', old.status),
      jsonb_build_object('status', new.status) || case when new.regression and not old.regression
        then '{"regression": true}' else '{}' end::jsonb,
      case when new.status in ('closed', 'snoozed') then new.closed_reason end);
    perform notify_event('job', 'J-' || new.id, new.status, new.severity);
  elsif new.severity <> old.severity then
    perform notify_event('job', 'J-' || new.id, 'severity', new.severity);
  end if;
  if (new.ai_summary, new.ai_recommended_actions) is distinct from (old.ai_summary, old.ai_recommended_actions) then
    perform audit_append('job.summary', 'J-' || new.id, to_jsonb(old.ai_summary), to_jsonb(new.ai_summary), null);
  end if;
  return null;
end $$;
create trigger record_insert after insert on self_healing_jobs for each row execute function record_job();
-- not on every occurrence: a thousand failures of one bug write no thousand audit rows
create trigger record_update after update on self_healing_jobs for each row
  when (old.status is distinct from new.status or old.severity is distinct from new.severity
        or old.ai_summary is distinct from new.ai_summary
        or old.ai_recommended_actions is distinct from new.ai_recommended_actions)
  execute function record_job();

-- --- patches ------------------------------------------------------------------------------------------------

create function json_text(value text) returns text
  language sql immutable
  as $$ select coalesce(to_json(value)::text, 'null') $$;

create function patch_digest(base_commit text, diff text, sql text) returns text
  language sql stable set search_path from current
  as $$
  select encode(sha256(convert_to(
    '{"base_commit":' || json_text(base_commit) || ',"diff":' || json_text(diff) || ',"sql":' || json_text(sql) || '}',
    'UTF8')), 'hex')
$$;
comment on function patch_digest is 'SHA-256 of the canonical JSON; proxy/domain/patch.py computes the same.';

create table self_healing_patches (
  id bigint generated always as identity primary key,
  job_id bigint not null references self_healing_jobs,
  service text not null,
  patch_type text not null check (patch_type in ('code', 'sql_migration', 'config', 'dependency', 'test', 'manual')),
  description text not null default '',
  files_changed text[] not null default '{}',
  sql_migration_path text,
  ai_diff_proposal text,
  sql_migration text,
  base_commit text,
  ai_patch_payload jsonb not null default '{}',
  digest text not null,
  risk_score integer not null default 100 check (risk_score between 0 and 100),
  risk_level text not null default 'critical' check (risk_level in ('low', 'medium', 'high', 'critical')),
  risk_reasons text[] not null default '{not weighed yet}',
  confidence_score double precision check (confidence_score between 0 and 1),
  status text not null default 'proposed' check (status in ('proposed', 'sandbox_running', 'sandbox_passed',
    'sandbox_failed', 'approved', 'applied', 'verified', 'regressed', 'rolled_back', 'rejected', 'superseded')),
  status_reason text,
  evidence text,
  evidence_digest text,
  sandbox_branch text,
  applied_commit text,
  previous_commit text,
  created_by text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  check (patch_type = 'manual' or num_nonnulls(ai_diff_proposal, sql_migration) > 0),
  check ((evidence is null) = (evidence_digest is null))
);
comment on table self_healing_patches is 'A proposed change. Its content never changes; digest names it.';
comment on column self_healing_patches.evidence is 'The sandbox report as canonical JSON text: evidence_digest is the hash of these very bytes.';
create unique index self_healing_patches_one_live on self_healing_patches (job_id, digest)
  where status in ('proposed', 'sandbox_running', 'sandbox_passed', 'sandbox_failed', 'approved') and patch_type <> 'manual';
create index self_healing_patches_job on self_healing_patches (job_id, id);
create index self_healing_patches_status on self_healing_patches (status);

create function guard_patch() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if tg_op = 'INSERT' then
    if new.status <> 'proposed' then
      raise exception 'a patch starts proposed' using errcode = 'SH001';
    end if;
    select j.service into new.service from self_healing_jobs j where j.id = new.job_id;
    if new.service is null then
      raise exception 'there is no job J-%', new.job_id using errcode = 'SH007';
    end if;
    new.digest := patch_digest(new.base_commit, new.ai_diff_proposal, new.sql_migration);
    if acting_role() <> 'proxy' or new.created_by is null then
      new.created_by := acting_name();
    end if;
    new.created_at := now();
    return new;
  end if;
  if (new.id, new.job_id, new.service, new.patch_type, new.description, new.ai_diff_proposal, new.sql_migration,
      new.base_commit, new.digest, new.files_changed, new.sql_migration_path, new.ai_patch_payload,
      new.created_by, new.created_at)
     is distinct from
     (old.id, old.job_id, old.service, old.patch_type, old.description, old.ai_diff_proposal, old.sql_migration,
      old.base_commit, old.digest, old.files_changed, old.sql_migration_path, old.ai_patch_payload,
      old.created_by, old.created_at) then
    raise exception 'P-%: the content of a patch never changes; attach another', old.id using errcode = 'SH006';
  end if;
  if new.status is distinct from old.status then
    perform check_step('P-' || old.id,
      (select array_agg(s.role) from patch_steps s where s.old = old.status and s.new = new.status),
      old.status, new.status);
  end if;
  if new.risk_score < old.risk_score and old.status <> 'proposed' then
    raise exception 'P-%: a risk once shown is never lowered', old.id using errcode = 'SH006';
  end if;
  if new.evidence is distinct from old.evidence or new.evidence_digest is distinct from old.evidence_digest then
    if old.status <> 'sandbox_running' or new.status not in ('sandbox_passed', 'sandbox_failed') then
      raise exception 'P-%: evidence comes from a sandbox run only', old.id using errcode = 'SH006';
    end if;
    if new.evidence_digest is not null and new.evidence_digest is distinct from old.evidence_digest
       and new.evidence_digest <> encode(sha256(convert_to(coalesce(new.evidence, ''), 'UTF8')), 'hex') then
      raise exception 'P-%: the evidence is not what its digest says', old.id using errcode = 'SH002';
    end if;
    new.evidence_digest := encode(sha256(convert_to(new.evidence, 'UTF8')), 'hex');
  end if;
  if new.status = 'sandbox_passed' and old.status <> 'sandbox_passed'
     and (new.evidence is null or new.evidence::jsonb ->> 'digest' is distinct from new.digest) then
    raise exception 'P-%: a passed sandbox needs evidence for exactly this digest', old.id using errcode = 'SH002';
  end if;
  new.updated_at := now();
  return new;
end $$;
create trigger guard before insert or update on self_healing_patches for each row execute function guard_patch();
create trigger nothing_is_deleted before delete on self_healing_patches for each row execute function forbid_change();
create trigger no_truncate before truncate on self_healing_patches for each statement execute function forbid_change();

create function record_patch() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('patch.created', 'P-' || new.id, null, jsonb_build_object(
      'job', 'J-' || new.job_id, 'digest', new.digest, 'type', new.patch_type, 'created_by', new.created_by), null);
    perform notify_event('patch', 'P-' || new.id, 'created', new.risk_level);
  elsif new.status <> old.status then
    perform audit_append('patch.status', 'P-' || new.id, jsonb_build_object('status', old.status),
      jsonb_strip_nulls(jsonb_build_object('status', new.status, 'digest', new.digest,
        'evidence_digest', new.evidence_digest, 'applied_commit', new.applied_commit,
        'previous_commit', new.previous_commit)), new.status_reason);
    perform notify_event('patch', 'P-' || new.id, new.status, new.risk_level);
  elsif new.risk_score <> old.risk_score then
    perform audit_append('patch.risk', 'P-' || new.id, jsonb_build_object('score', old.risk_score),
      jsonb_build_object('score', new.risk_score, 'reasons', to_jsonb(new.risk_reasons)), null);
  end if;
  return null;
end $$;
create trigger record after insert or update on self_healing_patches for each row execute function record_patch();

-- --- who sees and does what ---------------------------------------------------------------------------------

alter table self_healing_jobs enable row level security;
alter table self_healing_jobs force row level security;
alter table self_healing_events enable row level security;
alter table self_healing_events force row level security;
alter table self_healing_links enable row level security;
alter table self_healing_links force row level security;
alter table self_healing_aliases enable row level security;
alter table self_healing_aliases force row level security;
alter table self_healing_patches enable row level security;
alter table self_healing_patches force row level security;

create function sees_content() returns boolean
  language sql stable set search_path from current
  as $$ select acting_role() in ('proxy', 'admin', 'founder') $$;
comment on function sees_content is 'Agents and viewers see what happened, not the words, bodies and stacks of other people''s traffic.';

create view jobs as
  select id, service, environment, method, route, error_signature, signature_text, error_category, severity, status,
         occurrences, first_seen, last_seen, rule,
         case when (select sees_content()) then evidence else '{}' end as evidence,
         reason, regression, noise, snoozed_until, trace_id, related_observability_log_ids, related_anomaly_ids,
         ai_summary, ai_recommended_actions, closed_reason, applied_at, resolved_at
  from self_healing_jobs where (select may_act());
comment on view jobs is 'Jobs as their reader may see them.';

create view job_events as
  select id, job_id, occurred_at,
         case when (select sees_content()) then failure
              else failure - 'stack' - 'body' - 'response_excerpt' - 'client' - 'user_agent' end as failure,
         case when (select sees_content()) then request end as request,
         case when (select sees_content()) then request_body end as request_body
  from self_healing_events where (select may_act());
comment on view job_events is 'Samples as their reader may see them: no stacks, bodies or requests for agents and viewers.';

create view patches as
  select id, job_id, service, patch_type, description, files_changed, sql_migration_path, ai_diff_proposal,
         sql_migration, base_commit,
         case when (select sees_content()) then ai_patch_payload else '{}' end as ai_patch_payload,
         digest, risk_score, risk_level, risk_reasons, confidence_score, status,
         case when (select sees_content()) then evidence end as evidence,
         evidence_digest, sandbox_branch, applied_commit, previous_commit, created_by, created_at
  from self_healing_patches where (select may_act());
comment on view patches is 'Patches as their reader may see them.';

select as_roles($sql$
  create policy owner_all on self_healing_jobs to sh_owner using (true) with check (true);
  create policy owner_all on self_healing_events to sh_owner using (true) with check (true);
  create policy owner_all on self_healing_links to sh_owner using (true) with check (true);
  create policy owner_all on self_healing_aliases to sh_owner using (true) with check (true);
  create policy owner_all on self_healing_patches to sh_owner using (true) with check (true);

  create policy sidecar on self_healing_jobs to sh_proxy using ((select may_act())) with check ((select may_act()));
  create policy sidecar on self_healing_events to sh_proxy using ((select may_act())) with check ((select may_act()));
  create policy sidecar on self_healing_links to sh_proxy using ((select may_act())) with check ((select may_act()));
  create policy sidecar on self_healing_aliases to sh_proxy using ((select may_act())) with check ((select may_act()));
  create policy sidecar on self_healing_patches to sh_proxy using ((select may_act())) with check ((select may_act()));

  create policy people on self_healing_jobs to sh_founder, sh_admin using ((select may_act())) with check ((select may_act()));
  create policy people on self_healing_events for select to sh_founder, sh_admin using ((select may_act()));
  create policy people on self_healing_links for select to sh_founder, sh_admin using ((select may_act()));
  create policy people on self_healing_aliases to sh_founder, sh_admin using ((select may_act())) with check ((select may_act()));
  create policy people on self_healing_patches to sh_founder, sh_admin using ((select may_act())) with check ((select may_act()));

  create policy agents on self_healing_jobs to sh_agent using ((select may_act())) with check ((select may_act()));
  create policy agents on self_healing_patches for select to sh_agent using ((select may_act()));
  create policy agents_propose on self_healing_patches for insert to sh_agent with check ((select may_act()));

  grant select on jobs, job_events, patches to sh_proxy, sh_agent, sh_viewer, sh_admin, sh_founder;
  grant select on job_steps, patch_steps to sh_proxy, sh_agent, sh_viewer, sh_admin, sh_founder;

  grant select, insert on self_healing_jobs, self_healing_patches to sh_proxy;
  grant select, insert, delete on self_healing_events, self_healing_links to sh_proxy;
  grant select on self_healing_aliases to sh_proxy;
  grant update (method, route, signature_text, error_category, severity, status, occurrences, first_seen, last_seen,
    rule, evidence, reason, regression, regressed_at, noise, snoozed_until, trace_id, related_observability_log_ids,
    related_anomaly_ids, ai_summary, ai_recommended_actions, closed_reason, applied_at, resolved_at, sampled_at,
    replayable, updated_at) on self_healing_jobs to sh_proxy;
  grant update (risk_score, risk_level, risk_reasons, confidence_score, status, status_reason, evidence,
    evidence_digest, sandbox_branch, applied_commit, previous_commit, updated_at) on self_healing_patches to sh_proxy;

  grant select on self_healing_jobs, self_healing_patches, self_healing_events, self_healing_links,
    self_healing_aliases to sh_admin, sh_founder;
  grant insert, delete on self_healing_aliases to sh_admin, sh_founder;
  grant update (status, closed_reason, snoozed_until) on self_healing_jobs to sh_admin, sh_founder;
  grant update (status, status_reason) on self_healing_patches to sh_admin, sh_founder;
  grant insert (job_id, patch_type, description, ai_diff_proposal, sql_migration, base_commit)
    on self_healing_patches to sh_agent, sh_admin, sh_founder;

  grant select (id, service, status, severity, error_category, ai_summary, ai_recommended_actions)
    on self_healing_jobs to sh_agent;
  grant update (ai_summary, ai_recommended_actions) on self_healing_jobs to sh_agent;
  grant select (id, job_id, status, digest, created_by, created_at) on self_healing_patches to sh_agent;
$sql$);

insert into schema_migrations (name) values ('316_self_healing');
