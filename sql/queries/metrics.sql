-- name: make_staging
create temp table if not exists staged_logs (like observability_logs including defaults) on commit delete rows

-- name: merge_staging
insert into observability_logs select * from pg_temp.staged_logs on conflict (id, created_at) do nothing

-- name: open_anomaly
insert into observability_anomalies as a (service, route, method, type, severity, description, detected_at, onset,
  baseline, observed, ratio, sigma, samples, metrics)
values ($1, $2, $3, $4, $5, $6, to_timestamp($7), to_timestamp($8), $9, $10, $11, $12, $13, $14::jsonb)
on conflict (service, route, method, type, onset) do update set
  occurrences = a.occurrences + 1,
  severity = case when array_position(array['low', 'medium', 'high', 'critical'], excluded.severity)
                     > array_position(array['low', 'medium', 'high', 'critical'], a.severity)
                  then excluded.severity else a.severity end,
  observed = excluded.observed, ratio = excluded.ratio, sigma = excluded.sigma, samples = excluded.samples,
  description = excluded.description, resolved = false, resolved_at = null
returning id

-- name: close_anomaly
update observability_anomalies set resolved = true, resolved_at = $2 where id = $1 and not resolved returning id

-- name: close_forgotten
-- Ours alone (metrics names the kind): what another program wrote is its own to close.
update observability_anomalies a set resolved = true, resolved_at = now()
where a.service = $1 and not a.resolved and a.metrics ? 'kind' and a.detected_at < $2
  and not exists (select from unnest($3::text[], $4::text[], $5::text[]) as live (type, method, route)
                  where live.type = a.type and live.method = a.method and live.route = a.route)
returning id

-- name: list_anomalies
select id, service, type, method, route, severity, description, detected_at, onset, baseline, observed, ratio, sigma,
       samples, occurrences, resolved, resolved_at
from observability_anomalies
where ($1::text is null or service = $1) and ($2::boolean is null or resolved = $2)
order by detected_at desc, id limit $3

-- name: insert_health
insert into observability_health_snapshots (service, overall_score, latency_score, error_rate_score, availability_score, metrics)
values ($1, $2, $3, $4, $5, $6::jsonb)

-- name: forget_health
delete from observability_health_snapshots where service = $1 and created_at < $2

-- name: save_baseline
insert into observability_route_baselines as b (service, route_path, method, p50_latency_ms, p95_latency_ms,
  p99_latency_ms, error_rate, sample_count, counts)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb)
on conflict (service, route_path, method) do update set
  p50_latency_ms = excluded.p50_latency_ms, p95_latency_ms = excluded.p95_latency_ms,
  p99_latency_ms = excluded.p99_latency_ms, error_rate = excluded.error_rate,
  sample_count = excluded.sample_count, counts = excluded.counts, updated_at = now()

-- name: load_baselines
select service, route_path, method, p50_latency_ms, p95_latency_ms, p99_latency_ms, error_rate, sample_count, counts
from observability_route_baselines where service = $1

-- name: ensure_partitions
select ensure_log_partitions($1, $2) as part

-- name: drop_partitions
select drop_log_partitions($1) as part
