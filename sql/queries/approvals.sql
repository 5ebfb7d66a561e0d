-- name: request
insert into approval_requests (service, item_type, summary, risk_level, risk_score, created_by, expires_at, digest,
  evidence_digest, job_id, patch_id, details, idempotency_key)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb, $13)
on conflict (idempotency_key) do nothing
returning id

-- name: request_by_key
-- a patch's digest is computed when it is asked for, not by who asks; that of any other item holds all of it
select id from approval_requests where idempotency_key = $1 and item_type = $2
  and patch_id is not distinct from $4 and (patch_id is not null or digest is not distinct from $3)
  and created_by = $5

-- name: decide
insert into approval_decisions (approval_id, decision, reason, interactive, digest, evidence_digest, idempotency_key,
  details, signature)
values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9)
returning id

-- name: decision_by_key
select approval_id, decision, digest, actor = acting_name() as mine from approval_decisions where idempotency_key = $1

-- name: get
select * from approvals where id = $1

-- name: list
select * from approvals
where ($1::text[] is null or status = any ($1)) and ($2::bigint is null or patch_id = $2)
order by id desc limit $3

-- name: expire
select expire_approvals($1) as id

-- name: void_stale
select void_stale_approvals($1) as id

-- name: record_deed
insert into founder_decisions (kind, patch_id, digest, evidence_digest, idempotency_key, reason, interactive, signature)
values ($1, $2, $3, $4, $5, $6, $7, $8)
returning *

-- name: pending_deeds
select * from founder_decisions where status = 'pending' order by id

-- name: finish_deed
update founder_decisions set status = $2, result = $3::jsonb where id = $1 returning *

-- name: deed_by_key
select * from founder_decisions where idempotency_key = $1

-- name: deeds_of
select * from founder_decisions where patch_id = $1 order by id

-- name: signature_at_main
select actor, signature from (
  select d.actor, d.signature, d.decided_at from approval_decisions d join approval_requests r on r.id = d.approval_id
  where r.patch_id = $1 and r.item_type = 'patch_main' and r.status = 'approved' and d.decision = 'approve'
  union all
  select f.actor, f.signature, f.decided_at from founder_decisions f where f.patch_id = $1 and f.kind = 'break_glass'
) signed where signature is not null order by decided_at desc limit 1
