-- What speaks for most routes says so in its row, and since when nobody has said it again: what another proxy tells of the
-- same cause becomes a part of it instead of a second alert.

select set_config('role', role_name('owner'), true);

create or replace function open_incident(p_holder text, p_service text, p_route text, p_method text, p_type text, p_severity text,
    p_description text, p_detected_at timestamptz, p_onset timestamptz, p_baseline double precision,
    p_observed double precision, p_ratio double precision, p_sigma double precision, p_samples integer, p_metrics jsonb)
  returns uuid
  language plpgsql set search_path from current
  as $$
declare
  known observability_anomalies;
  is_repeat boolean;
  is_better boolean;
begin
  if p_metrics ? 'moving' then
    p_metrics := p_metrics || jsonb_build_object('moving_at', now());
  end if;
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
      resolved = false, resolved_at = null,
      -- what one proxy counts as part of another incident may be told by the next, or later
      metrics = case when p_metrics ? 'part_of' then a.metrics else (a.metrics - 'part_of') || p_metrics end
    where a.id = known.id;
    -- The figures and the sentence belong together: both of the worst report, or of the same reporter's newest. What is
    -- told keeps its words before those of a part, and what speaks for most routes before those that speak for one.
    is_better := case
      when not known.metrics ? 'part_of' and p_metrics ? 'part_of' then false
      when known.metrics ? 'part_of' and not p_metrics ? 'part_of' then true
      when known.metrics ? 'moving' and not p_metrics ? 'moving' then is_repeat
      else is_repeat or p_ratio > known.ratio
    end;
    if is_better then
      update observability_anomalies a set observed = p_observed, ratio = p_ratio, sigma = p_sigma,
        samples = p_samples, description = p_description
      where a.id = known.id;
    end if;
  end if;
  insert into observability_anomaly_holders as h (anomaly_id, holder) values (known.id, p_holder)
  on conflict (anomaly_id, holder) do update set seen_at = now();
  return known.id;
end $$;

insert into schema_migrations (name) values ('345_one_cause_one_alert');
