-- name: inbox
-- The row as it stands in our table, cut to what one failure keeps; null where its day was dropped meanwhile.
select i.id, i.kind,
  case i.kind
    when 'log' then (select jsonb_build_object('id', l.id, 'created_at', l.created_at, 'service', l.service,
        'route_path', l.route_path, 'method', l.method, 'status_code', l.status_code, 'latency_ms', l.latency_ms,
        'error_message', left(l.error_message, 65536), 'error_stack', left(l.error_stack, 65536),
        'trace_id', l.trace_id, 'user_id', l.user_id)
      from observability_logs l where (l.id, l.created_at) = (i.row_id, i.row_at))
    else (select jsonb_build_object('id', a.id, 'detected_at', a.detected_at, 'service', a.service, 'route', a.route,
        'method', a.method, 'type', a.type, 'severity', a.severity, 'description', left(a.description, 65536),
        'baseline', a.baseline, 'observed', a.observed, 'metrics', left(a.metrics::text, 65536))
      from observability_anomalies a where a.id = i.row_id)
  end as content
from adopted_inbox i order by i.id limit $1

-- name: take_inbox
-- Whoever deletes the key tells the row; a second reader finds nothing to delete.
delete from adopted_inbox where id = any ($1::bigint[]) returning id

-- name: tables
select kind, source from adopted_tables()

-- name: rows
select key, content from adopted_rows($1, $2, $3, $4)

-- name: take_rows
insert into adopted_seen (source, row_key)
select $1, key from unnest($2::text[]) key order by key
on conflict do nothing returning row_key

-- name: forget
select forget_adopted($1)

