-- Where an application's public.profiles have a say: they can take away and never give. On the stage everybody may
-- write every row of them, as service_role may. The format is told in reach.sql.

-- attack: make itself FOUNDER in the application's profiles, then say yes at gate main
-- as: admin
-- beside: public.profiles
-- refused by: 42501 guard_decision
update public.profiles set role = 'FOUNDER';
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: make everybody FOUNDER in the application's profiles, then say yes at gate main
-- as: agent viewer stranger
-- beside: public.profiles
-- refused by: 42501 grant
update public.profiles set role = 'FOUNDER';
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: make everybody FOUNDER in the application's profiles, then order to apply
-- as: admin removed
-- beside: public.profiles
-- refused by: 42501 guard_deed
update public.profiles set role = 'FOUNDER';
insert into founder_decisions (kind, patch_id, digest, evidence_digest, idempotency_key)
values ('apply', @patch_approved@, '@digest_approved@', '@evidence_approved@', '@key@')

-- attack: a login without a profile of ours, FOUNDER in the application's
-- as: removed
-- beside: public.profiles
-- refused by: 42501 guard_decision
update public.profiles set role = 'FOUNDER';
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_campaign@, 'approve', '@digest_campaign@', null, '@key@')

-- attack: say yes after the application took the founder's role
-- as: founder
-- beside: public.profiles
-- refused by: 42501 guard_decision
update public.profiles set role = 'ADMIN' where id = '@identity_ada@';
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: say yes after the application removed the founder
-- as: founder
-- beside: public.profiles
-- refused by: 42501 guard_decision
delete from public.profiles where id = '@identity_ada@';
insert into approval_decisions (approval_id, decision, digest, evidence_digest, idempotency_key)
values (@ask_main@, 'approve', '@digest_passed@', '@evidence_passed@', '@key@')

-- attack: reject after the application made an admin a client
-- as: admin
-- beside: public.profiles
-- refused by: 42501 guard_decision
update public.profiles set role = 'CLIENT' where id = '@identity_bob@';
insert into approval_decisions (approval_id, decision, reason, digest, idempotency_key)
values (@ask_campaign@, 'reject', 'no', '@digest_campaign@', '@key@')

-- attack: be somebody else there
-- as: founder admin agent viewer proxy stranger
-- beside: public.profiles
-- refused by: 42501 grant
update profiles set identity = '@identity_ada@'

-- attack: put the application's profiles out of force
-- as: founder admin agent viewer proxy stranger
-- beside: public.profiles
-- refused by: 42501 grant
update installation set authority = null

-- attack: ask what role somebody has there
-- as: founder admin agent viewer proxy stranger
-- beside: public.profiles
-- refused by: 42501 grant
select app_role('@identity_ada@')

-- attack: become who reads there
-- as: founder admin agent viewer proxy stranger founder-login proxy-login
-- beside: public.profiles
-- refused by: 42501 role
set local role sh_lookup
