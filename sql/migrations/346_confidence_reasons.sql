-- The terms a confidence is made of stand beside it, as those of a risk do.

select set_config('role', role_name('owner'), true);

alter table self_healing_patches add column confidence_reasons text[] not null default '{}';
comment on column self_healing_patches.confidence_reasons is 'The terms of confidence_score, computed from the sandbox run.';

create or replace view patches as
  select id, job_id, service, patch_type, description, files_changed, sql_migration_path, ai_diff_proposal,
         sql_migration, base_commit,
         case when (select sees_content()) then ai_patch_payload else '{}' end as ai_patch_payload,
         digest, risk_score, risk_level, risk_reasons, confidence_score, status,
         case when (select sees_content()) then evidence end as evidence,
         evidence_digest, sandbox_branch, applied_commit, previous_commit, created_by, created_at, confidence_reasons
  from self_healing_patches where (select may_act());

select as_roles($sql$
  grant update (confidence_reasons) on self_healing_patches to sh_proxy;
$sql$);

insert into schema_migrations (name) values ('346_confidence_reasons');
