-- name: get
select version, rules, changed_by, changed_at, reason from control_versions order by version desc limit 1

-- name: put
insert into control_versions (version, rules, reason) values ($1, $2::jsonb, $3)
returning version, rules, changed_by, changed_at, reason

-- name: switches
select name, enabled from gate_switches

-- name: set_switch
select set_switch($1, $2, $3)
