-- How far a bug reaches: distinct clients (a bounded sketch), share of traffic, builds it was seen in. And how many new
-- bugs a moment brings, so that a deploy which breaks everything makes one job and not ten thousand.

select set_config('role', role_name('owner'), true);

alter table self_healing_jobs
  add column clients bigint[] not null default '{}' check (cardinality(clients) <= 64),
  add column affected_share real check (affected_share between 0 and 1),
  add column told_severity text check (told_severity in ('low', 'medium', 'high', 'critical')),
  add column releases text[] not null default '{}' check (cardinality(releases) <= 20);
comment on column self_healing_jobs.clients is 'The 64 smallest of the clients'' keyed hashes (k minimum values): exact up to 63, then within about 13 %.';
comment on column self_healing_jobs.affected_share is 'Of the service''s requests of the last minutes, how many met this bug.';
comment on column self_healing_jobs.told_severity is 'What the classifier said; severity is this, raised by how far the bug reaches.';
comment on column self_healing_jobs.releases is 'Builds that had this bug before its fix: from them it says nothing about the fix.';
create index self_healing_jobs_opened on self_healing_jobs (service, environment, created_at);

create function kmv_join(one bigint[], other bigint[]) returns bigint[]
  language sql immutable
  as $$ select coalesce(array_agg(h order by h), '{}') from (
          select distinct h from unnest(one || other) h where h is not null order by h limit 64) kept $$;

create function kmv_count(sketch bigint[]) returns bigint
  language sql immutable
  as $$ select case when cardinality(sketch) < 64 then cardinality(sketch)
               else round(63 * 9223372036854775807.0 / greatest(sketch[64], 1))::bigint end $$;
comment on function kmv_count is 'How many different clients a sketch has seen (Bar-Yossef and others, 2002).';

create table self_healing_releases (
  service text not null,
  environment text not null,
  release text not null check (length(release) <= 200),
  first_seen timestamptz not null,
  primary key (service, environment, release)
);
comment on table self_healing_releases is 'Builds that ever reported a failure, and since when.';

create function is_straggler(p_job self_healing_jobs, p_release text, p_at timestamptz) returns boolean
  language sql stable set search_path from current
  as $$
  -- Where nobody tells builds apart, time alone decides. A build that had the bug before proves nothing, once a newer
  -- one is known; for an hour the newer one may just not have spoken yet. After that a name that never changes is none.
  select case
    when p_release is not null then p_release = any (p_job.releases) and (
      p_at < p_job.applied_at + interval '1 hour'
      or exists (select from self_healing_releases r where (r.service, r.environment) = (p_job.service, p_job.environment)
                 and r.release <> p_release and r.first_seen > p_job.applied_at)
      or exists (select from observability_deploys d where d.service = p_job.service
                 and d.version not in ('', p_release) and d.created_at > p_job.applied_at))
    else exists (select from observability_deploys d where d.service = p_job.service and d.created_at <= p_job.applied_at
                 and d.created_at > p_job.applied_at - interval '30 days')
      and p_at < coalesce((select min(d.created_at) from observability_deploys d
                 where d.service = p_job.service and d.created_at > p_job.applied_at), p_job.applied_at + interval '1 hour')
  end
$$;
comment on function is_straggler is 'Whether a failure after the fix comes from a build that does not have it yet.';

create or replace view jobs as
  select id, service, environment, method, route, error_signature, signature_text, error_category, severity, status,
         occurrences, first_seen, last_seen, rule,
         case when (select sees_content()) then evidence else '{}' end as evidence,
         reason, regression, noise, snoozed_until, trace_id, related_observability_log_ids, related_anomaly_ids,
         ai_summary, ai_recommended_actions, closed_reason, applied_at, resolved_at,
         kmv_count(clients) as distinct_clients, affected_share, told_severity, releases
  from self_healing_jobs where (select may_act());

alter table self_healing_releases enable row level security;
alter table self_healing_releases force row level security;

select as_roles($sql$
  create policy owner_all on self_healing_releases to sh_owner using (true) with check (true);
  create policy sidecar on self_healing_releases to sh_proxy using ((select may_act())) with check ((select may_act()));
  grant select, insert on self_healing_releases to sh_proxy;
  grant update (clients, affected_share, told_severity, releases) on self_healing_jobs to sh_proxy;
$sql$);

insert into schema_migrations (name) values ('322_blast');
