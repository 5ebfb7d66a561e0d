-- What an agent may write about a job by SQL has a bound, too: every change of it is copied into the audit chain.

select set_config('role', role_name('owner'), true);

alter table self_healing_jobs add constraint words_are_bounded
  check (length(ai_summary) <= 20000 and length(ai_recommended_actions::text) <= 100000) not valid;

insert into schema_migrations (name) values ('343_bounded_words');
