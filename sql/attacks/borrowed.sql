-- Borrowing what acts as the owner, or acting in a moment that is over. The format is told in reach.sql.

-- attack: a trigger of ours on a table of its own, to approve an item
-- as: founder admin agent viewer proxy removed stranger
-- refused by: 42501 grant
create temporary table mine (approval_id bigint, decision text, item_type text, digest text, evidence_digest text,
  interactive boolean, details jsonb, reason text);
create trigger borrowed after insert on mine for each row execute function record_decision();
insert into mine values (@ask_campaign@, 'approve', 'campaign', '@digest_campaign@', null, true, '{}', 'mine')

-- attack: a trigger of ours on a table of its own, to write a deed into the audit
-- as: founder admin agent viewer proxy removed stranger
-- refused by: 42501 grant
create temporary table mine (kind text, patch_id bigint, digest text, evidence_digest text, interactive boolean, reason text);
create trigger borrowed after insert on mine for each row execute function record_deed();
insert into mine values ('apply', @patch_approved@, '@digest_approved@', '@evidence_approved@', true, 'mine')

-- attack: a trigger of ours on a table of its own, to void what was approved
-- as: admin agent viewer proxy removed stranger
-- refused by: 42501 grant
create temporary table mine (id bigint, status text);
create trigger borrowed after insert on mine for each row execute function finish_break_glass();
insert into mine values (@patch_passed@, 'approved')

-- attack: a trigger of ours on a table of its own, to make a member in the audit
-- as: admin agent viewer proxy removed stranger
-- refused by: 42501 grant
create temporary table mine (name text, role text, identity uuid);
create trigger borrowed after insert on mine for each row execute function audit_profiles();
insert into mine values ('mallory', 'FOUNDER', null)

-- attack: ask the gates what they would say
-- as: agent viewer reader stranger
-- refused by: 42501 grant
select gate_passed('patch_main', @patch_approved@, '@digest_approved@', '@evidence_approved@')

-- attack: say yes after the end, in a transaction that began before it
-- as: founder
-- refused by: SH005 guard_decision
insert into approval_requests (service, item_type, summary, risk_level, digest, expires_at)
values ('app', 'campaign', 'late', 'low', repeat('a', 64), clock_timestamp() + interval '0.1 second');
select pg_sleep(0.2);
insert into approval_decisions (approval_id, decision, digest, idempotency_key)
select max(id), 'approve', repeat('a', 64), '@key@' from approval_requests where summary = 'late'

-- attack: a request that never ends
-- as: founder admin proxy
-- refused by: 23514 a_request_ends
insert into approval_requests (service, item_type, summary, risk_level, digest, expires_at)
values ('app', 'campaign', 'for ever', 'low', repeat('a', 64), 'infinity')

-- attack: a lower word for the risk that was shown
-- as: proxy
-- refused by: SH006 shown_risk_stands
update self_healing_patches set risk_level = 'low' where id = @patch_passed@

-- attack: a lower risk than a request shows, before the sandbox
-- as: proxy
-- refused by: SH006 shown_risk_stands
update self_healing_patches set risk_score = 0, risk_level = 'low' where id = @patch_proposed@

-- attack: a diff without end
-- as: founder admin agent
-- refused by: 23514 content_is_bounded
insert into self_healing_patches (job_id, patch_type, ai_diff_proposal) values (@job@, 'code', repeat('x', 1000001))

-- attack: fill the audit chain through a summary without end
-- as: agent
-- refused by: 23514 words_are_bounded
update self_healing_jobs set ai_summary = repeat('x', 20001) where id = @job@
