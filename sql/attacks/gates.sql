-- At the gates: deciding, ordering and stepping without the right to. The format is told in reach.sql.

-- attack: say yes at gate main
-- as: admin proxy
-- refused by: 42501 guard_decision
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: say yes at gate main
-- as: agent viewer reader stranger founder-login proxy-login
-- refused by: 42501 grant
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: say yes with a login whose profile is gone
-- as: removed
-- refused by: 42501 guard_decision
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_campaign@, 'approve', '@digest_campaign@', null, '@key@')

-- attack: say yes as policy, under the founder's name
-- as: proxy
-- refused by: 42501 guard_decision
select set_config('request.jwt.claims', '{"name":"@founder@","role":"founder","origin":"console"}', true);
insert into approval_decisions (approval_id, decision, digest, evidence_digest, interactive, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@evidence_passed@', true, '@key@')

-- attack: say yes with the founder's claims
-- as: agent viewer stranger
-- refused by: 42501 grant
select set_config('request.jwt.claims', '{"sub":"@founder@","name":"@founder@","role":"service_role"}', true);
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: say yes at gate main with the founder's claims
-- as: admin
-- refused by: 42501 guard_decision
select set_config('request.jwt.claims', '{"sub":"@founder@","name":"@founder@","role":"founder"}', true);
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: write the founder into the decision
-- as: admin proxy founder
-- refused by: 42501 grant
insert into approval_decisions (approval_id, item_type, decision, actor, actor_role, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'patch_main', 'approve', '@founder@', 'founder', '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: call gate main another gate
-- as: admin proxy
-- refused by: 42501 grant
insert into approval_decisions (approval_id, item_type, decision, digest, idempotency_key)
values (@ask_main@, 'email', 'approve', '@digest_passed@', '@key@')

-- attack: backdate a decision
-- as: founder admin proxy
-- refused by: 42501 grant
insert into approval_decisions (approval_id, decision, decided_at, digest, evidence_digest, idempotency_key)
values (@ask_expired@, 'approve', '2020-01-01', '@digest_expired@', '@evidence_expired@', '@key@')

-- attack: approve another digest
-- as: founder
-- refused by: SH002 guard_decision
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', repeat('0', 64), '@evidence_passed@', '@key@')

-- attack: approve other evidence
-- as: founder
-- refused by: SH002 guard_decision
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', repeat('0', 64), '@key@')

-- attack: approve without having seen the evidence
-- as: founder
-- refused by: SH002 guard_decision
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@key@')

-- attack: approve after it expired
-- as: founder
-- refused by: SH005 guard_decision
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_expired@, 'approve', '@digest_expired@', '@evidence_expired@', '@key@')

-- attack: decide what is decided
-- as: founder
-- refused by: SH004 guard_decision
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
values (@ask_rejected@, 'approve', '@digest_rejected@', '@key@')

-- attack: use a decision's key again
-- as: founder
-- refused by: 23505 approval_decisions_idempotency_key_key
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
select @ask_claim@, 'approve', '@digest_claim@', idempotency_key from approval_decisions order by id limit 1

-- attack: approve what nobody asked
-- as: founder admin proxy
-- refused by: SH007 guard_decision
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
values (9999999, 'approve', '@digest_claim@', '@key@')

-- attack: reject without a word
-- as: founder
-- refused by: 23514 approval_decisions_check1
insert into approval_decisions (approval_id, decision, digest, reason, idempotency_key)
values (@ask_claim@, 'reject', '@digest_claim@', ' ', '@key@')

-- attack: a claim, by an admin or by policy
-- as: admin proxy
-- refused by: 42501 guard_decision
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
values (@ask_claim@, 'approve', '@digest_claim@', '@key@')

-- attack: an override, by an admin or by policy
-- as: admin proxy
-- refused by: 42501 guard_decision
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
values (@ask_override@, 'approve', '@digest_override@', '@key@')

-- attack: a critical item, by an admin or by policy
-- as: admin proxy
-- refused by: 42501 guard_decision
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
values (@ask_critical@, 'approve', '@digest_critical@', '@key@')

-- attack: more than low risk, by policy
-- as: proxy
-- refused by: 42501 guard_decision
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
values (@ask_campaign@, 'approve', '@digest_campaign@', '@key@')

-- attack: gate sandbox with its switch off
-- as: proxy admin
-- refused by: 42501 guard_decision
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
values (@ask_sandbox@, 'approve', '@digest_proposed@', '@key@')

-- attack: a no by policy
-- as: proxy
-- refused by: 42501 guard_decision
insert into approval_decisions (approval_id, decision, digest, reason, idempotency_key)
values (@ask_campaign@, 'reject', '@digest_campaign@', 'because', '@key@')

-- attack: turn a request to approved
-- as: founder admin agent viewer proxy removed stranger
-- refused by: 42501 grant
update approval_requests set status = 'approved' where id = @ask_main@

-- attack: give a request more time
-- as: founder admin agent proxy
-- refused by: 42501 grant
update approval_requests set expires_at = now() + interval '1 year' where id = @ask_expired@

-- attack: ask with an answer
-- as: founder admin proxy
-- refused by: 42501 grant
insert into approval_requests (service, item_type, status, summary, risk_level) values ('app', 'email', 'approved', 's', 'low')

-- attack: ask as somebody else
-- as: agent viewer reader stranger
-- refused by: 42501 grant
insert into approval_requests (service, item_type, summary, risk_level) values ('app', 'email', 's', 'low')

-- attack: open gate main before the sandbox
-- as: proxy founder
-- refused by: SH003 guard_request
insert into approval_requests (service, item_type, summary, risk_level, patch_id)
values ('app', 'patch_main', 's', 'low', @patch_proposed@)

-- attack: ask for another digest
-- as: proxy founder admin
-- refused by: SH002 guard_request
insert into approval_requests (service, item_type, summary, risk_level, patch_id, digest)
values ('app', 'patch_sandbox', 's', 'low', @patch_failed@, repeat('0', 64))

-- attack: ask twice at once
-- as: proxy
-- refused by: 23505 approval_requests_one_waiting
insert into approval_requests (service, item_type, summary, risk_level, patch_id)
values ('app', 'patch_main', 's', 'low', @patch_passed@)

-- attack: insert around an update
-- as: founder proxy
-- refused by: 42501 grant
insert into control_versions (version, rules, reason) values (1, '{}', 'x')
on conflict (version) do update set rules = '{}'

-- attack: merge instead of update
-- as: founder admin agent proxy
-- refused by: 42501 grant
merge into approval_requests r using (select 1) one on r.id = @ask_main@ when matched then update set status = 'approved'

-- attack: step to approved without a decision
-- as: founder
-- refused by: SH003 guard_gates
update self_healing_patches set status = 'approved' where id = @patch_passed@

-- attack: step to approved
-- as: admin proxy
-- refused by: 42501 check_step
update self_healing_patches set status = 'approved' where id = @patch_passed@

-- attack: step to approved
-- as: agent viewer reader stranger
-- refused by: 42501 grant
update self_healing_patches set status = 'approved' where id = @patch_passed@

-- attack: step to approved with a login whose profile is gone
-- as: removed
-- refused by: 0 rows
update self_healing_patches set status = 'approved' where id = @patch_passed@

-- attack: approved without a proof, over glass that nobody broke
-- as: founder
-- refused by: SH003 guard_gates
update self_healing_patches set status = 'approved' where id = @patch_proposed@

-- attack: approved without a proof
-- as: admin proxy
-- refused by: 42501 check_step
update self_healing_patches set status = 'approved' where id = @patch_failed@

-- attack: approved in the middle of a run
-- as: founder admin proxy
-- refused by: SH001 check_step
update self_healing_patches set status = 'approved' where id = @patch_running@

-- attack: break the glass without a reason
-- as: founder
-- refused by: 23514 break_glass_says_why
insert into founder_decisions (kind, patch_id, digest, reason, idempotency_key)
values ('break_glass', @patch_proposed@, '@digest_proposed@', 'because', '@key@')

-- attack: break the glass for another digest
-- as: founder
-- refused by: SH002 guard_deed
insert into founder_decisions (kind, patch_id, digest, reason, idempotency_key)
values ('break_glass', @patch_proposed@, repeat('0', 64), 'MAIN is down, no time', '@key@')

-- attack: break the glass for what is applied
-- as: founder
-- refused by: SH003 guard_deed
insert into founder_decisions (kind, patch_id, digest, reason, idempotency_key)
values ('break_glass', @patch_applied@, '@digest_applied@', 'MAIN is down, no time', '@key@')

-- attack: silence an alert
-- as: agent viewer proxy reader stranger
-- refused by: 42501 grant
insert into acknowledgements (kind, subject) values ('critical_job', 'J-@job@')

-- attack: silence an alert with a login whose profile is gone
-- as: removed
-- refused by: 42501 guard_acknowledgement
insert into acknowledgements (kind, subject) values ('critical_job', 'J-@job@')

-- attack: acknowledge under another name
-- as: admin founder
-- refused by: 42501 grant
insert into acknowledgements (kind, subject, actor) values ('critical_job', 'J-@job@', '@founder@')

-- attack: acknowledge what has not happened yet
-- as: founder admin
-- refused by: SH007 guard_acknowledgement
insert into acknowledgements (kind, subject) values ('break_glass', 'P-@patch_proposed@')

-- attack: apply without an order
-- as: proxy
-- refused by: SH003 guard_gates
update self_healing_patches set status = 'applied' where id = @patch_approved@

-- attack: apply by hand
-- as: founder admin
-- refused by: 42501 check_step
update self_healing_patches set status = 'applied' where id = @patch_approved@

-- attack: apply what was never approved
-- as: founder admin proxy
-- refused by: SH001 check_step
update self_healing_patches set status = 'applied' where id = @patch_passed@

-- attack: run in the sandbox unasked
-- as: proxy
-- refused by: SH003 guard_gates
update self_healing_patches set status = 'sandbox_running' where id = @patch_proposed@

-- attack: roll back unasked
-- as: proxy
-- refused by: SH003 guard_gates
update self_healing_patches set status = 'rolled_back' where id = @patch_applied@

-- attack: a passed sandbox without evidence
-- as: proxy
-- refused by: SH002 guard_patch
update self_healing_patches set status = 'sandbox_passed' where id = @patch_running@

-- attack: a passed sandbox of another digest
-- as: proxy
-- refused by: SH002 guard_patch
update self_healing_patches set status = 'sandbox_passed', evidence = '{"digest":"0"}' where id = @patch_running@

-- attack: evidence that is not what its digest says
-- as: proxy
-- refused by: SH002 guard_patch
update self_healing_patches set status = 'sandbox_passed', evidence_digest = repeat('0', 64),
  evidence = '{"digest":"@digest_running@"}' where id = @patch_running@

-- attack: other evidence after the run
-- as: proxy
-- refused by: SH006 guard_patch
update self_healing_patches set evidence = '{"digest":"@digest_passed@","passed":true}' where id = @patch_passed@

-- attack: a lower risk than was shown
-- as: proxy
-- refused by: SH006 guard_patch
update self_healing_patches set risk_score = 0, risk_level = 'low' where id = @patch_passed@

-- attack: change a patch's diff
-- as: founder admin agent viewer proxy
-- refused by: 42501 grant
update self_healing_patches set ai_diff_proposal = '--- a' where id = @patch_approved@

-- attack: change a patch's SQL
-- as: founder admin agent viewer proxy
-- refused by: 42501 grant
update self_healing_patches set sql_migration = 'drop table x' where id = @patch_approved@

-- attack: change a patch's base
-- as: founder admin agent proxy
-- refused by: 42501 grant
update self_healing_patches set base_commit = 'f00' where id = @patch_approved@

-- attack: change a patch's digest
-- as: founder admin agent proxy
-- refused by: 42501 grant
update self_healing_patches set digest = repeat('0', 64) where id = @patch_approved@

-- attack: propose a patch that is approved
-- as: agent admin founder
-- refused by: 42501 grant
insert into self_healing_patches (job_id, patch_type, ai_diff_proposal, status) values (@job@, 'code', '+x', 'approved')

-- attack: start a patch approved
-- as: proxy
-- refused by: SH001 guard_patch
insert into self_healing_patches (job_id, service, patch_type, ai_diff_proposal, digest, created_by, status)
values (@job@, 'app', 'code', '+x', '', 'me', 'approved')

-- attack: propose a patch of low risk
-- as: agent admin founder
-- refused by: 42501 grant
insert into self_healing_patches (job_id, patch_type, ai_diff_proposal, risk_level, risk_score) values (@job@, 'code', '+x', 'low', 0)

-- attack: propose as somebody else
-- as: agent admin
-- refused by: 42501 grant
insert into self_healing_patches (job_id, patch_type, ai_diff_proposal, created_by) values (@job@, 'code', '+x', '@founder@')

-- attack: order to apply
-- as: admin
-- refused by: 42501 guard_deed
insert into founder_decisions (kind, patch_id, digest, evidence_digest, idempotency_key)
values ('apply', @patch_approved@, '@digest_approved@', '@evidence_approved@', '@key@')

-- attack: order to apply
-- as: proxy agent viewer reader stranger
-- refused by: 42501 grant
insert into founder_decisions (kind, patch_id, digest, evidence_digest, idempotency_key)
values ('apply', @patch_approved@, '@digest_approved@', '@evidence_approved@', '@key@')

-- attack: order with a login whose profile is gone
-- as: removed
-- refused by: 42501 guard_deed
insert into founder_decisions (kind, patch_id, digest, idempotency_key)
values ('sandbox', @patch_proposed@, '@digest_proposed@', '@key@')

-- attack: order to apply another digest
-- as: founder
-- refused by: SH002 guard_deed
insert into founder_decisions (kind, patch_id, digest, evidence_digest, idempotency_key)
values ('apply', @patch_approved@, repeat('0', 64), '@evidence_approved@', '@key@')

-- attack: order to apply other evidence
-- as: founder
-- refused by: SH002 guard_deed
insert into founder_decisions (kind, patch_id, digest, evidence_digest, idempotency_key)
values ('apply', @patch_approved@, '@digest_approved@', repeat('0', 64), '@key@')

-- attack: order to apply what is not approved
-- as: founder
-- refused by: SH003 guard_deed
insert into founder_decisions (kind, patch_id, digest, evidence_digest, idempotency_key)
values ('apply', @patch_passed@, '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: order to roll back what was never applied
-- as: founder
-- refused by: SH003 guard_deed
insert into founder_decisions (kind, patch_id, digest, idempotency_key)
values ('rollback', @patch_approved@, '@digest_approved@', '@key@')

-- attack: roll back, by an admin
-- as: admin
-- refused by: 42501 guard_deed
insert into founder_decisions (kind, patch_id, digest, idempotency_key)
values ('rollback', @patch_applied@, '@digest_applied@', '@key@')

-- attack: run the sandbox, by an admin, with its switch off
-- as: admin
-- refused by: 42501 guard_deed
insert into founder_decisions (kind, patch_id, digest, idempotency_key)
values ('sandbox', @patch_proposed@, '@digest_proposed@', '@key@')

-- attack: break the glass
-- as: admin
-- refused by: 42501 guard_deed
insert into founder_decisions (kind, patch_id, digest, reason, idempotency_key)
values ('break_glass', @patch_proposed@, '@digest_proposed@', 'in a hurry', '@key@')

-- attack: break the glass
-- as: proxy agent viewer stranger
-- refused by: 42501 grant
insert into founder_decisions (kind, patch_id, digest, reason, idempotency_key)
values ('break_glass', @patch_proposed@, '@digest_proposed@', 'in a hurry', '@key@')

-- attack: write the founder into a deed
-- as: admin founder
-- refused by: 42501 grant
insert into founder_decisions (kind, patch_id, digest, actor, actor_role, idempotency_key)
values ('sandbox', @patch_proposed@, '@digest_proposed@', '@founder@', 'founder', '@key@')

-- attack: point an order at another patch
-- as: proxy founder admin
-- refused by: 42501 grant
update founder_decisions set patch_id = @patch_proposed@

-- attack: open a finished order again
-- as: proxy
-- refused by: SH004 guard_deed
update founder_decisions set status = 'pending' where status = 'done'

-- attack: turn a gate's switch
-- as: admin agent viewer proxy stranger removed
-- refused by: 42501 grant
select set_switch('auto_approve_sandbox', true, 'mine')

-- attack: turn a switch in its table
-- as: founder admin agent proxy
-- refused by: 42501 grant
update gate_switches set enabled = true

-- attack: a switch for gate main
-- as: founder
-- refused by: SH007 set_switch
select set_switch('auto_approve_main', true, 'mine')

-- attack: new rules
-- as: admin agent viewer stranger removed
-- refused by: 42501 grant
insert into control_versions (version, rules, reason) values (@next_control@, '{}', 'mine')

-- attack: rules that skip a version
-- as: founder proxy
-- refused by: SH002 guard_control
insert into control_versions (version, rules, reason) values (@next_control@ + 7, '{}', 'mine')

-- attack: rules under another name
-- as: founder proxy
-- refused by: 42501 grant
insert into control_versions (version, rules, reason, changed_by) values (@next_control@, '{}', 'mine', 'somebody')

-- attack: a new step for everybody
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
insert into patch_steps values ('proposed', 'applied', 'agent')

-- attack: a new step for jobs
-- as: founder admin agent proxy
-- refused by: 42501 grant
insert into job_steps values ('open', 'resolved', 'admin')

-- attack: give itself a profile
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
insert into profiles (name, role) values ('eve', 'FOUNDER')

-- attack: raise its own profile
-- as: admin agent viewer proxy removed
-- refused by: 42501 grant
update profiles set role = 'FOUNDER'

-- attack: a job applied by hand
-- as: admin founder
-- refused by: 42501 check_step
update self_healing_jobs set status = 'applied' where id = @job_approved@

-- attack: a job closed by an agent
-- as: agent viewer
-- refused by: 42501 grant
update self_healing_jobs set status = 'closed' where id = @job@

-- attack: lower a job's severity
-- as: agent admin founder viewer
-- refused by: 42501 grant
update self_healing_jobs set severity = 'low' where id = @job@

-- attack: move a sequence back
-- as: founder admin agent viewer proxy stranger
-- refused by: 42501 grant
select setval(pg_get_serial_sequence('approval_requests', 'id'), 1, false)

-- attack: pull a sequence forward
-- as: founder admin agent proxy
-- refused by: 42501 grant
select nextval(pg_get_serial_sequence('self_healing_patches', 'id'))

-- attack: choose an id
-- as: founder admin proxy
-- refused by: 42501 grant
insert into approval_requests (id, service, item_type, summary, risk_level) overriding system value
values (@ask_main@, 'app', 'email', 's', 'low')

-- attack: expire other people's requests
-- as: founder admin agent viewer stranger
-- refused by: 42501 grant
select expire_approvals(now() + interval '1 year')

-- attack: rules with an effect that permits
-- as: founder proxy
-- refused by: 22023 guard_control
insert into control_versions (version, rules, reason)
values (@next_control@, '{"rules": [{"name": "x", "effect": "permit"}]}', 'mine')

-- attack: rules that let policy say yes to more
-- as: founder proxy
-- refused by: 22023 guard_control
insert into control_versions (version, rules, reason) values (@next_control@, '{"thresholds": {"auto_risk_max": 100}}', 'mine')

-- attack: rules with a switch of their own
-- as: founder proxy
-- refused by: 22023 guard_control
insert into control_versions (version, rules, reason) values (@next_control@, '{"gates": {"main": "auto"}}', 'mine')
