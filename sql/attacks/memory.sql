-- What is remembered, and what may be read. The format is told in reach.sql.

-- attack: append to the chain past its triggers
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
select audit_append('approval.decided', 'A-1', null, '{"decision":"approve"}', null)

-- attack: note a decision that never was
-- as: founder admin proxy
-- refused by: 42501 audit_note
select audit_note('approval.decided', 'A-@ask_main@', null, '{"decision":"approve"}', null)

-- attack: note a deed that never was
-- as: founder admin proxy
-- refused by: 42501 audit_note
select audit_note('deed.apply', 'P-@patch_approved@', null, null, null)

-- attack: note with blanks in front
-- as: founder admin proxy
-- refused by: 42501 audit_note
select audit_note(' deed.apply', 'P-@patch_approved@', null, null, null)

-- attack: note anything
-- as: agent viewer reader stranger
-- refused by: 42501 grant
select audit_note('release', 'v1', null, null, null)

-- attack: note with a login whose profile is gone
-- as: removed
-- refused by: 42501 audit_note
select audit_note('release', 'v1', null, null, null)

-- attack: put a line into the chain
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
insert into audit_log (seq, at, actor, role, origin, action, subject, prev_hash, hash, payload)
values (999999, now(), '@founder@', 'founder', 'console', 'approval.decided', 'A-1', '', 'x', '[]')

-- attack: rewrite a line of the chain
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
update audit_log set actor = '@agent@', payload = '[]' where seq = 1

-- attack: cut the newest line off
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
delete from audit_log where seq = (select max(seq) from audit_log)

-- attack: turn the chain's head back
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
update audit_head set seq = 0, hash = repeat('0', 64)

-- attack: stop the chain by locking its head
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
select * from audit_head for update

-- attack: stop the chain by locking its table
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
lock table audit_head in access exclusive mode

-- attack: write through a view
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
update audit_entries set actor = 'x'

-- attack: write through the view of jobs
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
update jobs set status = 'closed'

-- attack: replace a view
-- as: founder admin agent viewer proxy
-- refused by: 42501 grant
create or replace view jobs as select * from self_healing_jobs

-- attack: a view of its own over the tables
-- as: agent viewer stranger
-- refused by: 42501 grant
create temp view mine as select * from @schema@.self_healing_patches; select * from pg_temp.mine

-- attack: read the tables
-- as: viewer reader stranger founder-login proxy-login
-- refused by: 42501 grant
select * from self_healing_jobs

-- attack: read the diffs behind the view
-- as: agent viewer stranger
-- refused by: 42501 grant
select ai_diff_proposal, evidence from self_healing_patches

-- attack: read captured requests behind the view
-- as: agent viewer stranger
-- refused by: 42501 grant
select failure, request, request_body from self_healing_events

-- attack: read the audit behind the view
-- as: agent viewer reader stranger
-- refused by: 42501 grant
select * from audit_log

-- attack: read who the members are
-- as: agent viewer reader stranger
-- refused by: 42501 grant
select * from profiles

-- attack: read decisions and reasons
-- as: agent viewer reader stranger
-- refused by: 42501 grant
select * from approval_decisions

-- attack: read the founder's rules
-- as: agent viewer reader stranger
-- refused by: 42501 grant
select * from control_versions

-- attack: read stacks in the request log
-- as: agent viewer reader stranger
-- refused by: 42501 grant
select error_stack, user_id from observability_logs

-- attack: what the views hide
-- as: agent viewer reader
-- refused by: 0 rows
select 1 from patches where evidence is not null or ai_patch_payload <> '{}'
union all select 1 from job_events where request is not null or request_body is not null or failure ? 'stack'
union all select 1 from approvals where details <> '{}' or decision_reason is not null
union all select 1 from audit_entries where payload <> '' or before is not null or after is not null or reason is not null

-- attack: read with a login whose profile is gone
-- as: removed
-- refused by: 0 rows
select 1 from jobs union all select 1 from patches union all select 1 from approvals union all select 1 from audit_entries
union all select 1 from self_healing_jobs union all select 1 from self_healing_patches union all select 1 from profiles
union all select 1 from audit_log union all select 1 from approval_requests union all select 1 from founder_decisions

-- attack: read with the role taken and no profile, through a function that tells
-- as: removed
-- refused by: 0 rows
create function pg_temp.tell(text) returns boolean language plpgsql cost 0.0001
  as $f$ begin raise exception 'leaked %', $1 using errcode = 'XX999'; end $f$;
select * from @schema@.jobs where pg_temp.tell(service)

-- attack: read a table without a profile, through a function that tells
-- as: removed
-- refused by: 0 rows
create function pg_temp.tell(text) returns boolean language plpgsql cost 0.0001
  as $f$ begin raise exception 'leaked %', $1 using errcode = 'XX999'; end $f$;
select * from @schema@.self_healing_patches where pg_temp.tell(description)

-- attack: read what the statistics kept
-- as: agent viewer stranger
-- refused by: 0 rows
select most_common_vals from pg_stats where schemaname = '@schema@' and tablename in
  ('self_healing_patches', 'self_healing_events', 'audit_log', 'approval_requests', 'profiles')

-- attack: partitions that are not the sidecar's to drop
-- as: founder admin agent viewer stranger
-- refused by: 42501 grant
select drop_log_partitions(current_date)

-- attack: write into the request log
-- as: founder admin agent viewer reader stranger
-- refused by: 42501 grant
insert into observability_logs (id, created_at, route_path, method, status_code, latency_ms)
values (gen_random_uuid(), now(), '/', 'GET', 200, 1)

-- attack: delete from the request log
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
delete from observability_logs

-- attack: forget that a migration ran
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
delete from schema_migrations

-- attack: rename the installation's roles
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
update installation set prefix = 'x_'
