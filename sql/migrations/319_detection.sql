-- What several proxies in front of one service know together: which of them still sees an incident, and when the app
-- was released. One incident is one row, however many proxies found it; it ends when the last of them sees its end.

select set_config('role', role_name('owner'), true);

create table observability_anomaly_holders (
  anomaly_id uuid not null references observability_anomalies on delete cascade,
  holder text not null check (holder ~ '^[^/]{1,100}/[^/]{1,100}$'),
  seen_at timestamptz not null default now(),
  primary key (anomaly_id, holder)
);
comment on table observability_anomaly_holders is 'sidecar/worker that sees this incident now; its control process renews seen_at every minute.';

create function open_incident(p_holder text, p_service text, p_route text, p_method text, p_type text, p_severity text,
    p_description text, p_detected_at timestamptz, p_onset timestamptz, p_baseline double precision,
    p_observed double precision, p_ratio double precision, p_sigma double precision, p_samples integer, p_metrics jsonb)
  returns uuid
  language plpgsql set search_path from current
  as $$
declare
  known observability_anomalies;
  is_repeat boolean;
begin
  -- two proxies that find the same incident in the same moment take turns
  perform pg_advisory_xact_lock(hashtextextended(concat_ws(e'\x1f', p_service, p_method, p_route, p_type), 319));
  select * into known from observability_anomalies a
  where (a.service, a.route, a.method, a.type) = (p_service, p_route, p_method, p_type)
    and (a.onset = p_onset or (not a.resolved and a.metrics ? 'kind'))
  order by a.onset = p_onset desc, a.detected_at desc limit 1 for update;
  if not found then
    insert into observability_anomalies (service, route, method, type, severity, description, detected_at, onset,
      baseline, observed, ratio, sigma, samples, metrics)
    values (p_service, p_route, p_method, p_type, p_severity, p_description, p_detected_at, p_onset,
      p_baseline, p_observed, p_ratio, p_sigma, p_samples, p_metrics)
    returning * into known;
  else
    is_repeat := known.resolved
      or exists (select from observability_anomaly_holders h where h.anomaly_id = known.id and h.holder = p_holder);
    update observability_anomalies a set
      occurrences = a.occurrences + is_repeat::int,
      severity = case when severity_rank(p_severity) > severity_rank(a.severity) then p_severity else a.severity end,
      resolved = false, resolved_at = null
    where a.id = known.id;
    -- the figures and the sentence belong together: both of the worst report, or of the same reporter's newest
    if is_repeat or p_ratio > known.ratio then
      update observability_anomalies a set observed = p_observed, ratio = p_ratio, sigma = p_sigma,
        samples = p_samples, description = p_description
      where a.id = known.id;
    end if;
  end if;
  insert into observability_anomaly_holders as h (anomaly_id, holder) values (known.id, p_holder)
  on conflict (anomaly_id, holder) do update set seen_at = now();
  return known.id;
end $$;
comment on function open_incident is 'One open row per (service, route, method, type); a repeat counts up, another proxy joins.';

create function close_incident(p_anomaly uuid, p_holder text, p_at timestamptz) returns boolean
  language plpgsql set search_path from current
  as $$
begin
  perform from observability_anomalies where id = p_anomaly for update;
  delete from observability_anomaly_holders where anomaly_id = p_anomaly and holder = p_holder;
  update observability_anomalies a set resolved = true, resolved_at = p_at
  where a.id = p_anomaly and not a.resolved
    and not exists (select from observability_anomaly_holders h where h.anomaly_id = a.id);
  return found;
end $$;
comment on function close_incident is 'True when the last proxy that saw the incident has seen its end.';

-- --- releases -----------------------------------------------------------------------------------------------

create table observability_deploys (
  id bigint generated always as identity primary key,
  created_at timestamptz not null default now(),
  service text not null default 'app',
  version text not null default '' check (length(version) <= 200),
  announced_by text not null check (announced_by in ('api', 'header')),
  actor text not null default ''
);
comment on table observability_deploys is 'Releases of the app as somebody announced them; shown beside what begins soon after.';
create index observability_deploys_newest on observability_deploys (service, id desc);

create function record_deploy() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  if not may_act() then
    raise exception 'a deploy is announced by a member or the sidecar' using errcode = '42501';
  end if;
  new.created_at := now();
  new.actor := acting_name();
  perform audit_append('deploy.announced', new.service, null,
    jsonb_build_object('version', new.version, 'announced_by', new.announced_by), null);
  perform notify_event('deploy', new.service, 'announced', 'low');
  return new;
end $$;
create trigger record_deploys before insert on observability_deploys for each row execute function record_deploy();
create trigger only_added before update or delete on observability_deploys for each row execute function forbid_change();

create or replace function audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) returns bigint
  language plpgsql security definer set search_path from current
  as $$
begin
  if not may_act() or acting_role() not in ('proxy', 'admin', 'founder') then
    raise exception 'this role writes nothing into the audit' using errcode = '42501';
  end if;
  if p_action !~ '^[a-z_]+(\.[a-z_]+)*$' or p_action ~ '^(job|patch|approval|deed|control|switch|member|deploy)\.' then
    raise exception 'action % is written by the database itself, or is no action', p_action using errcode = '42501';
  end if;
  return audit_append(p_action, left(p_subject, 200), p_before, p_after, left(p_reason, 4000));
end $$;

select as_roles($sql$
  revoke execute on function open_incident, close_incident, record_deploy from public;
  grant execute on function open_incident, close_incident to sh_proxy;
  grant select, insert, update, delete on observability_anomaly_holders to sh_proxy;
  grant insert (service, version, announced_by) on observability_deploys to sh_proxy, sh_agent, sh_admin, sh_founder;
  grant select on observability_deploys to sh_proxy, sh_agent, sh_viewer, sh_admin, sh_founder;
$sql$);

insert into schema_migrations (name) values ('319_detection');
