-- An alert about a critical job says how often it failed and whom it hit, and since when it is critical: it named category
-- and route alone, and the job's first failure, also where that was days before. What traffic wrote stays out: it is pushed.

select set_config('role', role_name('owner'), true);

alter table self_healing_jobs add column critical_at timestamptz;
comment on column self_healing_jobs.critical_at is 'When its severity rose to critical; null before that, and where an earlier version raised it.';

create function note_critical() returns trigger
  language plpgsql set search_path from current
  as $$
begin
  if new.severity = 'critical' and (tg_op = 'INSERT' or old.severity <> 'critical') then
    new.critical_at := now();
  end if;
  return new;
end $$;
revoke execute on function note_critical() from public;
create trigger note_critical before insert or update of severity on self_healing_jobs
  for each row execute function note_critical();

create or replace function open_alerts(warn_before interval)
  returns table (kind text, subject text, severity text, since timestamptz, summary text, expires_at timestamptz)
  language sql stable security definer set search_path from current
  as $$
  with alert as (
    select 'break_glass' as kind, 'P-' || f.patch_id as subject, 'critical' as severity, max(f.decided_at) as since,
           'P-' || f.patch_id || ' went past gate main without a proof' as summary, null::timestamptz as expires_at
    from founder_decisions f where f.kind = 'break_glass' group by f.patch_id
    union all
    select 'critical_job', 'J-' || j.id, 'critical', coalesce(greatest(j.regressed_at, j.critical_at), j.created_at),
           concat_ws(' ', j.error_category, j.method, j.route)
           || concat_ws(', ', ' (' || j.occurrences || case when j.occurrences = 1 then ' time' else ' times' end,
                round(nullif(j.affected_share, 0)::numeric * 100, 1) || '% of the requests',
                case when kmv_count(j.clients) > 1 then kmv_count(j.clients) || ' clients' end) || ')', null
    from self_healing_jobs j
    where j.severity = 'critical' and not j.noise and j.status in ('open', 'patch_proposed', 'sandboxed', 'approved')
    union all
    select 'expiring', 'A-' || r.id, r.risk_level, r.created_at, r.item_type || ': ' || left(r.summary, 200), r.expires_at
    from approval_requests r
    where r.status in ('pending', 'deferred') and r.expires_at > now() and r.expires_at <= now() + warn_before
  )
  select a.kind, a.subject, a.severity, a.since, a.summary, a.expires_at from alert a
  where (select may_act())
    and not exists (select from acknowledgements k where k.kind = a.kind and k.subject = a.subject and k.at >= a.since)
  order by case a.severity when 'critical' then 0 when 'high' then 1 when 'medium' then 2 else 3 end, a.since
$$;

insert into schema_migrations (name) values ('347_why_it_is_critical');
