-- name: append
select audit_note($1, $2, $3::jsonb, $4::jsonb, $5)

-- name: list
select * from audit_entries
where ($1::text is null or actor = $1) and ($2::text is null or subject = $2) and ($3::bigint is null or seq < $3)
order by seq desc limit $4

-- name: verify
select audit_first_bad() as first_bad, (select count(*) from audit_entries) as entries,
       coalesce((select hash from audit_entries order by seq desc limit 1), repeat('0', 64)) as head

-- name: export
select * from audit_entries order by seq

-- name: head
select seq, hash from audit_entries order by seq desc limit 1

-- name: hash_at
select hash from audit_entries where seq = $1
