-- name: announce
insert into observability_deploys (service, version, announced_by) values ($1, $2, $3)
returning id, created_at, service, version, announced_by, actor

-- name: take_turns
-- Several proxies see the same header change in the same moment.
select pg_advisory_xact_lock(hashtextextended($1, 319))

-- name: announce_news
-- What was announced last, by whomever, is not announced again.
insert into observability_deploys (service, version, announced_by)
select $1, $2, 'header' where $2 is distinct from
  (select version from observability_deploys where service = $1 order by id desc limit 1)
returning id, created_at, service, version, announced_by, actor

-- name: newest
select id, created_at, service, version, announced_by, actor from observability_deploys
where service = $1 order by id desc limit $2

-- name: after
-- id order is not commit order: one that was announced a moment ago may appear below one already seen
select id, created_at, service, version, announced_by, actor from observability_deploys
where service = $1 and created_at > $2 order by id
