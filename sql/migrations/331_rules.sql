-- The founder's rules can tighten, never loosen: the database knows what a rule may look like, and refuses a version
-- that says anything else, whoever writes it.

select set_config('role', role_name('owner'), true);

create function rules_flaw(rules jsonb) returns text
  language plpgsql immutable set search_path from current
  as $$
declare
  rule jsonb;
  limit_ jsonb := jsonb_strip_nulls(coalesce(rules -> 'thresholds', '{}'));
  key text;
begin
  for key in select jsonb_object_keys(jsonb_strip_nulls(rules)) loop
    if key not in ('rules', 'thresholds', 'imported_sha256') then
      return format('%s is nothing that rules know', key);
    end if;
  end loop;
  if jsonb_typeof(limit_) <> 'object' or limit_ - 'auto_risk_max' <> '{}' then
    return 'thresholds know auto_risk_max alone';
  end if;
  if limit_ ? 'auto_risk_max' and (jsonb_typeof(limit_ -> 'auto_risk_max') <> 'number'
      or (limit_ ->> 'auto_risk_max')::numeric not between 0 and 19) then
    return 'auto_risk_max is 0 to 19: policy never says yes above low risk';
  end if;
  if jsonb_typeof(coalesce(rules -> 'rules', '[]')) <> 'array' then
    return 'rules are a list';
  end if;
  if jsonb_array_length(coalesce(rules -> 'rules', '[]')) > 200 then
    return 'more than 200 rules';
  end if;
  for rule in select jsonb_strip_nulls(r) from jsonb_array_elements(coalesce(rules -> 'rules', '[]')) r loop
    if jsonb_typeof(rule) <> 'object' or coalesce(rule ->> 'name', '') = '' then
      return 'a rule has a name';
    end if;
    for key in select jsonb_object_keys(rule) loop
      if key not in ('name', 'effect', 'risk', 'to', 'items', 'categories', 'routes', 'paths', 'authors', 'hours') then
        return format('rule %s: %s is nothing that rules know', rule ->> 'name', key);
      end if;
    end loop;
    if coalesce(rule ->> 'effect', '') not in ('force_risk', 'forbid', 'ask_twice', 'mute', 'assign') then
      return format('rule %s: no effect of that kind; none lowers or permits anything', rule ->> 'name');
    end if;
    if (rule ->> 'effect' = 'force_risk') <> (coalesce(rule ->> 'risk', '') in ('low', 'medium', 'high', 'critical')) then
      return format('rule %s: force_risk, and nothing else, has a risk', rule ->> 'name');
    end if;
    if (rule ->> 'effect' = 'assign') <> (rule ? 'to') then
      return format('rule %s: assign, and nothing else, has a member', rule ->> 'name');
    end if;
  end loop;
  return null;
end $$;
comment on function rules_flaw is 'What keeps these rules from being taken; null when they only tighten.';

create or replace function guard_control() returns trigger
  language plpgsql security definer set search_path from current
  as $$
declare
  newest bigint;
  flaw text := rules_flaw(new.rules);
begin
  if flaw is not null then
    raise exception 'these rules cannot be taken: %', flaw using errcode = '22023';
  end if;
  select coalesce(max(v.version), 0) into newest from control_versions v;
  if new.version <> newest + 1 then
    raise exception 'the rules are at version % now', newest using errcode = 'SH002';
  end if;
  new.changed_by := acting_name();
  new.changed_role := acting_role();
  new.changed_at := now();
  return new;
end $$;

insert into schema_migrations (name) values ('331_rules');
