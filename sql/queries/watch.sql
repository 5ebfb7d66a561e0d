-- name: requests_since
select count(*) from (
  select from observability_logs
  where service = $1 and created_at > $2
    and ($3::text is null or method = $3) and ($4::text is null or route_path = $4)
  limit $5) l
