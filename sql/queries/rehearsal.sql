-- name: make_role
select format('create role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls inherit connection limit 20 password %L',
  $1::text, $2::text)

-- name: lend_rights
select format('grant %I to %I', $1::text, $2::text)

-- name: make_copy
select format('create database %I template %I', $1::text, $2::text)

-- name: close_copy
select format('revoke all on database %I from public', $1::text)

-- name: open_copy
select format('grant connect, temporary on database %I to %I', $1::text, $2::text)

-- name: drop_copy
select format('drop database if exists %I with (force)', $1::text)

-- name: drop_role
select format('drop role if exists %I', $1::text)
