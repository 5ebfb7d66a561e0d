-- name: attach
insert into self_healing_patches (job_id, service, patch_type, description, files_changed, sql_migration_path,
  ai_diff_proposal, sql_migration, base_commit, ai_patch_payload, digest, risk_score, risk_level, risk_reasons, created_by)
values ($1, '', $2, $3, $4, null, $5, $6, $7, $8::jsonb, '', $9, $10, $11, $12)
returning id

-- name: attach_content
-- What an agent, an admin or a founder may write on their own login: content, nothing about its standing.
insert into self_healing_patches (job_id, patch_type, description, ai_diff_proposal, sql_migration, base_commit)
values ($1, $2, $3, $4, $5, $6)
returning id

-- name: get
select * from patches where id = $1

-- name: list
select * from patches
where ($1::bigint is null or job_id = $1) and ($2::text[] is null or status = any ($2))
order by id desc limit $3

-- name: step
-- Only what is given changes; a step without evidence keeps the last one.
update self_healing_patches set
  status = $3,
  evidence = coalesce($4, evidence),
  evidence_digest = coalesce($5, evidence_digest),
  sandbox_branch = coalesce($6, sandbox_branch),
  applied_commit = coalesce($7, applied_commit),
  previous_commit = coalesce($8, previous_commit),
  confidence_score = coalesce($9, confidence_score),
  risk_score = coalesce($10, risk_score),
  risk_level = coalesce($11, risk_level),
  risk_reasons = coalesce($12, risk_reasons),
  status_reason = coalesce($13, status_reason),
  confidence_reasons = coalesce($14, confidence_reasons)
where id = $1 and status = $2
returning id

-- name: step_by_person
update self_healing_patches set status = $3, status_reason = coalesce($4, status_reason)
where id = $1 and status = $2
returning id
