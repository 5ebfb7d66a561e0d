-- name: act
select set_config('role', role_name($1), true), set_config('request.jwt.claims', $2, true)

-- name: remember
select current_setting('role') as role, coalesce(current_setting('request.jwt.claims', true), '') as claims

-- name: restore
select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)
