-- Which failures are one bug, as the founder decided it: merges (self_healing_aliases) and splits. Decisions are rows,
-- read at every recording; no job is ever renamed.

select set_config('role', role_name('owner'), true);

create table self_healing_splits (
  id bigint generated always as identity primary key,
  service text not null,
  environment text not null,
  error_signature text not null,
  facet text not null check (length(facet) between 3 and 200),
  said text not null default '',
  stands_for text not null,
  created_at timestamptz not null default now(),
  unique (service, environment, error_signature, facet),
  check (error_signature <> stands_for)
);
comment on table self_healing_splits is 'A split is durable: failures of this signature with this facet (proxy/domain/facet.py) are the other bug.';

alter table self_healing_aliases add column counted bigint not null default 0;
comment on column self_healing_aliases.counted is 'Occurrences that went over with the merge, given back when it is undone.';

alter table self_healing_events add column error_signature text;
comment on column self_healing_events.error_signature is 'As it was computed, before merges and splits.';

create or replace view job_events as
  select id, job_id, occurred_at,
         case when (select sees_content()) then failure
              else failure - 'stack' - 'body' - 'response_excerpt' - 'client' - 'user_agent' end as failure,
         case when (select sees_content()) then request end as request,
         case when (select sees_content()) then request_body end as request_body,
         error_signature
  from self_healing_events where (select may_act());

create function resolve_signature(p_service text, p_environment text, p_signature text, p_facets text[]) returns text
  language sql stable set search_path from current
  as $$
  select coalesce(
    (select a.stands_for from self_healing_aliases a
     where (a.service, a.environment, a.error_signature) = (p_service, p_environment, own.signature)), own.signature)
  from (select coalesce(
    (select s.stands_for from self_healing_splits s
     where (s.service, s.environment, s.error_signature) = (p_service, p_environment, p_signature)
       and s.facet = any (p_facets) order by s.id limit 1), p_signature) as signature) own
$$;
comment on function resolve_signature is 'The signature whose job a failure belongs to: a split first, then a merge.';

create function record_merge() returns trigger
  language plpgsql security definer set search_path from current
  as $$
declare
  merge self_healing_aliases := case when tg_op = 'DELETE' then old else new end;
begin
  perform audit_append(case tg_op when 'DELETE' then 'job.unmerged' else 'job.merged' end,
    coalesce((select 'J-' || max(j.id) from self_healing_jobs j where (j.service, j.environment, j.error_signature)
      = (merge.service, merge.environment, merge.stands_for)), merge.stands_for),
    null, to_jsonb(merge), null);
  return null;
end $$;
create trigger record after insert or update or delete on self_healing_aliases for each row execute function record_merge();

create function record_split() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  perform audit_append('job.split', new.error_signature, null, to_jsonb(new), null);
  return null;
end $$;
create trigger record after insert on self_healing_splits for each row execute function record_split();

create function check_grouping(p_job bigint) returns self_healing_jobs
  language plpgsql set search_path from current
  as $$
declare
  job self_healing_jobs;
begin
  if not may_act() or acting_role() not in ('founder', 'admin') then
    raise exception 'what is one bug is for the founder or an admin to say' using errcode = '42501';
  end if;
  select * into job from self_healing_jobs where id = p_job for update;
  if not found then
    raise exception 'there is no job J-%', p_job using errcode = 'SH007';
  elsif job.status = 'closed' then
    raise exception 'J-% is closed; reopen it first', p_job using errcode = 'SH001';
  end if;
  return job;
end $$;

create function merge_jobs(p_keep bigint, p_other bigint, p_reason text) returns void
  language plpgsql security definer set search_path from current
  as $$
declare
  keep self_healing_jobs;
  other self_healing_jobs;
begin
  if p_keep = p_other then
    raise exception 'J-% and itself are one job already', p_keep using errcode = 'SH001';
  end if;
  -- always in the same order: two people merge the same pair both ways round
  perform 1 from self_healing_jobs where id in (p_keep, p_other) order by id for update;
  keep := check_grouping(p_keep);
  other := check_grouping(p_other);
  if (keep.service, keep.environment) <> (other.service, other.environment) then
    raise exception 'J-% and J-% belong to different services or environments', p_keep, p_other using errcode = 'SH001';
  end if;
  delete from self_healing_aliases a
    where (a.service, a.environment, a.error_signature) = (keep.service, keep.environment, keep.error_signature);
  update self_healing_aliases a set stands_for = keep.error_signature
    where (a.service, a.environment, a.stands_for) = (other.service, other.environment, other.error_signature);
  insert into self_healing_aliases as a (service, environment, error_signature, stands_for, counted)
    values (other.service, other.environment, other.error_signature, keep.error_signature, other.occurrences)
    on conflict (service, environment, error_signature)
    do update set stands_for = excluded.stands_for, counted = excluded.counted;
  update self_healing_jobs j set
    occurrences = j.occurrences + other.occurrences,
    first_seen = least(j.first_seen, other.first_seen),
    last_seen = greatest(j.last_seen, other.last_seen),
    severity = case when severity_rank(other.severity) > severity_rank(j.severity) then other.severity else j.severity end,
    noise = j.noise and other.noise,
    related_observability_log_ids =
      (other.related_observability_log_ids || j.related_observability_log_ids)[greatest(1,
        cardinality(other.related_observability_log_ids) + cardinality(j.related_observability_log_ids) - 49):],
    related_anomaly_ids = (other.related_anomaly_ids || j.related_anomaly_ids)[greatest(1,
        cardinality(other.related_anomaly_ids) + cardinality(j.related_anomaly_ids) - 49):]
  where j.id = p_keep;
  insert into self_healing_links (job_id, kind, ref, at)
    select p_keep, l.kind, l.ref, l.at from self_healing_links l where l.job_id = p_other on conflict do nothing;
  update self_healing_jobs set status = 'closed',
    closed_reason = left(format('merged into J-%s', p_keep) || coalesce(': ' || nullif(p_reason, ''), ''), 2000)
  where id = p_other;
