-- name: open
select open_incident($15, $1, $2, $3, $4, $5, $6, to_timestamp($7), to_timestamp($8), $9, $10, $11, $12, $13, $14::jsonb)

-- name: take_turns
-- Whoever opens an incident of a kind sees those that others opened before, and no two wait for each other's rows.
select pg_advisory_xact_lock(hashtextextended(concat_ws(e'\x1f', $1::text, $2::text), 345))

-- name: same_cause
-- What another holder told of most routes, while they move; the first of them.
select a.method, a.route, extract(epoch from a.onset)::float8 as onset, extract(epoch from a.detected_at)::float8 as detected_at,
       a.baseline, a.observed, a.ratio, a.sigma, a.samples, a.severity, a.description as explanation,
       (a.metrics->>'moving')::int as moving
from observability_anomalies a
where a.service = $1 and a.type = $2 and (a.method, a.route) <> ($3, $4) and not a.resolved
  and a.metrics ? 'moving' and not a.metrics ? 'part_of'
  and a.onset - $10::interval <= to_timestamp($5)
  and (a.metrics->>'moving_at')::timestamptz + $9::interval >= to_timestamp($6)
  and case a.type when 'latency_spike' then a.ratio else a.observed end >= $8::float8
  and not exists (
    select from observability_anomaly_holders h join observability_anomalies mine on mine.id = h.anomaly_id
    where h.holder = $7 and (mine.id = a.id
      or (mine.service, mine.type, mine.metrics->>'part_of') = (a.service, a.type, concat_ws(' ', a.method, a.route))))
order by a.detected_at, a.id limit 1

-- name: head_of
select a.method, a.route, extract(epoch from a.onset)::float8 as onset, extract(epoch from a.detected_at)::float8 as detected_at,
       a.baseline, a.observed, a.ratio, a.sigma, a.samples, a.severity, a.description as explanation,
       coalesce((a.metrics->>'moving')::int, 0) as moving
from observability_anomalies part join observability_anomalies a on (a.service, a.type) = (part.service, part.type)
  and concat_ws(' ', a.method, a.route) = part.metrics->>'part_of'
where part.service = $1 and part.type = $2 and (part.method, part.route) = ($3, $4) and not part.resolved
order by part.detected_at desc, a.detected_at desc limit 1

-- name: held
select a.id from observability_anomalies a join observability_anomaly_holders h on h.anomaly_id = a.id
where (a.service, a.type, a.method, a.route) = ($1, $2, $3, $4) and not a.resolved and h.holder = $5

-- name: close
select close_incident($1, $2, $3)

-- name: note_end
update observability_anomalies set metrics = metrics || jsonb_build_object('ended', $2::text) where id = $1 and resolved

-- name: link_jobs
-- What failed on the route since the incident began belongs to it. The newest fifty stand on the job itself.
with touched as (
  select j.id from self_healing_jobs j join observability_anomalies a on a.id = $1
  where j.service = a.service and j.method = a.method and j.route = a.route and j.status not in ('closed', 'resolved')
    and j.last_seen >= a.onset and j.error_category <> 'PERFORMANCE'
), linked as (
  insert into self_healing_links (job_id, kind, ref) select id, 'anomaly', $1 from touched
  on conflict do nothing returning job_id)
update self_healing_jobs j
set related_anomaly_ids = (j.related_anomaly_ids || $1::uuid)[greatest(cardinality(j.related_anomaly_ids) - 48, 1):]
from linked where j.id = linked.job_id and not $1 = any (j.related_anomaly_ids)
returning j.id

-- name: tied_jobs
select l.job_id from self_healing_links l join self_healing_jobs j on j.id = l.job_id
where l.ref = $1 and l.kind = 'anomaly' and j.status not in ('closed', 'resolved')

-- name: over_since
-- Of which jobs no incident goes on any more, and since when.
select j.id, max(a.resolved_at) as since, (array_agg(a.metrics->>'ended' order by a.resolved_at desc nulls last))[1] as ended
from jobs j join observability_anomalies a on a.id = any (j.related_anomaly_ids)
where j.id = any ($1::bigint[]) group by j.id having bool_and(a.resolved) and count(a.resolved_at) > 0

-- name: renew
-- What this sidecar's workers see stays held; what they no longer see, and what a sidecar that is gone saw, does not.
with live as (
  select * from unnest($4::text[], $5::text[], $6::text[]) as l (type, method, route)
), renewed as (
  update observability_anomaly_holders h set seen_at = now() from observability_anomalies a, live l
  where a.id = h.anomaly_id and split_part(h.holder, '/', 1) = $2 and a.service = $1
    and (a.type, a.method, a.route) = (l.type, l.method, l.route)
)
delete from observability_anomaly_holders h using observability_anomalies a
where a.id = h.anomaly_id and a.service = $1 and a.detected_at < $3 and (
  (split_part(h.holder, '/', 1) <> $2 and h.seen_at < now() - $7::interval)
  or (split_part(h.holder, '/', 1) = $2 and not exists (
    select from live l where (l.type, l.method, l.route) = (a.type, a.method, a.route))))

-- name: close_forgotten
-- Ours alone (metrics names the kind): what another program wrote is its own to close.
update observability_anomalies a set resolved = true, resolved_at = now(),
  metrics = a.metrics || jsonb_build_object('ended', 'unwatched')
where a.service = $1 and not a.resolved and a.metrics ? 'kind' and a.detected_at < $2
  and not exists (select from observability_anomaly_holders h where h.anomaly_id = a.id)
returning id

-- name: list
select id, service, type, method, route, severity, description, detected_at, onset, baseline, observed, ratio, sigma,
       samples, occurrences, resolved, resolved_at, metrics->>'part_of' as part_of, metrics->>'ended' as ended
from observability_anomalies
where ($1::text is null or service = $1) and ($2::boolean is null or resolved = $2)
order by detected_at desc, id limit $3

-- name: of_job
-- What was told first, then what it speaks for.
select a.id, a.service, a.type, a.method, a.route, a.severity, a.description, a.detected_at, a.onset, a.baseline, a.observed,
       a.ratio, a.sigma, a.samples, a.occurrences, a.resolved, a.resolved_at, a.metrics->>'part_of' as part_of,
       a.metrics->>'ended' as ended
from self_healing_jobs j join observability_anomalies a on a.id = any (j.related_anomaly_ids)
where j.id = $1 order by a.metrics ? 'part_of', a.detected_at desc, a.id limit $2
