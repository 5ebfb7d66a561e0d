-- name: make_staging
create temp table if not exists staged_logs (like observability_logs including defaults) on commit delete rows

-- name: merge_staging
insert into observability_logs select * from pg_temp.staged_logs on conflict (id, created_at) do nothing

-- name: insert_health
-- Another sidecar may have told this minute already: the worse of the two stays, and no data says less than any.
insert into observability_health_snapshots as told
  (service, minute, overall_score, latency_score, error_rate_score, availability_score, metrics)
values ($1, $2, $3, $4, $5, $6, $7::jsonb)
on conflict (service, minute) do update set
  overall_score = excluded.overall_score, latency_score = excluded.latency_score,
  error_rate_score = excluded.error_rate_score, availability_score = excluded.availability_score,
  metrics = excluded.metrics
where excluded.overall_score < coalesce(told.overall_score, 101)

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
from observability_route_baselines where service = $1 order by updated_at desc limit $2

-- name: ensure_partitions
select ensure_log_partitions($1, $2) as part

-- name: drop_partitions
select drop_log_partitions($1) as part
