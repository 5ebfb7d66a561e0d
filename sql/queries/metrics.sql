-- name: make_staging
create temp table if not exists staged_logs (like observability_logs including defaults) on commit delete rows

-- name: merge_staging
insert into observability_logs select * from pg_temp.staged_logs on conflict (id, created_at) do nothing

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
from observability_route_baselines where service = $1 order by updated_at desc limit $2

-- name: ensure_partitions
select ensure_log_partitions($1, $2) as part

-- name: drop_partitions
select drop_log_partitions($1) as part