end $$;
comment on function merge_jobs is 'The other''s failures count on keep from now on; it keeps its number and name, and is closed.';

create function move_samples(p_from bigint, p_to bigint, p_events bigint[], p_back bigint) returns bigint
  language plpgsql set search_path from current
  as $$
declare
  moved bigint;
begin
  update self_healing_events set job_id = p_to where job_id = p_from and id = any (p_events);
  get diagnostics moved = row_count;
  update self_healing_jobs set occurrences = greatest(1, occurrences - moved - p_back) where id = p_from;
  return moved;
end $$;

create function split_job(p_job bigint, p_events bigint[], p_facet text, p_said text, p_reason text) returns bigint
  language plpgsql security definer set search_path from current
  as $$
declare
  job self_healing_jobs := check_grouping(p_job);
  own text := 'v1:' || left(encode(sha256(convert_to(job.error_signature || chr(10) || p_facet, 'UTF8')), 'hex'), 24);
  made bigint;
  moved bigint;
begin
  select id into made from self_healing_jobs j
    where (j.service, j.environment, j.error_signature) = (job.service, job.environment, own) and j.status <> 'closed';
  if made is not null then
    raise exception 'J-% has been split off J-% already', made, p_job using errcode = 'SH001';
  end if;
  insert into self_healing_splits (service, environment, error_signature, facet, said, stands_for)
    values (job.service, job.environment, job.error_signature, p_facet, left(p_said, 300), own)
    on conflict do nothing;
  insert into self_healing_jobs (service, environment, method, route, error_signature, signature_text, error_category,
      severity, first_seen, last_seen, rule, evidence, reason, noise, sampled_at)
    select job.service, job.environment, coalesce(e.failure ->> 'method', job.method), coalesce(e.failure ->> 'route', job.route),
      own, left(job.signature_text || ' | ' || p_said, 8192), job.error_category, job.severity, e.occurred_at, e.occurred_at,
      job.rule, job.evidence, coalesce(nullif(p_reason, ''), job.reason), job.noise, now()
    from self_healing_events e where e.job_id = p_job and e.id = p_events[1]
    returning id into made;
  if made is null then
    raise exception 'J-% has no such event', p_job using errcode = 'SH007';
  end if;
  moved := move_samples(p_job, made, p_events, 0);
  update self_healing_jobs j set occurrences = moved, first_seen = e.first_at, last_seen = e.last_at, replayable = e.replayable
    from (select min(occurred_at) as first_at, max(occurred_at) as last_at, bool_or(request is not null) as replayable
          from self_healing_events where job_id = made) e
    where j.id = made;
  return made;
end $$;
comment on function split_job is 'A job of its own for the samples given and for every later failure with this facet.';

create function unmerge_job(p_job bigint, p_signature text, p_events bigint[]) returns bigint
  language plpgsql security definer set search_path from current
  as $$
declare
  job self_healing_jobs := check_grouping(p_job);
  back bigint;
  former self_healing_jobs;
begin
  delete from self_healing_aliases a where (a.service, a.environment, a.error_signature, a.stands_for)
    = (job.service, job.environment, p_signature, job.error_signature) returning counted into back;
  select * into former from self_healing_jobs j
    where (j.service, j.environment, j.error_signature) = (job.service, job.environment, p_signature)
    order by j.id desc limit 1 for update;
  if back is null or former.id is null then
    raise exception 'nothing of this signature was merged into J-%', p_job using errcode = 'SH007';
  end if;
  if former.status = 'closed' then
    update self_healing_jobs set status = 'open' where id = former.id;
  end if;
  update self_healing_jobs set
    occurrences = occurrences + move_samples(p_job, former.id, p_events, back),
    last_seen = greatest(last_seen, (select max(occurred_at) from self_healing_events where job_id = former.id))
  where id = former.id;
  return former.id;
end $$;
comment on function unmerge_job is 'The merged job opens again under its own number, and takes its samples with it.';

create function unmerge_reopened() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  delete from self_healing_aliases a
    where (a.service, a.environment, a.error_signature) = (new.service, new.environment, new.error_signature);
  return null;
end $$;
create trigger unmerge after update of status on self_healing_jobs for each row
  when (old.status = 'closed' and new.status = 'open') execute function unmerge_reopened();
comment on function unmerge_reopened is 'A merged job that somebody reopens by hand gets its failures back.';

alter table self_healing_splits enable row level security;
alter table self_healing_splits force row level security;

select as_roles($sql$
  create policy owner_all on self_healing_splits to sh_owner using (true) with check (true);
  create policy readers on self_healing_splits for select to sh_proxy, sh_admin, sh_founder using ((select may_act()));
  grant select on self_healing_splits to sh_proxy, sh_admin, sh_founder;
  revoke execute on function record_merge(), record_split(), unmerge_reopened(), check_grouping(bigint),
    move_samples(bigint, bigint, bigint[], bigint), merge_jobs(bigint, bigint, text),
    split_job(bigint, bigint[], text, text, text), unmerge_job(bigint, text, bigint[]) from public;
  grant execute on function merge_jobs(bigint, bigint, text), split_job(bigint, bigint[], text, text, text),
    unmerge_job(bigint, text, bigint[]) to sh_admin, sh_founder;
$sql$);

insert into schema_migrations (name) values ('321_grouping');
