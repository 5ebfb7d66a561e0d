-- name: take_turns
-- Until the end of the transaction: ids then become visible in their order, and none is passed over.
select pg_advisory_xact_lock(hashtextextended($1, 340))

-- name: add
insert into observability_baseline_deltas (service, holder, method, route_path, minute, counts)
values ($1, $2, $3, $4, $5, $6::jsonb)
on conflict (holder, service, minute, method, route_path) do nothing

-- name: others
select id, method, route_path, counts from observability_baseline_deltas
where service = $1 and id > $2 and holder <> $3 order by id

-- name: newest
select coalesce(max(id), 0) from observability_baseline_deltas where service = $1

-- name: forget
delete from observability_baseline_deltas where service = $1 and shared_at < now() - $2::interval
