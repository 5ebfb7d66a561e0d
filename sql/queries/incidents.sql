-- name: open
select open_incident($15, $1, $2, $3, $4, $5, $6, to_timestamp($7), to_timestamp($8), $9, $10, $11, $12, $13, $14::jsonb)

-- name: told
-- What was part of another incident has an alert of its own now.
update observability_anomalies set metrics = metrics - 'part_of' where id = $1 and metrics ? 'part_of'

-- name: close
select close_incident($1, $2, $3)

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
update observability_anomalies a set resolved = true, resolved_at = now()
where a.service = $1 and not a.resolved and a.metrics ? 'kind' and a.detected_at < $2
  and not exists (select from observability_anomaly_holders h where h.anomaly_id = a.id)
returning id

-- name: list
select id, service, type, method, route, severity, description, detected_at, onset, baseline, observed, ratio, sigma,
       samples, occurrences, resolved, resolved_at, metrics->>'part_of' as part_of
from observability_anomalies
where ($1::text is null or service = $1) and ($2::boolean is null or resolved = $2)
order by detected_at desc, id limit $3
