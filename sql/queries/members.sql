-- name: exists
select exists (select from profiles where name = $1)

-- name: create_login
select create_member_login($1, $2)

-- name: set_group
select set_member_group($1, $2)

-- name: drop_login
select drop_member_login($1)

-- name: insert_profile
insert into profiles (name, role, identity) values ($1, upper($2)::user_role, $3)

-- name: link_profile
update profiles set identity = $2 where name = $1 returning lower(role::text)

-- name: app_profiles
select app_profiles()

-- name: app_role
select app_role($1)

-- name: app_founders
select app_founders()

-- name: delete_profile
delete from profiles where name = $1 returning name

-- name: list
select name, lower(role::text) as role, created_at from profiles order by created_at, name

-- name: whoami
select name, role from whoami()

-- name: reset_role
select set_config('role', 'none', true)
