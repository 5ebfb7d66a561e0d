-- name: count
-- One statement, one row lock: a thousand parallel failures of one bug count exactly. Nothing comes back when no
-- job of this bug is open (an upsert would spend a job number on every occurrence).
-- A sample is kept for the first 20, then every ten minutes, on a regression, and for the first replayable request.
with build as (
  insert into self_healing_releases (service, environment, release, first_seen)
  select $1, $2, $17, least($7, now()) where $17::text is not null and not exists (
    select from self_healing_releases r where (r.service, r.environment, r.release) = ($1, $2, $17))
  on conflict do nothing
), up as (
  update self_healing_jobs j set
    occurrences = j.occurrences + $6,
    first_seen = least(j.first_seen, $7),
    last_seen = greatest(j.last_seen, $7),
    severity = case when severity_rank($5) > severity_rank(j.severity) then $5 else j.severity end,
    told_severity = case when severity_rank($5) >= coalesce(severity_rank(j.told_severity), 0)
                         then $5 else j.told_severity end,
    clients = case when cardinality($16::bigint[]) = 0 then j.clients else kmv_join(j.clients, $16) end,
    releases = case
      when $17::text is null or $17 = any (j.releases) or cardinality(j.releases) >= 20 then j.releases
      when j.status in ('applied', 'resolved') and $7 <= j.applied_at or j.status not in ('applied', 'resolved')
      then j.releases || $17::text else j.releases end,
    error_category = case when j.error_category = 'UNKNOWN' then $4 else j.error_category end,
    noise = j.noise and $8,
    trace_id = coalesce($9, j.trace_id),
    related_observability_log_ids = case
      when $10::uuid is null or $10 = any (j.related_observability_log_ids) then j.related_observability_log_ids
      else (j.related_observability_log_ids || $10)[greatest(cardinality(j.related_observability_log_ids) - 48, 1):] end,
    related_anomaly_ids = case
      when $11::uuid is null or $11 = any (j.related_anomaly_ids) then j.related_anomaly_ids
      else (j.related_anomaly_ids || $11)[greatest(cardinality(j.related_anomaly_ids) - 48, 1):] end,
    -- an event from before the fix, or from a build without it, says nothing about the fix
    status = case when r.returns then 'open' else j.status end,
    regression = j.regression or r.returns,
    regressed_at = case when r.returns then statement_timestamp() else j.regressed_at end,
    sampled_at = case
      when j.occurrences < 20 or j.sampled_at < now() - interval '10 minutes' or $14::jsonb is not null and not j.replayable
        or j.status in ('applied', 'resolved')
      then statement_timestamp() else j.sampled_at end,
    replayable = j.replayable or $14::jsonb is not null
  from (select o.id, o.status in ('applied', 'resolved') and $7 > o.applied_at
               and not is_straggler(o, $17::text, $7) as returns
        from self_healing_jobs o
        where o.service = $1 and o.environment = $2 and o.status <> 'closed'
          and o.error_signature = resolve_signature($1, $2, $3, $15::text[])
        for update) r
  where j.id = r.id
  returning j.*
), log_link as (
  insert into self_healing_links (job_id, kind, ref)
  select id, 'log', $10::uuid from up where $10::uuid is not null on conflict do nothing
), anomaly_link as (
  insert into self_healing_links (job_id, kind, ref)
  select id, 'anomaly', $11::uuid from up where $11::uuid is not null on conflict do nothing
), sample as (
  insert into self_healing_events (job_id, occurred_at, failure, request, request_body, error_signature)
  select id, $7, $12::jsonb, $14::jsonb, $13::bytea, $3 from up where sampled_at = statement_timestamp()
)
select id, service, environment, method, route, error_signature, signature_text, error_category, severity, status,
       occurrences, first_seen, last_seen, rule, evidence, reason, regression, noise, snoozed_until, trace_id,
       related_observability_log_ids, related_anomaly_ids, ai_summary, ai_recommended_actions, closed_reason,
       applied_at, resolved_at, kmv_count(clients) as distinct_clients, affected_share, told_severity, releases,
       false as created,
       coalesce(regressed_at = statement_timestamp(), false) as regressed,
       sampled_at = statement_timestamp() as sampled
