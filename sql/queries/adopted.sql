-- name: readable
select coalesce(has_table_privilege(to_regclass('public.observability_logs'), 'select'), false)
  and current_schema() <> 'public'

-- name: failing
select id, created_at, route_path, method, status_code, latency_ms, error_message, error_stack
from public.observability_logs
where (created_at, id) > ($1, $2::uuid) and (status_code >= 500 or error_message is not null)
order by created_at, id
limit $3
