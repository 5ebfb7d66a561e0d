-- name: open
select * from open_alerts($1)

-- name: acknowledge
insert into acknowledgements (kind, subject, note) values ($1, $2, $3) returning at

-- name: tell
select notify_event($1, $2, $3, $4)