from up

-- name: lock_signature
-- Whoever comes first opens the job, the others wait and count on it.
select pg_advisory_xact_lock(hashtextextended(
  $1 || chr(10) || $2 || chr(10) || resolve_signature($1, $2, $3, $4::text[]), 316))

-- name: opened_lately
-- How many new bugs the last moments brought; counting stops at the limit.
select count(*) from (
  select from self_healing_jobs
  where service = $1 and environment = $2 and created_at > now() - make_interval(secs => $3)
    and noise = $4 and rule <> 'storm'
  limit $5) lately

-- name: known_signatures
(select error_signature from self_healing_jobs
 where service = $1 and environment = $2 and status <> 'closed' order by last_seen desc limit $3)
union all
(select error_signature from self_healing_aliases where service = $1 and environment = $2 limit $3)

-- name: split_signatures
select service, environment, error_signature from self_healing_splits

-- name: raise_severity
update self_healing_jobs set severity = $2
where id = $1 and severity_rank($2) > severity_rank(severity) returning id

-- name: set_share
update self_healing_jobs set affected_share = $2
where id = $1 and (affected_share is null or abs(affected_share - $2) > 0.1 * affected_share) returning id

-- name: merge
select merge_jobs($1, $2, $3)

-- name: split
select split_job($1, $2::bigint[], $3, $4, $5)

-- name: is_merged
select exists (select from self_healing_aliases
  where (service, environment, error_signature, stands_for) = ($1, $2, $3, $4))

-- name: unmerge
select unmerge_job($1, $2, $3::bigint[])

-- name: open_new
with made as (
  insert into self_healing_jobs (
    service, environment, method, route, error_signature, signature_text, error_category, severity, occurrences,
    first_seen, last_seen, rule, evidence, reason, noise, trace_id, related_observability_log_ids,
    related_anomaly_ids, sampled_at, replayable, told_severity, clients, releases)
  values ($1, $2, $3, $4, resolve_signature($1, $2, $5, $21::text[]),
    $6, $7, $8, $9, $10, $10, $11, $12, $13, $14, $15,
    case when $16::uuid is null then '{}' else array[$16::uuid] end,
    case when $17::uuid is null then '{}' else array[$17::uuid] end,
    statement_timestamp(), $20::jsonb is not null, $8, kmv_join('{}', $22::bigint[]),
    case when $23::text is null then '{}' else array[$23::text] end)
  returning *
), log_link as (
  insert into self_healing_links (job_id, kind, ref)
  select id, 'log', $16::uuid from made where $16::uuid is not null
), anomaly_link as (
  insert into self_healing_links (job_id, kind, ref)
  select id, 'anomaly', $17::uuid from made where $17::uuid is not null
), sample as (
  insert into self_healing_events (job_id, occurred_at, failure, request, request_body, error_signature)
  select id, $10, $18::jsonb, $20::jsonb, $19::bytea, $5 from made
), build as (
  insert into self_healing_releases (service, environment, release, first_seen)
  select $1, $2, $23, least($10, now()) where $23::text is not null on conflict do nothing
)
select id, service, environment, method, route, error_signature, signature_text, error_category, severity, status,
       occurrences, first_seen, last_seen, rule, evidence, reason, regression, noise, snoozed_until, trace_id,
       related_observability_log_ids, related_anomaly_ids, ai_summary, ai_recommended_actions, closed_reason,
       applied_at, resolved_at, kmv_count(clients) as distinct_clients, affected_share, told_severity, releases,
       true as created, false as regressed, true as sampled
from made

-- name: trim_events
-- The first three show how it began, the newest how it is; of requests that can be replayed one always stays.
delete from self_healing_events e
where e.job_id = $1 and e.id in (
  select id from (
    select id, row_number() over (order by id) as oldest,
           row_number() over (order by (request is null), id desc) as keep
    from self_healing_events where job_id = $1) ranked
  where oldest > 3 and keep > $2 - 3)

-- name: get
select * from jobs where id = $1

-- name: open
select * from jobs
where status in ('open', 'patch_proposed', 'sandboxed', 'approved', 'applied', 'snoozed') and not noise
  and ($2::text is null or service = $2)
order by severity_rank(severity) desc, last_seen desc, id desc
limit $1

-- name: list
with matching as (
  select *, case $7
    when 'severity' then severity_rank(severity) * 10000000000000000 + (extract(epoch from last_seen) * 1000000)::bigint
    when 'last_seen' then (extract(epoch from last_seen) * 1000000)::bigint
    when 'first_seen' then (extract(epoch from first_seen) * 1000000)::bigint
    when 'occurrences' then occurrences
    else id end as sort_key
  from jobs
  where status = any ($1::text[])
    and (cardinality($2::text[]) = 0 or severity = any ($2))
    and (cardinality($3::text[]) = 0 or error_category = any ($3))
    and ($4::text = '' or signature_text ilike $4 or route ilike $4 or error_signature ilike $4 or 'J-' || id ilike $4)
    and ($5::boolean is null or noise = $5)
    and ($6::text is null or service = $6)
)
select * from matching
where $8::bigint is null or (sort_key, id) < ($8, $9::bigint)
order by sort_key desc, id desc
limit $10

-- name: totals
select
  count(*) filter (where (cardinality($2::text[]) = 0 or severity = any ($2))
    and (cardinality($3::text[]) = 0 or error_category = any ($3))
    and ($4::text = '' or signature_text ilike $4 or route ilike $4 or error_signature ilike $4 or 'J-' || id ilike $4)) as total,
  count(*) as every
from jobs
where status = any ($1::text[]) and ($5::boolean is null or noise = $5) and ($6::text is null or service = $6)

-- name: events
select id, job_id, occurred_at, failure, request, request_body, error_signature
from job_events where job_id = $1 order by id desc limit $2

-- name: status
select status from jobs where id = $1

-- name: step
update self_healing_jobs set status = $3, snoozed_until = $5,
  closed_reason = case when $3 in ('closed', 'snoozed') then $4 else closed_reason end
where id = $1 and status = $2
returning id

-- name: open_counts
select
  count(*) filter (where severity = 'low') as low,
  count(*) filter (where severity = 'medium') as medium,
  count(*) filter (where severity = 'high') as high,
  count(*) filter (where severity = 'critical') as critical,
  count(*) as total,
  (select count(*) from patches p where p.status in
     ('proposed', 'sandbox_running', 'sandbox_passed', 'sandbox_failed', 'approved')) as pending_patches,
  (select count(*) from approvals a where a.status in ('pending', 'deferred')) as pending_approvals,
  (select count(*) from jobs r where r.status = 'resolved' and r.resolved_at > now() - interval '7 days') as resolved_7d
from jobs
where status in ('open', 'patch_proposed', 'sandboxed', 'approved', 'applied', 'snoozed') and not noise

-- name: wake_snoozed
with due as (
  select id from self_healing_jobs where status = 'snoozed' and snoozed_until <= $1 order by id for update skip locked)
update self_healing_jobs j set status = 'open' from due where j.id = due.id returning j.id

-- name: last_failure_at
select last_seen from jobs where id = $1

-- name: set_summary
update self_healing_jobs set ai_summary = $2, ai_recommended_actions = $3 where id = $1 returning id

-- name: link_logs
-- The newest fifty stand on the job itself, all of them in the table of links.
with linked as (
  insert into self_healing_links (job_id, kind, ref) select $1, 'log', unnest($2::uuid[])
  on conflict do nothing returning ref)
update self_healing_jobs j set related_observability_log_ids = (
  select array_agg(id order by place) from (
    select id, place from unnest(
      j.related_observability_log_ids || (select array_agg(ref) from linked)) with ordinality as all_ids (id, place)
    order by place desc limit 50) newest)
where j.id = $1 and exists (select from linked)

-- name: forget_links
delete from self_healing_links where kind = 'log' and at < $1
