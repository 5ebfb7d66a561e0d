-- What all migrations add up to, for reading and for comparing.
-- Generated: python -m tests.support.schema
-- Migrations make databases, this file makes none: roles and seed rows are not in it.

SET check_function_bodies = false;
CREATE SCHEMA selfheal;
ALTER SCHEMA selfheal OWNER TO sh_owner;
CREATE TYPE selfheal.user_role AS ENUM (
    'FOUNDER',
    'STAFF',
    'CLIENT',
    'ADMIN',
    'AGENT',
    'VIEWER'
);
ALTER TYPE selfheal.user_role OWNER TO sh_owner;
CREATE FUNCTION selfheal.acting_name() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select case
    when starts_with(session_user, prefix || 'sh_m_') then substr(session_user, length(prefix) + 6)
    -- the sidecar's own word for which part of it acts (policy, healer, a member who attached a patch)
    when session_user = prefix || 'sh_login_proxy' then coalesce(claim('name'), 'sidecar')
    else session_user::text
  end
  from installation
$$;
ALTER FUNCTION selfheal.acting_name() OWNER TO sh_owner;
CREATE FUNCTION selfheal.acting_role() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select case
    when starts_with(current_setting('role'), prefix || 'sh_') then substr(current_setting('role'), length(prefix) + 4)
    when current_setting('role') = 'none' and starts_with(session_user, prefix || 'sh_') then 'none'
    else 'installer'
  end
  from installation
$$;
ALTER FUNCTION selfheal.acting_role() OWNER TO sh_owner;
CREATE FUNCTION selfheal.adopt_profiles() RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  state text := app_profiles();
  missing text;
begin
  if (select authority is not null from installation) then
    return 'adopted';
  end if;
  if state <> 'readable' then
    return state;
  end if;
  select string_agg(p.name, ', ' order by p.name) into missing from profiles p
  where p.role in ('FOUNDER', 'ADMIN')
    and not coalesce(app_role(p.identity) = 'FOUNDER' or p.role = 'ADMIN' and app_role(p.identity) = 'ADMIN', false);
  if missing is not null then
    -- to adopt it now would lock them out
    return 'unlinked: ' || missing;
  end if;
  update installation set authority = 'public.profiles';
  perform audit_append('member.authority', 'public.profiles', null, jsonb_build_object('authority', 'public.profiles'), null);
  return 'adopted';
end $$;
ALTER FUNCTION selfheal.adopt_profiles() OWNER TO sh_owner;
CREATE FUNCTION selfheal.adopted_columns(p_source regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  -- cut where it is read: one row of another program must not fill the memory of this one
  select string_agg(format('%L, left(t.%I::text, 65536)', a.attname, a.attname), ', ')
  from pg_attribute a
  where a.attrelid = p_source and a.attnum > 0 and not a.attisdropped
    and a.attname in ('id', 'created_at', 'detected_at', 'service', 'route_path', 'route', 'method', 'status_code',
      'latency_ms', 'error_message', 'error_stack', 'trace_id', 'user_id', 'type', 'severity', 'description',
      'metrics', 'baseline', 'observed')
$$;
ALTER FUNCTION selfheal.adopted_columns(p_source regclass) OWNER TO sh_owner;
CREATE FUNCTION selfheal.adopted_condition(p_kind text, p_source regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  -- only columns that are there, and only where their type fits: an older release had fewer
  select coalesce(string_agg(c.said, ' or '), 'false') from (
    select case
      when p_kind = 'log' and a.attname = 'status_code' and t.typcategory = 'N' then 't.status_code >= 400'
      when p_kind = 'log' and a.attname in ('error_message', 'error_stack') then format('t.%I::text <> ''''', a.attname)
      when p_kind = 'anomaly' and a.attname = 'resolved' and t.typcategory = 'B' then 't.resolved is not true'
    end as said
    from pg_attribute a join pg_type t on t.oid = a.atttypid
    where a.attrelid = p_source and a.attnum > 0 and not a.attisdropped
    union all
    select 'true' where p_kind = 'anomaly' and not exists (
      select from pg_attribute a where a.attrelid = p_source and a.attname = 'resolved' and not a.attisdropped)
  ) c where c.said is not null
$$;
ALTER FUNCTION selfheal.adopted_condition(p_kind text, p_source regclass) OWNER TO sh_owner;
CREATE FUNCTION selfheal.adopted_rows(p_kind text, p_source text, p_since timestamp with time zone, p_most integer, OUT key text, OUT content jsonb) RETURNS SETOF record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $_$
declare
  source regclass := to_regclass(p_source);
  at text := adopted_time(source);
begin
  if source is null then
    return;
  end if;
  begin
    return query execute format(
      'select t.id::text, jsonb_build_object(%s) from %s t
       where (%s) and %s and t.id is not null
         and not exists (select from adopted_seen s where s.source = $1 and s.row_key = t.id::text)
       order by %s limit $3',
      adopted_columns(source), source, adopted_condition(p_kind, source),
      case when at is null or p_since is null then 'true' else format('(t.%1$I > $2 or t.%1$I is null)', at) end,
      case when at is null then '1' else format('t.%I', at) end)
      using p_source, p_since, p_most;
    raise exception using errcode = 'SH000';
  exception when sqlstate 'SH000' then null;
  end;
end $_$;
ALTER FUNCTION selfheal.adopted_rows(p_kind text, p_source text, p_since timestamp with time zone, p_most integer, OUT key text, OUT content jsonb) OWNER TO sh_owner;
CREATE FUNCTION selfheal.adopted_tables(OUT kind text, OUT source text) RETURNS SETOF record
    LANGUAGE sql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select case c.relname when 'observability_logs' then 'log' else 'anomaly' end, format('%I.%I', n.nspname, c.relname)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relname in ('observability_logs', 'observability_anomalies')
    and c.relkind in ('r', 'p', 'v', 'f') and not c.relispartition
    and n.nspname <> current_schema() and n.nspname !~ '^pg_'
    and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
    and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'id' and not a.attisdropped)
  order by 2
$$;
ALTER FUNCTION selfheal.adopted_tables(OUT kind text, OUT source text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.adopted_time(p_source regclass) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select a.attname::text from pg_attribute a join pg_type t on t.oid = a.atttypid
  where a.attrelid = p_source and a.attname in ('created_at', 'detected_at') and t.typcategory = 'D' and not a.attisdropped
  order by a.attname limit 1
$$;
ALTER FUNCTION selfheal.adopted_time(p_source regclass) OWNER TO sh_owner;
CREATE FUNCTION selfheal.app_founders() RETURNS uuid[]
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  found uuid[];
begin
  begin
    select array_agg(x.id) into found from (select p.id from public.profiles p where p.role::text = 'FOUNDER' limit 2) x;
    raise exception using errcode = 'SH000';
  exception
    when sqlstate 'SH000' then null;
    when others then found := null;
  end;
  return coalesce(found, '{}');
end $$;
ALTER FUNCTION selfheal.app_founders() OWNER TO sh_lookup;
CREATE FUNCTION selfheal.app_profiles() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select case
    when c.oid is null
      or not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'id' and a.atttypid = 'uuid'::regtype)
      or not exists (
        select from pg_attribute a join pg_enum e on e.enumtypid = a.atttypid
        where a.attrelid = c.oid and a.attname = 'role' and not a.attisdropped and e.enumlabel = 'FOUNDER')
      then 'absent'
    when has_schema_privilege(reader.name, c.relnamespace, 'usage')
      and has_column_privilege(reader.name, c.oid, 'id', 'select')
      and has_column_privilege(reader.name, c.oid, 'role', 'select')
      and (not c.relrowsecurity or exists (
        select from pg_policy p
        where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('r', '*') and to_regrole(quote_ident(reader.name)) = any (p.polroles)))
      then 'readable'
    else 'closed' end
  from (select role_name('lookup') as name) reader
  left join pg_class c on c.oid = to_regclass('public.profiles') and c.relkind in ('r', 'p')
    and current_schema() <> 'public'
$$;
ALTER FUNCTION selfheal.app_profiles() OWNER TO sh_owner;
CREATE FUNCTION selfheal.app_role(identity uuid) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  told text;
begin
  begin
    select max(p.role::text) into told from public.profiles p where p.id = identity having count(*) = 1;
    raise exception using errcode = 'SH000';
  exception
    when sqlstate 'SH000' then null;
    when others then told := null;
  end;
  return told;
end $$;
ALTER FUNCTION selfheal.app_role(identity uuid) OWNER TO sh_lookup;
CREATE FUNCTION selfheal.as_roles(statements text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  execute regexp_replace(
    statements,
    '\msh_(owner|proxy|agent|viewer|admin|founder|lookup|login_proxy)\M',
    (select prefix from installation) || 'sh_\1',
    'g');
end $$;
ALTER FUNCTION selfheal.as_roles(statements text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.audit_append(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  head audit_head%rowtype;
  v_at timestamptz;
  v_actor text := acting_name();
  v_role text := acting_role();
  v_origin text := coalesce(claim('origin'), case when v_role = 'installer' then 'migrate' else 'sql' end);
  v_payload text;
  v_hash text;
begin
  select * into strict head from audit_head for update;
  v_at := clock_timestamp();
  v_payload := jsonb_build_array(
    head.seq + 1,
    to_char(v_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    v_actor, v_role, v_origin, p_action, p_subject, p_before, p_after, p_reason)::text;
  v_hash := encode(sha256(convert_to(head.hash || v_payload, 'UTF8')), 'hex');
  insert into audit_log (seq, at, actor, role, origin, action, subject, before, after, reason, prev_hash, hash, payload)
  values (head.seq + 1, v_at, v_actor, v_role, v_origin, p_action, p_subject, p_before, p_after, p_reason,
          head.hash, v_hash, v_payload);
  update audit_head set seq = head.seq + 1, hash = v_hash;
  return head.seq + 1;
end $$;
ALTER FUNCTION selfheal.audit_append(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.audit_first_bad() RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select coalesce(
    (select min(expected) from (
      select row_number() over w as expected, seq, prev_hash, hash,
             lag(hash, 1, repeat('0', 64)) over w as before_hash,
             encode(sha256(convert_to(prev_hash || payload, 'UTF8')), 'hex') as computed,
             payload is distinct from jsonb_build_array(
               seq, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               actor, role, origin, action, subject, before, after, reason)::text as altered
      from audit_log window w as (order by seq)
    ) chain where seq <> expected or prev_hash <> before_hash or hash <> computed or altered),
    -- newest rows cut off: the head still knows them
    (select case when h.seq <> coalesce(l.seq, 0) or h.hash <> coalesce(l.hash, repeat('0', 64))
                 then least(coalesce(l.seq, 0), h.seq) + 1 end
     from audit_head h left join lateral (select seq, hash from audit_log order by seq desc limit 1) l on true))
$$;
ALTER FUNCTION selfheal.audit_first_bad() OWNER TO sh_owner;
CREATE FUNCTION selfheal.audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $_$
begin
  if not may_act() or acting_role() not in ('proxy', 'admin', 'founder') then
    raise exception 'this role writes nothing into the audit' using errcode = '42501';
  end if;
  if p_action !~ '^[a-z_]+([.][a-z_]+)*$'
     or p_action ~ '^(job|patch|approval|deed|control|switch|member|deploy|alert)[.]' then
    raise exception 'action % is written by the database itself, or is no action', p_action using errcode = '42501';
  end if;
  return audit_append(p_action, left(p_subject, 200), p_before, p_after, left(p_reason, 4000));
end $_$;
ALTER FUNCTION selfheal.audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.audit_profiles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('member.added', new.name, null,
      jsonb_strip_nulls(jsonb_build_object('role', new.role, 'identity', new.identity)), null);
  elsif tg_op = 'UPDATE' then
    perform audit_append('member.changed', new.name,
      jsonb_strip_nulls(jsonb_build_object('role', old.role, 'identity', old.identity)),
      jsonb_strip_nulls(jsonb_build_object('role', new.role, 'identity', new.identity)), null);
  else
    perform audit_append('member.removed', old.name,
      jsonb_strip_nulls(jsonb_build_object('role', old.role, 'identity', old.identity)), null, null);
  end if;
  return null;
end $$;
ALTER FUNCTION selfheal.audit_profiles() OWNER TO sh_owner;
CREATE FUNCTION selfheal.authorised(role selfheal.user_role, identity uuid) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select case
    when role not in ('FOUNDER', 'ADMIN') or (select i.authority is null from installation i) then true
    when role = 'FOUNDER' then coalesce(app_role(identity) = 'FOUNDER', false)
    else coalesce(app_role(identity) in ('FOUNDER', 'ADMIN'), false) end
$$;
ALTER FUNCTION selfheal.authorised(role selfheal.user_role, identity uuid) OWNER TO sh_owner;
CREATE TABLE selfheal.self_healing_jobs (
    id bigint NOT NULL,
    service text NOT NULL,
    environment text DEFAULT 'production'::text NOT NULL,
    method text,
    route text,
    error_signature text NOT NULL,
    signature_text text DEFAULT ''::text NOT NULL,
    error_category text NOT NULL,
    severity text NOT NULL,
    status text DEFAULT 'open'::text NOT NULL,
    occurrences bigint DEFAULT 1 NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    rule text DEFAULT ''::text NOT NULL,
    evidence text[] DEFAULT '{}'::text[] NOT NULL,
    reason text,
    regression boolean DEFAULT false NOT NULL,
    regressed_at timestamp with time zone,
    noise boolean DEFAULT false NOT NULL,
    snoozed_until timestamp with time zone,
    trace_id text,
    related_observability_log_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    related_anomaly_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    ai_summary text,
    ai_recommended_actions text[] DEFAULT '{}'::text[] NOT NULL,
    closed_reason text,
    applied_at timestamp with time zone,
    resolved_at timestamp with time zone,
    sampled_at timestamp with time zone,
    replayable boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    clients bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    affected_share real,
    told_severity text,
    releases text[] DEFAULT '{}'::text[] NOT NULL,
    critical_at timestamp with time zone,
    CONSTRAINT self_healing_jobs_affected_share_check CHECK (((affected_share >= (0)::double precision) AND (affected_share <= (1)::double precision))),
    CONSTRAINT self_healing_jobs_clients_check CHECK ((cardinality(clients) <= 64)),
    CONSTRAINT self_healing_jobs_error_category_check CHECK ((error_category = ANY (ARRAY['RLS_VIOLATION'::text, 'AUTH_FAILURE'::text, 'SSR_HYDRATION'::text, 'API_SCHEMA'::text, 'PERFORMANCE'::text, 'UI_BUG'::text, 'REDIRECT_LOOP'::text, 'DB_ERROR'::text, 'UNKNOWN'::text]))),
    CONSTRAINT self_healing_jobs_occurrences_check CHECK ((occurrences >= 1)),
    CONSTRAINT self_healing_jobs_releases_check CHECK ((cardinality(releases) <= 20)),
    CONSTRAINT self_healing_jobs_severity_check CHECK ((severity = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'critical'::text]))),
    CONSTRAINT self_healing_jobs_status_check CHECK ((status = ANY (ARRAY['open'::text, 'patch_proposed'::text, 'sandboxed'::text, 'approved'::text, 'applied'::text, 'resolved'::text, 'snoozed'::text, 'closed'::text]))),
    CONSTRAINT self_healing_jobs_told_severity_check CHECK ((told_severity = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'critical'::text])))
);
ALTER TABLE ONLY selfheal.self_healing_jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_jobs OWNER TO sh_owner;
CREATE FUNCTION selfheal.check_grouping(p_job bigint) RETURNS selfheal.self_healing_jobs
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION selfheal.check_grouping(p_job bigint) OWNER TO sh_owner;
CREATE TABLE selfheal.self_healing_patches (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    service text NOT NULL,
    patch_type text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    files_changed text[] DEFAULT '{}'::text[] NOT NULL,
    sql_migration_path text,
    ai_diff_proposal text,
    sql_migration text,
    base_commit text,
    ai_patch_payload jsonb DEFAULT '{}'::jsonb NOT NULL,
    digest text NOT NULL,
    risk_score integer DEFAULT 100 NOT NULL,
    risk_level text DEFAULT 'critical'::text NOT NULL,
    risk_reasons text[] DEFAULT '{"not weighed yet"}'::text[] NOT NULL,
    confidence_score double precision,
    status text DEFAULT 'proposed'::text NOT NULL,
    status_reason text,
    evidence text,
    evidence_digest text,
    sandbox_branch text,
    applied_commit text,
    previous_commit text,
    created_by text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    confidence_reasons text[] DEFAULT '{}'::text[] NOT NULL,
    CONSTRAINT self_healing_patches_check CHECK (((patch_type = 'manual'::text) OR (num_nonnulls(ai_diff_proposal, sql_migration) > 0))),
    CONSTRAINT self_healing_patches_check1 CHECK (((evidence IS NULL) = (evidence_digest IS NULL))),
    CONSTRAINT self_healing_patches_confidence_score_check CHECK (((confidence_score >= (0)::double precision) AND (confidence_score <= (1)::double precision))),
    CONSTRAINT self_healing_patches_patch_type_check CHECK ((patch_type = ANY (ARRAY['code'::text, 'sql_migration'::text, 'config'::text, 'dependency'::text, 'test'::text, 'manual'::text]))),
    CONSTRAINT self_healing_patches_risk_level_check CHECK ((risk_level = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'critical'::text]))),
    CONSTRAINT self_healing_patches_risk_score_check CHECK (((risk_score >= 0) AND (risk_score <= 100))),
    CONSTRAINT self_healing_patches_status_check CHECK ((status = ANY (ARRAY['proposed'::text, 'sandbox_running'::text, 'sandbox_passed'::text, 'sandbox_failed'::text, 'approved'::text, 'applied'::text, 'verified'::text, 'regressed'::text, 'rolled_back'::text, 'rejected'::text, 'superseded'::text])))
);
ALTER TABLE ONLY selfheal.self_healing_patches FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_patches OWNER TO sh_owner;
CREATE FUNCTION selfheal.check_intact(patch selfheal.self_healing_patches) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if patch.digest is distinct from patch_digest(patch.base_commit, patch.ai_diff_proposal, patch.sql_migration) then
    raise exception 'P-%: base, diff or SQL is not what its digest says', patch.id using errcode = 'SH002';
  end if;
  if patch.evidence is not null
     and patch.evidence_digest is distinct from encode(sha256(convert_to(patch.evidence, 'UTF8')), 'hex') then
    raise exception 'P-%: the evidence is not what its digest says', patch.id using errcode = 'SH002';
  end if;
end $$;
ALTER FUNCTION selfheal.check_intact(patch selfheal.self_healing_patches) OWNER TO sh_owner;
CREATE FUNCTION selfheal.check_step(noun text, allowed text[], old text, new text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if allowed is null then
    raise exception '%: % → % is no step', noun, old, new using errcode = 'SH001';
  elsif not may_act() or not (acting_role() = any (allowed)) then
    raise exception '%: % → % is no step for %', noun, old, new, acting_role() using errcode = '42501';
  end if;
end $$;
ALTER FUNCTION selfheal.check_step(noun text, allowed text[], old text, new text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.claim(key text) RETURNS text
    LANGUAGE sql STABLE
    AS $$ select left(nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> key, 200) $$;
ALTER FUNCTION selfheal.claim(key text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.close_incident(p_anomaly uuid, p_holder text, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform from observability_anomalies where id = p_anomaly for update;
  delete from observability_anomaly_holders where anomaly_id = p_anomaly and holder = p_holder;
  update observability_anomalies a set resolved = true, resolved_at = p_at
  where a.id = p_anomaly and not a.resolved
    and not exists (select from observability_anomaly_holders h where h.anomaly_id = a.id);
  return found;
end $$;
ALTER FUNCTION selfheal.close_incident(p_anomaly uuid, p_holder text, p_at timestamp with time zone) OWNER TO sh_owner;
CREATE FUNCTION selfheal.create_member_login(member text, verifier text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  login text := role_name('m_' || member);
begin
  if exists (select from pg_roles where rolname = login) then
    execute format('alter role %I with login noinherit password %L', login, verifier);
  else
    execute format('create role %I login noinherit password %L', login, verifier);
  end if;
end $$;
ALTER FUNCTION selfheal.create_member_login(member text, verifier text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.decision_intact() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  patch self_healing_patches%rowtype;
begin
  select p.* into patch from self_healing_patches p join approval_requests r on r.patch_id = p.id where r.id = new.approval_id;
  if found then
    perform check_intact(patch);
  end if;
  return new;
end $$;
ALTER FUNCTION selfheal.decision_intact() OWNER TO sh_owner;
CREATE FUNCTION selfheal.deed_intact() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  patch self_healing_patches%rowtype;
begin
  select * into patch from self_healing_patches p where p.id = new.patch_id;
  perform check_intact(patch);
  return new;
end $$;
ALTER FUNCTION selfheal.deed_intact() OWNER TO sh_owner;
CREATE FUNCTION selfheal.deed_stands(of_kind text, of_patch bigint, of_digest text, of_evidence text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select exists (
    select from founder_decisions f
    where f.kind = of_kind and f.patch_id = of_patch and f.digest = of_digest and f.status = 'pending'
      and (of_kind <> 'apply' or f.evidence_digest is not distinct from of_evidence))
$$;
ALTER FUNCTION selfheal.deed_stands(of_kind text, of_patch bigint, of_digest text, of_evidence text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.drop_log_partitions(before date) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $_$
declare
  part text;
begin
  perform pg_advisory_xact_lock(hashtext('selfheal.partitions'));
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'observability_logs'::regclass and c.relname ~ '^observability_logs_\d{8}$'
      and to_date(right(c.relname, 8), 'YYYYMMDD') < before
    order by 1
  loop
    execute format('drop table %I', part);
    return next part;
  end loop;
  delete from observability_logs_default where created_at < before::timestamp at time zone 'UTC';
end $_$;
ALTER FUNCTION selfheal.drop_log_partitions(before date) OWNER TO sh_owner;
CREATE FUNCTION selfheal.drop_member_login(member text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$ begin execute format('drop role if exists %I', role_name('m_' || member)); end $$;
ALTER FUNCTION selfheal.drop_member_login(member text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.ensure_log_partitions(first date, ahead integer) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $_$
declare
  day date;
  part text;
begin
  if ahead not between 0 and 31 then
    raise exception 'ahead is 0 to 31 days' using errcode = '22023';
  end if;
  for day in select first + n from generate_series(0, ahead) n loop
    part := 'observability_logs_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass(format('%I.%I', current_schema(), part)) is not null;
    -- one at a time: two sidecars reach midnight together
    perform pg_advisory_xact_lock(hashtext('selfheal.partitions'));
    continue when to_regclass(format('%I.%I', current_schema(), part)) is not null;
    execute format('create table %I (like observability_logs including defaults including constraints)', part);
    -- rows that came before their partition wait in the default one and move over
    execute format(
      'with moved as (delete from observability_logs_default where created_at >= %1$L and created_at < %2$L returning *)
       insert into %3$I select * from moved',
      day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC', part);
    execute format('alter table observability_logs attach partition %I for values from (%L) to (%L)',
      part, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    return next part;
  end loop;
end $_$;
ALTER FUNCTION selfheal.ensure_log_partitions(first date, ahead integer) OWNER TO sh_owner;
CREATE FUNCTION selfheal.expire_approvals(moment timestamp with time zone) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
    with due as (
      select r.id from approval_requests r
      where r.status in ('pending', 'deferred') and r.expires_at <= moment order by r.id for update skip locked)
    update approval_requests a set status = 'expired' from due where a.id = due.id returning a.id;
end $$;
ALTER FUNCTION selfheal.expire_approvals(moment timestamp with time zone) OWNER TO sh_owner;
CREATE FUNCTION selfheal.finish_break_glass() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  update founder_decisions f set status = 'done', result = jsonb_build_object('message', 'past gate main')
  where f.patch_id = new.id and f.kind = 'break_glass' and f.status = 'pending';
  if found then
    -- the question is settled; an answer could only confuse
    update approval_requests r set status = 'void' where r.patch_id = new.id and r.status in ('pending', 'deferred');
  end if;
  return null;
end $$;
ALTER FUNCTION selfheal.finish_break_glass() OWNER TO sh_owner;
CREATE FUNCTION selfheal.forbid_change() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
begin
  raise exception '% is append-only', tg_table_name using errcode = '42501';
end $$;
ALTER FUNCTION selfheal.forbid_change() OWNER TO sh_owner;
CREATE FUNCTION selfheal.forget_adopted(p_source text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $_$
declare
  source regclass := to_regclass(p_source);
  kept text[];
  gone bigint;
begin
  if source is not null then
    begin
      execute format('select coalesce(array_agg(t.id::text), ''{}'') from %s t
        where t.id::text in (select s.row_key from adopted_seen s where s.source = $1)', source) into kept using p_source;
      raise exception using errcode = 'SH000';
    exception when sqlstate 'SH000' then null;
    end;
  end if;
  delete from adopted_seen s where s.source = p_source
    and not exists (select from unnest(coalesce(kept, '{}')) k where k = s.row_key);
  get diagnostics gone = row_count;
  return gone;
end $_$;
ALTER FUNCTION selfheal.forget_adopted(p_source text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.gate_passed(gate text, of_patch bigint, of_digest text, of_evidence text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select exists (
    select from approval_requests r join approval_decisions d on d.approval_id = r.id and d.decision = 'approve'
    where r.patch_id = of_patch and r.item_type = gate and r.status = 'approved'
      and r.digest = of_digest and d.digest = of_digest
      and (gate <> 'patch_main' or d.actor_role = 'founder' and r.evidence_digest = of_evidence
                                   and d.evidence_digest = of_evidence))
$$;
ALTER FUNCTION selfheal.gate_passed(gate text, of_patch bigint, of_digest text, of_evidence text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.glass_broken(of_patch bigint, of_digest text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select exists (
    select from founder_decisions f
    where f.kind = 'break_glass' and f.patch_id = of_patch and f.digest = of_digest and f.actor_role = 'founder')
$$;
ALTER FUNCTION selfheal.glass_broken(of_patch bigint, of_digest text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.guard_acknowledgement() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if not may_act() or acting_role() not in ('founder', 'admin') then
    raise exception 'only a person acknowledges' using errcode = '42501';
  end if;
  new.actor := acting_name();
  new.actor_role := acting_role();
  new.at := now();
  if not exists (select from open_alerts(interval '100 years') a where a.kind = new.kind and a.subject = new.subject) then
    raise exception 'nothing of kind % waits at % to be acknowledged', new.kind, new.subject using errcode = 'SH007';
  end if;
  perform audit_append('alert.acknowledged', new.subject, null, jsonb_build_object('kind', new.kind), nullif(new.note, ''));
  perform notify_event(case left(new.subject, 1) when 'J' then 'job' when 'P' then 'patch' else 'approval' end,
    new.subject, 'acknowledged', 'low');
  return new;
end $$;
ALTER FUNCTION selfheal.guard_acknowledgement() OWNER TO sh_owner;
CREATE FUNCTION selfheal.guard_control() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION selfheal.guard_control() OWNER TO sh_owner;
CREATE FUNCTION selfheal.guard_decision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  request approval_requests%rowtype;
  patch self_healing_patches%rowtype;
begin
  select * into request from approval_requests r where r.id = new.approval_id for update;
  if not found then
    raise exception 'there is no approval A-%', new.approval_id using errcode = 'SH007';
  end if;
  new.item_type := request.item_type;
  new.actor := acting_name();
  new.actor_role := acting_role();
  new.decided_at := clock_timestamp();
  if new.actor_role = 'proxy' then
    new.interactive := false;
  end if;
  if not may_decide(request.item_type, new.decision, request.risk_level) then
    raise exception 'A-%: % may not % a % of % risk', request.id, new.actor_role, new.decision,
      request.item_type, request.risk_level using errcode = '42501';
  end if;
  if request.status not in ('pending', 'deferred') then
    raise exception 'A-% is already %', request.id, request.status using errcode = 'SH004';
  end if;
  -- not now(): a transaction that began before the end may have waited
  if request.expires_at <= clock_timestamp() then
    raise exception 'A-% has expired, and expiry means no', request.id using errcode = 'SH005';
  end if;
  if new.digest is distinct from request.digest then
    raise exception 'A-%: what was decided on is not what was asked', request.id using errcode = 'SH002';
  end if;
  if new.decision = 'approve' and request.patch_id is not null then
    select * into patch from self_healing_patches p where p.id = request.patch_id for share;
    if request.digest <> patch.digest
       or request.item_type = 'patch_main' and (request.evidence_digest is distinct from patch.evidence_digest
                                                or new.evidence_digest is distinct from patch.evidence_digest) then
      raise exception 'A-%: patch or evidence changed since it was asked', request.id using errcode = 'SH002';
    end if;
    if request.item_type = 'patch_main' and patch.status <> 'sandbox_passed' then
      raise exception 'A-%: gate main opens only after a passed sandbox', request.id using errcode = 'SH003';
    end if;
  end if;
  return new;
end $$;
ALTER FUNCTION selfheal.guard_decision() OWNER TO sh_owner;
CREATE FUNCTION selfheal.guard_deed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  patch self_healing_patches%rowtype;
  possible text[];
begin
  if tg_op = 'UPDATE' then
    if to_jsonb(new) - 'status' - 'result' - 'finished_at' is distinct from to_jsonb(old) - 'status' - 'result' - 'finished_at' then
      raise exception 'a deed never changes' using errcode = 'SH006';
    end if;
    if old.status <> 'pending' or new.status = 'pending' then
      raise exception 'this deed is already %', old.status using errcode = 'SH004';
    end if;
    new.finished_at := now();
    return new;
  end if;
  new.actor := acting_name();
  new.actor_role := acting_role();
  new.decided_at := now();
  new.status := 'pending';
  if not may_act() or new.actor_role not in ('founder', 'admin')
     or new.actor_role = 'admin' and not (new.kind = 'sandbox' and switch_on('admin_sandbox')) then
    raise exception '% is a deed of the founder', new.kind using errcode = '42501';
  end if;
  select * into patch from self_healing_patches p where p.id = new.patch_id for share;
  if not found then
    raise exception 'there is no patch P-%', new.patch_id using errcode = 'SH007';
  end if;
  if new.digest is distinct from patch.digest
     or new.kind = 'apply' and new.evidence_digest is distinct from patch.evidence_digest then
    raise exception 'P-%: patch or evidence changed since it was shown', patch.id using errcode = 'SH002';
  end if;
  if new.kind in ('sandbox', 'apply', 'break_glass') and exists (
      select from self_healing_jobs j where j.id = patch.job_id and j.status = 'closed') then
    raise exception 'J-% is closed; reopen it first', patch.job_id using errcode = 'SH003';
  end if;
  possible := case new.kind
    when 'sandbox' then array['proposed', 'sandbox_passed', 'sandbox_failed']
    when 'apply' then array['approved']
    when 'rollback' then array['applied', 'verified', 'regressed']
    else array['proposed', 'sandbox_passed', 'sandbox_failed'] end;
  if not (patch.status = any (possible)) then
    raise exception 'P-%: % is no deed for a patch that is %', patch.id, new.kind, patch.status using errcode = 'SH003';
  end if;
  if new.kind = 'apply' and not (gate_passed('patch_main', patch.id, patch.digest, patch.evidence_digest)
                                 or glass_broken(patch.id, patch.digest)) then
    raise exception 'P-%: gate main has not passed for this digest', patch.id using errcode = 'SH003';
  end if;
  return new;
end $$;
ALTER FUNCTION selfheal.guard_deed() OWNER TO sh_owner;
CREATE FUNCTION selfheal.guard_gates() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if new.status = old.status then
    return new;
  end if;
  case new.status
    when 'sandbox_running' then
      if not (gate_passed('patch_sandbox', new.id, new.digest, null) or deed_stands('sandbox', new.id, new.digest, null)) then
        raise exception 'P-%: nobody let this digest into the sandbox', new.id using errcode = 'SH003';
      end if;
    when 'approved' then
      if not (gate_passed('patch_main', new.id, new.digest, new.evidence_digest) or glass_broken(new.id, new.digest)) then
        raise exception 'P-%: the founder has not approved this digest with this evidence', new.id using errcode = 'SH003';
      end if;
    when 'applied' then
      if not ((gate_passed('patch_main', new.id, new.digest, new.evidence_digest) or glass_broken(new.id, new.digest))
              and deed_stands('apply', new.id, new.digest, new.evidence_digest)) then
        raise exception 'P-%: the founder has not ordered to apply this digest', new.id using errcode = 'SH003';
      end if;
    when 'rolled_back' then
      if not deed_stands('rollback', new.id, new.digest, null) then
        raise exception 'P-%: the founder has not ordered to roll this digest back', new.id using errcode = 'SH003';
      end if;
    else null;
  end case;
  return new;
end $$;
ALTER FUNCTION selfheal.guard_gates() OWNER TO sh_owner;
CREATE FUNCTION selfheal.guard_job() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op = 'INSERT' then
    if new.status <> 'open' then
      raise exception 'a job starts open' using errcode = 'SH001';
    end if;
    return new;
  end if;
  if (new.id, new.service, new.environment, new.created_at)
     is distinct from (old.id, old.service, old.environment, old.created_at) then
    raise exception 'J-%: what identifies a job stays', old.id using errcode = 'SH006';
  end if;
  if new.status is distinct from old.status then
    perform check_step('J-' || old.id,
      (select array_agg(s.role) from job_steps s where s.old = old.status and s.new = new.status),
      old.status, new.status);
    case new.status
      when 'applied' then new.applied_at := now(); new.regression := false;
      when 'resolved' then new.resolved_at := now();
      when 'snoozed' then
        if new.snoozed_until is null or new.snoozed_until <= now() then
          raise exception 'J-%: a snooze ends in the future', old.id using errcode = '22023';
        end if;
      else null;
    end case;
    if new.status <> 'snoozed' then
      new.snoozed_until := null;
    end if;
  end if;
  new.updated_at := now();
  return new;
end $$;
ALTER FUNCTION selfheal.guard_job() OWNER TO sh_owner;
CREATE FUNCTION selfheal.guard_patch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op = 'INSERT' then
    if new.status <> 'proposed' then
      raise exception 'a patch starts proposed' using errcode = 'SH001';
    end if;
    select j.service into new.service from self_healing_jobs j where j.id = new.job_id;
    if new.service is null then
      raise exception 'there is no job J-%', new.job_id using errcode = 'SH007';
    end if;
    new.digest := patch_digest(new.base_commit, new.ai_diff_proposal, new.sql_migration);
    if acting_role() <> 'proxy' or new.created_by is null then
      new.created_by := acting_name();
    end if;
    new.created_at := now();
    return new;
  end if;
  if (new.id, new.job_id, new.service, new.patch_type, new.description, new.ai_diff_proposal, new.sql_migration,
      new.base_commit, new.digest, new.files_changed, new.sql_migration_path, new.ai_patch_payload,
      new.created_by, new.created_at)
     is distinct from
     (old.id, old.job_id, old.service, old.patch_type, old.description, old.ai_diff_proposal, old.sql_migration,
      old.base_commit, old.digest, old.files_changed, old.sql_migration_path, old.ai_patch_payload,
      old.created_by, old.created_at) then
    raise exception 'P-%: the content of a patch never changes; attach another', old.id using errcode = 'SH006';
  end if;
  if new.status is distinct from old.status then
    perform check_step('P-' || old.id,
      (select array_agg(s.role) from patch_steps s where s.old = old.status and s.new = new.status),
      old.status, new.status);
  end if;
  if new.risk_score < old.risk_score and old.status <> 'proposed' then
    raise exception 'P-%: a risk once shown is never lowered', old.id using errcode = 'SH006';
  end if;
  if new.evidence is distinct from old.evidence or new.evidence_digest is distinct from old.evidence_digest then
    if old.status <> 'sandbox_running' or new.status not in ('sandbox_passed', 'sandbox_failed') then
      raise exception 'P-%: evidence comes from a sandbox run only', old.id using errcode = 'SH006';
    end if;
    if new.evidence_digest is not null and new.evidence_digest is distinct from old.evidence_digest
       and new.evidence_digest <> encode(sha256(convert_to(coalesce(new.evidence, ''), 'UTF8')), 'hex') then
      raise exception 'P-%: the evidence is not what its digest says', old.id using errcode = 'SH002';
    end if;
    new.evidence_digest := encode(sha256(convert_to(new.evidence, 'UTF8')), 'hex');
  end if;
  if new.status = 'sandbox_passed' and old.status <> 'sandbox_passed'
     and (new.evidence is null or new.evidence::jsonb ->> 'digest' is distinct from new.digest) then
    raise exception 'P-%: a passed sandbox needs evidence for exactly this digest', old.id using errcode = 'SH002';
  end if;
  new.updated_at := now();
  return new;
end $$;
ALTER FUNCTION selfheal.guard_patch() OWNER TO sh_owner;
CREATE FUNCTION selfheal.guard_request() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  patch self_healing_patches%rowtype;
begin
  if acting_role() <> 'proxy' or new.created_by is null then
    new.created_by := acting_name();
  end if;
  new.created_role := acting_role();
  new.created_at := now();
  new.status := 'pending';
  new.expires_at := coalesce(new.expires_at, now() + interval '7 days');
  if new.item_type not in ('patch_sandbox', 'patch_main') then
    return new;
  end if;
  select * into patch from self_healing_patches p where p.id = new.patch_id for share;
  if not found then
    raise exception 'there is no patch P-%', new.patch_id using errcode = 'SH007';
  end if;
  if new.digest is not null and new.digest <> patch.digest then
    raise exception 'P-%: the digest is not that of the patch', patch.id using errcode = 'SH002';
  end if;
  if new.item_type = 'patch_main' then
    if patch.status <> 'sandbox_passed' then
      raise exception 'P-%: gate main opens only after a passed sandbox', patch.id using errcode = 'SH003';
    end if;
    if new.evidence_digest is not null and new.evidence_digest <> patch.evidence_digest then
      raise exception 'P-%: the evidence is not that of the patch', patch.id using errcode = 'SH002';
    end if;
    new.evidence_digest := patch.evidence_digest;
  elsif patch.status not in ('proposed', 'sandbox_passed', 'sandbox_failed') then
    raise exception 'P-%: a % patch goes into no sandbox', patch.id, patch.status using errcode = 'SH003';
  else
    new.evidence_digest := null;
  end if;
  new.digest := patch.digest;
  new.job_id := patch.job_id;
  new.service := patch.service;
  -- computed for the patch, never believed from a request
  new.risk_level := patch.risk_level;
  new.risk_score := patch.risk_score;
  return new;
end $$;
ALTER FUNCTION selfheal.guard_request() OWNER TO sh_owner;
CREATE FUNCTION selfheal.guard_request_update() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if to_jsonb(new) - 'status' is distinct from to_jsonb(old) - 'status' then
    raise exception 'A-%: a request never changes; make another', old.id using errcode = 'SH006';
  end if;
  if not (old.status in ('pending', 'deferred') and new.status <> 'pending'
          or old.status = 'approved' and new.status = 'void') then
    raise exception 'A-%: % → % is no step', old.id, old.status, new.status using errcode = 'SH001';
  end if;
  return new;
end $$;
ALTER FUNCTION selfheal.guard_request_update() OWNER TO sh_owner;
CREATE FUNCTION selfheal.is_straggler(p_job selfheal.self_healing_jobs, p_release text, p_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  -- Where nobody tells builds apart, time alone decides. A build that had the bug before proves nothing, once a newer
  -- one is known; for an hour the newer one may just not have spoken yet. After that a name that never changes is none.
  select case
    when p_release is not null then p_release = any (p_job.releases) and (
      p_at < p_job.applied_at + interval '1 hour'
      or exists (select from self_healing_releases r where (r.service, r.environment) = (p_job.service, p_job.environment)
                 and r.release <> p_release and r.first_seen > p_job.applied_at)
      or exists (select from observability_deploys d where d.service = p_job.service
                 and d.version not in ('', p_release) and d.created_at > p_job.applied_at))
    else exists (select from observability_deploys d where d.service = p_job.service and d.created_at <= p_job.applied_at
                 and d.created_at > p_job.applied_at - interval '30 days')
      and p_at < coalesce((select min(d.created_at) from observability_deploys d
                 where d.service = p_job.service and d.created_at > p_job.applied_at), p_job.applied_at + interval '1 hour')
  end
$$;
ALTER FUNCTION selfheal.is_straggler(p_job selfheal.self_healing_jobs, p_release text, p_at timestamp with time zone) OWNER TO sh_owner;
CREATE FUNCTION selfheal.json_text(value text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$ select coalesce(to_json(value)::text, 'null') $$;
ALTER FUNCTION selfheal.json_text(value text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.kmv_count(sketch bigint[]) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$ select case when cardinality(sketch) < 64 then cardinality(sketch)
               else round(63 * 9223372036854775807.0 / greatest(sketch[64], 1))::bigint end $$;
ALTER FUNCTION selfheal.kmv_count(sketch bigint[]) OWNER TO sh_owner;
CREATE FUNCTION selfheal.kmv_join(one bigint[], other bigint[]) RETURNS bigint[]
    LANGUAGE sql IMMUTABLE
    AS $$ select coalesce(array_agg(h order by h), '{}') from (
          select distinct h from unnest(one || other) h where h is not null order by h limit 64) kept $$;
ALTER FUNCTION selfheal.kmv_join(one bigint[], other bigint[]) OWNER TO sh_owner;
CREATE FUNCTION selfheal.may_act() RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select case
    when session_user = prefix || 'sh_login_proxy' then acting_role() in ('proxy', 'viewer')
    when starts_with(session_user, prefix || 'sh_m_') then
      current_setting('transaction_isolation') in ('read committed', 'read uncommitted')
      and exists (
        select from profiles p
        where p.name = acting_name() and lower(p.role::text) = acting_role() and authorised(p.role, p.identity))
    else false
  end
  from installation
$$;
ALTER FUNCTION selfheal.may_act() OWNER TO sh_owner;
CREATE FUNCTION selfheal.may_decide(item_type text, decision text, risk_level text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select may_act() and case acting_role()
    when 'founder' then true
    when 'admin' then case
      when decision <> 'approve' then true
      when item_type = 'patch_main' then false
      when item_type = 'patch_sandbox' then switch_on('admin_sandbox')
      when item_type in ('claim', 'override') then false
      else risk_level in ('low', 'medium') end
    -- the policy, speaking through the sidecar: it only ever says yes, and only to low risk
    when 'proxy' then decision = 'approve' and risk_level = 'low' and case
      when item_type = 'patch_sandbox' then switch_on('auto_approve_sandbox')
      else item_type in ('campaign', 'email', 'automation', 'brand_change') end
    else false end
$$;
ALTER FUNCTION selfheal.may_decide(item_type text, decision text, risk_level text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.merge_jobs(p_keep bigint, p_other bigint, p_reason text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION selfheal.merge_jobs(p_keep bigint, p_other bigint, p_reason text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.move_samples(p_from bigint, p_to bigint, p_events bigint[], p_back bigint) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  moved bigint;
begin
  update self_healing_events set job_id = p_to where job_id = p_from and id = any (p_events);
  get diagnostics moved = row_count;
  update self_healing_jobs set occurrences = greatest(1, occurrences - moved - p_back) where id = p_from;
  return moved;
end $$;
ALTER FUNCTION selfheal.move_samples(p_from bigint, p_to bigint, p_events bigint[], p_back bigint) OWNER TO sh_owner;
CREATE FUNCTION selfheal.note_critical() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if new.severity = 'critical' and (tg_op = 'INSERT' or old.severity <> 'critical') then
    new.critical_at := now();
  end if;
  return new;
end $$;
ALTER FUNCTION selfheal.note_critical() OWNER TO sh_owner;
CREATE FUNCTION selfheal.note_foreign_row() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into adopted_inbox (kind, row_id, row_at)
  values (tg_argv[0], new.id, case tg_argv[0] when 'log' then (to_jsonb(new) ->> 'created_at')::timestamptz
                                              else (to_jsonb(new) ->> 'detected_at')::timestamptz end);
  return null;
end $$;
ALTER FUNCTION selfheal.note_foreign_row() OWNER TO sh_owner;
CREATE FUNCTION selfheal.notify_anomaly() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op = 'INSERT' then
    perform notify_event('anomaly', new.id::text, 'opened', new.severity);
  elsif new.resolved is distinct from old.resolved or new.severity is distinct from old.severity then
    perform notify_event('anomaly', new.id::text, case when new.resolved then 'resolved' else 'changed' end, new.severity);
  end if;
  return null;
end $$;
ALTER FUNCTION selfheal.notify_anomaly() OWNER TO sh_owner;
CREATE FUNCTION selfheal.notify_event(kind text, subject text, change text, severity text) RETURNS void
    LANGUAGE sql
    AS $$ select pg_notify('selfheal_events', json_build_object(
          'kind', kind, 'subject', left(subject, 200), 'change', change, 'severity', severity)::text) $$;
ALTER FUNCTION selfheal.notify_event(kind text, subject text, change text, severity text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.number_row() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- The lock that the row's own entry in the audit takes in the same statement. None of these rows is ever deleted.
  perform from audit_head for update;
  execute format('select coalesce(max(id), 0) + 1 from %I', tg_table_name) into new.id;
  return new;
end $$;
ALTER FUNCTION selfheal.number_row() OWNER TO sh_owner;
CREATE FUNCTION selfheal.open_alerts(warn_before interval) RETURNS TABLE(kind text, subject text, severity text, since timestamp with time zone, summary text, expires_at timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION selfheal.open_alerts(warn_before interval) OWNER TO sh_owner;
CREATE FUNCTION selfheal.open_incident(p_holder text, p_service text, p_route text, p_method text, p_type text, p_severity text, p_description text, p_detected_at timestamp with time zone, p_onset timestamp with time zone, p_baseline double precision, p_observed double precision, p_ratio double precision, p_sigma double precision, p_samples integer, p_metrics jsonb) RETURNS uuid
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION selfheal.open_incident(p_holder text, p_service text, p_route text, p_method text, p_type text, p_severity text, p_description text, p_detected_at timestamp with time zone, p_onset timestamp with time zone, p_baseline double precision, p_observed double precision, p_ratio double precision, p_sigma double precision, p_samples integer, p_metrics jsonb) OWNER TO sh_owner;
CREATE FUNCTION selfheal.open_profiles() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $_$
declare
  lookup text := role_name('lookup');
begin
  if app_profiles() <> 'closed' then
    return;
  end if;
  execute format('grant usage on schema public to %I', lookup);
  execute format('grant select (id, role) on public.profiles to %I', lookup);
  if (select relrowsecurity from pg_class where oid = 'public.profiles'::regclass)
     and not exists (select from pg_policy where polrelid = 'public.profiles'::regclass and polname = 'selfheal_reads') then
    execute format('create policy selfheal_reads on public.profiles for select to %I using (true)', lookup);
  end if;
exception when insufficient_privilege then
  raise notice '%', format('public.profiles stays closed to Self-Heal. Let its owner run: GRANT USAGE ON SCHEMA public TO %1$I; '
    'GRANT SELECT (id, role) ON public.profiles TO %1$I; '
    'CREATE POLICY selfheal_reads ON public.profiles FOR SELECT TO %1$I USING (true)', lookup);
end $_$;
ALTER FUNCTION selfheal.open_profiles() OWNER TO sh_owner;
CREATE FUNCTION selfheal.patch_digest(base_commit text, diff text, sql text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select encode(sha256(convert_to(
    '{"base_commit":' || json_text(base_commit) || ',"diff":' || json_text(diff) || ',"sql":' || json_text(sql) || '}',
    'UTF8')), 'hex')
$$;
ALTER FUNCTION selfheal.patch_digest(base_commit text, diff text, sql text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.patch_intact() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$ begin perform check_intact(new); return new; end $$;
ALTER FUNCTION selfheal.patch_intact() OWNER TO sh_owner;
CREATE FUNCTION selfheal.record_control() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform audit_append('control.version', 'control',
    (select v.rules from control_versions v where v.version = new.version - 1), new.rules, new.reason);
  perform notify_event('audit', 'control', 'version', null);
  return null;
end $$;
ALTER FUNCTION selfheal.record_control() OWNER TO sh_owner;
CREATE FUNCTION selfheal.record_decision() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  before_status text;
begin
  select r.status into before_status from approval_requests r where r.id = new.approval_id;
  perform audit_append('approval.decided', 'A-' || new.approval_id, jsonb_build_object('status', before_status),
    jsonb_strip_nulls(jsonb_build_object('decision', new.decision, 'item_type', new.item_type, 'digest', new.digest,
      'evidence_digest', new.evidence_digest, 'interactive', new.interactive, 'details', new.details)), new.reason);
  update approval_requests set status = case new.decision
    when 'approve' then 'approved' when 'reject' then 'rejected' else 'deferred' end
  where id = new.approval_id and status is distinct from case when new.decision = 'defer' then 'deferred' end;
  return null;
end $$;
ALTER FUNCTION selfheal.record_decision() OWNER TO sh_owner;
CREATE FUNCTION selfheal.record_deed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('deed.' || new.kind, 'P-' || new.patch_id, null, jsonb_strip_nulls(jsonb_build_object(
      'digest', new.digest, 'evidence_digest', new.evidence_digest, 'interactive', new.interactive,
      'severity', case when new.kind = 'break_glass' then 'critical' end)), new.reason);
    perform notify_event('patch', 'P-' || new.patch_id, 'deed_' || new.kind,
      case when new.kind = 'break_glass' then 'critical' end);
  else
    perform audit_append('deed.finished', 'P-' || new.patch_id, jsonb_build_object('kind', new.kind),
      jsonb_build_object('status', new.status, 'result', new.result), null);
    perform notify_event('patch', 'P-' || new.patch_id, 'deed_' || new.status, null);
  end if;
  return null;
end $$;
ALTER FUNCTION selfheal.record_deed() OWNER TO sh_owner;
CREATE FUNCTION selfheal.record_deploy() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION selfheal.record_deploy() OWNER TO sh_owner;
CREATE FUNCTION selfheal.record_job() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('job.created', 'J-' || new.id, null, jsonb_build_object(
      'service', new.service, 'environment', new.environment, 'signature', new.error_signature,
      'category', new.error_category, 'severity', new.severity, 'rule', new.rule), new.reason);
    perform notify_event('job', 'J-' || new.id, 'created', new.severity);
    return null;
  end if;
  if new.status <> old.status then
    perform audit_append('job.status', 'J-' || new.id, jsonb_build_object('status', old.status),
      jsonb_build_object('status', new.status) || case when new.regression and not old.regression
        then '{"regression": true}' else '{}' end::jsonb,
      case when new.status in ('closed', 'snoozed') then new.closed_reason end);
    perform notify_event('job', 'J-' || new.id, new.status, new.severity);
  elsif new.severity <> old.severity then
    perform notify_event('job', 'J-' || new.id, 'severity', new.severity);
  end if;
  if (new.ai_summary, new.ai_recommended_actions) is distinct from (old.ai_summary, old.ai_recommended_actions) then
    perform audit_append('job.summary', 'J-' || new.id, to_jsonb(old.ai_summary), to_jsonb(new.ai_summary), null);
  end if;
  return null;
end $$;
ALTER FUNCTION selfheal.record_job() OWNER TO sh_owner;
CREATE FUNCTION selfheal.record_merge() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  merge self_healing_aliases := case when tg_op = 'DELETE' then old else new end;
begin
  perform audit_append(case tg_op when 'DELETE' then 'job.unmerged' else 'job.merged' end,
    coalesce((select 'J-' || max(j.id) from self_healing_jobs j where (j.service, j.environment, j.error_signature)
      = (merge.service, merge.environment, merge.stands_for)), merge.stands_for),
    null, to_jsonb(merge), null);
  return null;
end $$;
ALTER FUNCTION selfheal.record_merge() OWNER TO sh_owner;
CREATE FUNCTION selfheal.record_patch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('patch.created', 'P-' || new.id, null, jsonb_build_object(
      'job', 'J-' || new.job_id, 'digest', new.digest, 'type', new.patch_type, 'created_by', new.created_by), null);
    perform notify_event('patch', 'P-' || new.id, 'created', new.risk_level);
  elsif new.status <> old.status then
    perform audit_append('patch.status', 'P-' || new.id, jsonb_build_object('status', old.status),
      jsonb_strip_nulls(jsonb_build_object('status', new.status, 'digest', new.digest,
        'evidence_digest', new.evidence_digest, 'applied_commit', new.applied_commit,
        'previous_commit', new.previous_commit)), new.status_reason);
    perform notify_event('patch', 'P-' || new.id, new.status, new.risk_level);
  elsif new.risk_score <> old.risk_score then
    perform audit_append('patch.risk', 'P-' || new.id, jsonb_build_object('score', old.risk_score),
      jsonb_build_object('score', new.risk_score, 'reasons', to_jsonb(new.risk_reasons)), null);
  end if;
  return null;
end $$;
ALTER FUNCTION selfheal.record_patch() OWNER TO sh_owner;
CREATE FUNCTION selfheal.record_request() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if tg_op = 'INSERT' then
    perform audit_append('approval.requested', 'A-' || new.id, null, jsonb_strip_nulls(jsonb_build_object(
      'item_type', new.item_type, 'risk', new.risk_level, 'patch', 'P-' || new.patch_id, 'digest', new.digest,
      'evidence_digest', new.evidence_digest, 'created_by', new.created_by)), null);
    perform notify_event('approval', 'A-' || new.id, 'requested', new.risk_level);
  elsif new.status <> old.status then
    -- decisions write their own line; expiry and void have no other
    if new.status in ('expired', 'void') then
      perform audit_append('approval.' || new.status, 'A-' || new.id, jsonb_build_object('status', old.status),
        jsonb_build_object('status', new.status), null);
    end if;
    perform notify_event('approval', 'A-' || new.id, new.status, new.risk_level);
  end if;
  return null;
end $$;
ALTER FUNCTION selfheal.record_request() OWNER TO sh_owner;
CREATE FUNCTION selfheal.record_split() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform audit_append('job.split', new.error_signature, null, to_jsonb(new), null);
  return null;
end $$;
ALTER FUNCTION selfheal.record_split() OWNER TO sh_owner;
CREATE FUNCTION selfheal.resolve_signature(p_service text, p_environment text, p_signature text, p_facets text[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select coalesce(
    (select a.stands_for from self_healing_aliases a
     where (a.service, a.environment, a.error_signature) = (p_service, p_environment, own.signature)), own.signature)
  from (select coalesce(
    (select s.stands_for from self_healing_splits s
     where (s.service, s.environment, s.error_signature) = (p_service, p_environment, p_signature)
       and s.facet = any (p_facets) order by s.id limit 1), p_signature) as signature) own
$$;
ALTER FUNCTION selfheal.resolve_signature(p_service text, p_environment text, p_signature text, p_facets text[]) OWNER TO sh_owner;
CREATE FUNCTION selfheal.role_name(short text) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$ select prefix || 'sh_' || short from installation $$;
ALTER FUNCTION selfheal.role_name(short text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.rules_flaw(rules jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION selfheal.rules_flaw(rules jsonb) OWNER TO sh_owner;
CREATE FUNCTION selfheal.sees_content() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$ select acting_role() in ('proxy', 'admin', 'founder') $$;
ALTER FUNCTION selfheal.sees_content() OWNER TO sh_owner;
CREATE FUNCTION selfheal.set_member_group(member text, short text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
declare
  login text := role_name('m_' || member);
  other text;
begin
  foreach other in array array['agent', 'viewer', 'admin', 'founder'] loop
    if other = short then
      if current_setting('server_version_num')::int >= 160000 then
        execute format('grant %I to %I with inherit false, set true', role_name(other), login);
      else
        execute format('grant %I to %I', role_name(other), login);
      end if;
    elsif pg_has_role(login, role_name(other), 'member') then
      execute format('revoke %I from %I', role_name(other), login);
    end if;
  end loop;
end $$;
ALTER FUNCTION selfheal.set_member_group(member text, short text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.set_switch(switch text, turn boolean, why text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if acting_role() <> 'owner' and not (acting_role() = 'founder' and may_act()) then
    raise exception 'gate switches are the founder''s' using errcode = '42501';
  end if;
  if switch_on(switch) is distinct from turn then
    update gate_switches set enabled = turn, changed_by = acting_name(), changed_at = now() where name = switch;
    if not found then
      raise exception 'there is no gate switch %', switch using errcode = 'SH007';
    end if;
    perform audit_append('switch.set', switch, to_jsonb(not turn), to_jsonb(turn), why);
  end if;
end $$;
ALTER FUNCTION selfheal.set_switch(switch text, turn boolean, why text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.severity_rank(word text) RETURNS smallint
    LANGUAGE sql IMMUTABLE
    AS $$ select case word when 'low' then 0 when 'medium' then 1 when 'high' then 2 when 'critical' then 3 end::smallint $$;
ALTER FUNCTION selfheal.severity_rank(word text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.shown_risk_stands() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if old.status <> 'proposed' or exists (select from approval_requests r where r.patch_id = old.id) then
    raise exception 'P-%: a risk once shown is never lowered', old.id using errcode = 'SH006';
  end if;
  return new;
end $$;
ALTER FUNCTION selfheal.shown_risk_stands() OWNER TO sh_owner;
CREATE FUNCTION selfheal.split_job(p_job bigint, p_events bigint[], p_facet text, p_said text, p_reason text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION selfheal.split_job(p_job bigint, p_events bigint[], p_facet text, p_said text, p_reason text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.still_authorised() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  if new.actor_role <> 'proxy' and not exists (
      select from profiles p
      where p.name = new.actor and lower(p.role::text) = new.actor_role and authorised(p.role, p.identity)) then
    raise exception '% has lost the right before this was done', new.actor using errcode = '42501';
  end if;
  return null;
end $$;
ALTER FUNCTION selfheal.still_authorised() OWNER TO sh_owner;
CREATE FUNCTION selfheal.switch_on(switch text) RETURNS boolean
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$ select coalesce((select enabled from gate_switches where name = switch), false) $$;
ALTER FUNCTION selfheal.switch_on(switch text) OWNER TO sh_owner;
CREATE FUNCTION selfheal.unmerge_job(p_job bigint, p_signature text, p_events bigint[]) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
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
ALTER FUNCTION selfheal.unmerge_job(p_job bigint, p_signature text, p_events bigint[]) OWNER TO sh_owner;
CREATE FUNCTION selfheal.unmerge_reopened() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  delete from self_healing_aliases a
    where (a.service, a.environment, a.error_signature) = (new.service, new.environment, new.error_signature);
  return null;
end $$;
ALTER FUNCTION selfheal.unmerge_reopened() OWNER TO sh_owner;
CREATE FUNCTION selfheal.void_stale_approvals(of_patch bigint) RETURNS SETOF bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
    update approval_requests a set status = 'void'
    from self_healing_patches p
    where p.id = of_patch and a.patch_id = p.id and a.status in ('pending', 'deferred', 'approved')
      and (a.digest is distinct from p.digest
           or a.item_type = 'patch_main' and a.evidence_digest is distinct from p.evidence_digest
           or a.status <> 'approved' and p.status in ('rejected', 'superseded', 'rolled_back'))
    returning a.id;
end $$;
ALTER FUNCTION selfheal.void_stale_approvals(of_patch bigint) OWNER TO sh_owner;
CREATE FUNCTION selfheal.void_with_patch() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$ begin perform void_stale_approvals(new.id); return null; end $$;
ALTER FUNCTION selfheal.void_with_patch() OWNER TO sh_owner;
CREATE FUNCTION selfheal.whoami(OUT name text, OUT role text) RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'selfheal', 'pg_catalog', 'pg_temp'
    AS $$
  select p.name, lower(p.role::text) from profiles p
  where p.name = acting_name() and session_user = role_name('m_' || p.name) and authorised(p.role, p.identity)
$$;
ALTER FUNCTION selfheal.whoami(OUT name text, OUT role text) OWNER TO sh_owner;
CREATE TABLE selfheal.acknowledgements (
    id bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    actor text DEFAULT ''::text NOT NULL,
    actor_role text DEFAULT ''::text NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT acknowledgements_actor_role_check CHECK ((actor_role = ANY (ARRAY['founder'::text, 'admin'::text]))),
    CONSTRAINT acknowledgements_kind_check CHECK ((kind = ANY (ARRAY['break_glass'::text, 'critical_job'::text, 'expiring'::text]))),
    CONSTRAINT acknowledgements_note_check CHECK ((length(note) <= 2000)),
    CONSTRAINT acknowledgements_subject_check CHECK ((subject ~ '^[JPA]-[1-9][0-9]{0,17}$'::text))
);
ALTER TABLE ONLY selfheal.acknowledgements FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.acknowledgements OWNER TO sh_owner;
ALTER TABLE selfheal.acknowledgements ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.acknowledgements_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE selfheal.adopted_inbox (
    id bigint NOT NULL,
    kind text NOT NULL,
    row_id uuid NOT NULL,
    row_at timestamp with time zone NOT NULL,
    queued_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT adopted_inbox_kind_check CHECK ((kind = ANY (ARRAY['log'::text, 'anomaly'::text])))
);
ALTER TABLE ONLY selfheal.adopted_inbox FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.adopted_inbox OWNER TO sh_owner;
ALTER TABLE selfheal.adopted_inbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.adopted_inbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE selfheal.adopted_seen (
    source text NOT NULL,
    row_key text NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE ONLY selfheal.adopted_seen FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.adopted_seen OWNER TO sh_owner;
CREATE TABLE selfheal.approval_decisions (
    id bigint NOT NULL,
    approval_id bigint NOT NULL,
    item_type text NOT NULL,
    decision text NOT NULL,
    actor text NOT NULL,
    actor_role text NOT NULL,
    decided_at timestamp with time zone DEFAULT now() NOT NULL,
    reason text,
    interactive boolean DEFAULT false NOT NULL,
    digest text,
    evidence_digest text,
    idempotency_key text NOT NULL,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    signature text,
    CONSTRAINT approval_decisions_actor_role_check CHECK ((actor_role = ANY (ARRAY['founder'::text, 'admin'::text, 'proxy'::text]))),
    CONSTRAINT approval_decisions_check CHECK (((item_type <> 'patch_main'::text) OR (decision <> 'approve'::text) OR (actor_role = 'founder'::text))),
    CONSTRAINT approval_decisions_check1 CHECK (((decision <> 'reject'::text) OR (length(btrim(reason)) > 0))),
    CONSTRAINT approval_decisions_decision_check CHECK ((decision = ANY (ARRAY['approve'::text, 'reject'::text, 'defer'::text]))),
    CONSTRAINT approval_decisions_signature_check CHECK ((length(signature) <= 4096))
);
ALTER TABLE ONLY selfheal.approval_decisions FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.approval_decisions OWNER TO sh_owner;
ALTER TABLE selfheal.approval_decisions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.approval_decisions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE selfheal.approval_requests (
    id bigint NOT NULL,
    service text NOT NULL,
    item_type text NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    summary text NOT NULL,
    risk_level text NOT NULL,
    risk_score integer DEFAULT 0 NOT NULL,
    created_by text NOT NULL,
    created_role text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    digest text,
    evidence_digest text,
    job_id bigint,
    patch_id bigint,
    details jsonb DEFAULT '{}'::jsonb NOT NULL,
    idempotency_key text,
    CONSTRAINT approval_requests_check CHECK (((item_type <> ALL (ARRAY['patch_sandbox'::text, 'patch_main'::text])) OR ((patch_id IS NOT NULL) AND (digest IS NOT NULL)))),
    CONSTRAINT approval_requests_check1 CHECK (((item_type <> 'patch_main'::text) OR (evidence_digest IS NOT NULL))),
    CONSTRAINT approval_requests_item_type_check CHECK ((item_type = ANY (ARRAY['claim'::text, 'campaign'::text, 'email'::text, 'automation'::text, 'brand_change'::text, 'override'::text, 'patch_sandbox'::text, 'patch_main'::text]))),
    CONSTRAINT approval_requests_risk_level_check CHECK ((risk_level = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'critical'::text]))),
    CONSTRAINT approval_requests_risk_score_check CHECK (((risk_score >= 0) AND (risk_score <= 100))),
    CONSTRAINT approval_requests_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'approved'::text, 'rejected'::text, 'deferred'::text, 'expired'::text, 'void'::text])))
);
ALTER TABLE ONLY selfheal.approval_requests FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.approval_requests OWNER TO sh_owner;
ALTER TABLE selfheal.approval_requests ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.approval_requests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE VIEW selfheal.approvals AS
 SELECT r.id,
    r.service,
    r.item_type,
    r.status,
    r.summary,
    r.risk_level,
    r.risk_score,
    r.created_by,
    r.created_at,
    r.expires_at,
    r.digest,
    r.evidence_digest,
    r.job_id,
    r.patch_id,
        CASE
            WHEN ( SELECT selfheal.sees_content() AS sees_content) THEN r.details
            ELSE '{}'::jsonb
        END AS details,
    d.decision,
    d.actor,
    d.actor_role,
    d.decided_at,
        CASE
            WHEN ( SELECT selfheal.sees_content() AS sees_content) THEN d.reason
            ELSE NULL::text
        END AS decision_reason,
    d.interactive
   FROM (selfheal.approval_requests r
     LEFT JOIN LATERAL ( SELECT x.id,
            x.approval_id,
            x.item_type,
            x.decision,
            x.actor,
            x.actor_role,
            x.decided_at,
            x.reason,
            x.interactive,
            x.digest,
            x.evidence_digest,
            x.idempotency_key,
            x.details
           FROM selfheal.approval_decisions x
          WHERE (x.approval_id = r.id)
          ORDER BY x.id DESC
         LIMIT 1) d ON (true))
  WHERE ( SELECT selfheal.may_act() AS may_act);
ALTER VIEW selfheal.approvals OWNER TO sh_owner;
CREATE TABLE selfheal.audit_log (
    seq bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    origin text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    before jsonb,
    after jsonb,
    reason text,
    prev_hash text NOT NULL,
    hash text NOT NULL,
    payload text NOT NULL
);
ALTER TABLE ONLY selfheal.audit_log FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.audit_log OWNER TO sh_owner;
CREATE VIEW selfheal.audit_entries AS
 SELECT seq,
    at,
    actor,
    role,
    origin,
    action,
    subject,
        CASE
            WHEN (selfheal.acting_role() = ANY (ARRAY['proxy'::text, 'admin'::text, 'founder'::text])) THEN before
            ELSE NULL::jsonb
        END AS before,
        CASE
            WHEN (selfheal.acting_role() = ANY (ARRAY['proxy'::text, 'admin'::text, 'founder'::text])) THEN after
            ELSE NULL::jsonb
        END AS after,
        CASE
            WHEN (selfheal.acting_role() = ANY (ARRAY['proxy'::text, 'admin'::text, 'founder'::text])) THEN reason
            ELSE NULL::text
        END AS reason,
    prev_hash,
    hash,
        CASE
            WHEN (selfheal.acting_role() = ANY (ARRAY['proxy'::text, 'admin'::text, 'founder'::text])) THEN payload
            ELSE ''::text
        END AS payload
   FROM selfheal.audit_log
  WHERE ( SELECT selfheal.may_act() AS may_act);
ALTER VIEW selfheal.audit_entries OWNER TO sh_owner;
CREATE TABLE selfheal.audit_head (
    one boolean DEFAULT true NOT NULL,
    seq bigint NOT NULL,
    hash text NOT NULL,
    CONSTRAINT audit_head_one_check CHECK (one)
);
ALTER TABLE ONLY selfheal.audit_head FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.audit_head OWNER TO sh_owner;
CREATE TABLE selfheal.control_versions (
    version bigint NOT NULL,
    rules jsonb NOT NULL,
    changed_by text NOT NULL,
    changed_role text NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    reason text NOT NULL,
    CONSTRAINT control_versions_reason_check CHECK ((length(btrim(reason)) > 0)),
    CONSTRAINT control_versions_rules_check CHECK ((jsonb_typeof(rules) = 'object'::text))
);
ALTER TABLE ONLY selfheal.control_versions FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.control_versions OWNER TO sh_owner;
CREATE TABLE selfheal.founder_decisions (
    id bigint NOT NULL,
    kind text NOT NULL,
    patch_id bigint NOT NULL,
    digest text NOT NULL,
    evidence_digest text,
    idempotency_key text NOT NULL,
    actor text NOT NULL,
    actor_role text NOT NULL,
    reason text,
    interactive boolean DEFAULT false NOT NULL,
    decided_at timestamp with time zone DEFAULT now() NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    result jsonb DEFAULT '{}'::jsonb NOT NULL,
    finished_at timestamp with time zone,
    signature text,
    CONSTRAINT break_glass_says_why CHECK (((kind <> 'break_glass'::text) OR (length(btrim(reason)) >= 10))),
    CONSTRAINT founder_decisions_check CHECK (((actor_role = 'founder'::text) OR ((actor_role = 'admin'::text) AND (kind = 'sandbox'::text)))),
    CONSTRAINT founder_decisions_check1 CHECK (((kind <> 'break_glass'::text) OR (length(btrim(reason)) > 0))),
    CONSTRAINT founder_decisions_kind_check CHECK ((kind = ANY (ARRAY['sandbox'::text, 'apply'::text, 'rollback'::text, 'break_glass'::text]))),
    CONSTRAINT founder_decisions_signature_check CHECK ((length(signature) <= 4096)),
    CONSTRAINT founder_decisions_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'done'::text, 'failed'::text])))
);
ALTER TABLE ONLY selfheal.founder_decisions FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.founder_decisions OWNER TO sh_owner;
ALTER TABLE selfheal.founder_decisions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.founder_decisions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE selfheal.gate_switches (
    name text NOT NULL,
    enabled boolean DEFAULT false NOT NULL,
    changed_by text DEFAULT 'default'::text NOT NULL,
    changed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT gate_switches_name_check CHECK ((name = ANY (ARRAY['auto_approve_sandbox'::text, 'admin_sandbox'::text])))
);
ALTER TABLE ONLY selfheal.gate_switches FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.gate_switches OWNER TO sh_owner;
CREATE TABLE selfheal.installation (
    one boolean DEFAULT true NOT NULL,
    prefix text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    authority text,
    CONSTRAINT installation_authority_check CHECK ((authority = 'public.profiles'::text)),
    CONSTRAINT installation_one_check CHECK (one)
);
ALTER TABLE selfheal.installation OWNER TO sh_owner;
CREATE TABLE selfheal.self_healing_events (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    failure jsonb NOT NULL,
    request jsonb,
    request_body bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    error_signature text
);
ALTER TABLE ONLY selfheal.self_healing_events FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_events OWNER TO sh_owner;
CREATE VIEW selfheal.job_events AS
 SELECT id,
    job_id,
    occurred_at,
        CASE
            WHEN ( SELECT selfheal.sees_content() AS sees_content) THEN failure
            ELSE (((((failure - 'stack'::text) - 'body'::text) - 'response_excerpt'::text) - 'client'::text) - 'user_agent'::text)
        END AS failure,
        CASE
            WHEN ( SELECT selfheal.sees_content() AS sees_content) THEN request
            ELSE NULL::jsonb
        END AS request,
        CASE
            WHEN ( SELECT selfheal.sees_content() AS sees_content) THEN request_body
            ELSE NULL::bytea
        END AS request_body,
    error_signature
   FROM selfheal.self_healing_events
  WHERE ( SELECT selfheal.may_act() AS may_act);
ALTER VIEW selfheal.job_events OWNER TO sh_owner;
CREATE TABLE selfheal.job_steps (
    old text NOT NULL,
    new text NOT NULL,
    role text NOT NULL
);
ALTER TABLE selfheal.job_steps OWNER TO sh_owner;
CREATE VIEW selfheal.jobs AS
 SELECT id,
    service,
    environment,
    method,
    route,
    error_signature,
    signature_text,
    error_category,
    severity,
    status,
    occurrences,
    first_seen,
    last_seen,
    rule,
        CASE
            WHEN ( SELECT selfheal.sees_content() AS sees_content) THEN evidence
            ELSE '{}'::text[]
        END AS evidence,
    reason,
    regression,
    noise,
    snoozed_until,
    trace_id,
    related_observability_log_ids,
    related_anomaly_ids,
    ai_summary,
    ai_recommended_actions,
    closed_reason,
    applied_at,
    resolved_at,
    selfheal.kmv_count(clients) AS distinct_clients,
    affected_share,
    told_severity,
    releases
   FROM selfheal.self_healing_jobs
  WHERE ( SELECT selfheal.may_act() AS may_act);
ALTER VIEW selfheal.jobs OWNER TO sh_owner;
CREATE TABLE selfheal.observability_anomalies (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    detected_at timestamp with time zone DEFAULT now() NOT NULL,
    service text DEFAULT 'app'::text NOT NULL,
    route text NOT NULL,
    method text DEFAULT 'GET'::text NOT NULL,
    type text NOT NULL,
    severity text NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    metrics jsonb DEFAULT '{}'::jsonb NOT NULL,
    onset timestamp with time zone DEFAULT now() NOT NULL,
    baseline double precision,
    observed double precision,
    ratio double precision,
    sigma double precision,
    samples integer,
    occurrences bigint DEFAULT 1 NOT NULL,
    resolved boolean DEFAULT false NOT NULL,
    resolved_at timestamp with time zone,
    resolved_by uuid,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT observability_anomalies_severity_check CHECK ((severity = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'critical'::text]))),
    CONSTRAINT observability_anomalies_type_check CHECK ((type = ANY (ARRAY['latency_spike'::text, 'error_rate_spike'::text, 'unusual_pattern'::text, 'cascade_failure'::text])))
);
ALTER TABLE selfheal.observability_anomalies OWNER TO sh_owner;
CREATE TABLE selfheal.observability_anomaly_holders (
    anomaly_id uuid NOT NULL,
    holder text NOT NULL,
    seen_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT observability_anomaly_holders_holder_check CHECK ((holder ~ '^[^/]{1,100}/[^/]{1,100}$'::text))
);
ALTER TABLE selfheal.observability_anomaly_holders OWNER TO sh_owner;
CREATE TABLE selfheal.observability_baseline_deltas (
    id bigint NOT NULL,
    shared_at timestamp with time zone DEFAULT now() NOT NULL,
    service text NOT NULL,
    holder text NOT NULL,
    method text NOT NULL,
    route_path text NOT NULL,
    minute bigint NOT NULL,
    counts jsonb NOT NULL,
    CONSTRAINT observability_baseline_deltas_holder_check CHECK ((holder ~ '^[^/]{1,100}/[^/]{1,100}$'::text))
);
ALTER TABLE selfheal.observability_baseline_deltas OWNER TO sh_owner;
ALTER TABLE selfheal.observability_baseline_deltas ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.observability_baseline_deltas_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE selfheal.observability_deploys (
    id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    service text DEFAULT 'app'::text NOT NULL,
    version text DEFAULT ''::text NOT NULL,
    announced_by text NOT NULL,
    actor text DEFAULT ''::text NOT NULL,
    CONSTRAINT observability_deploys_announced_by_check CHECK ((announced_by = ANY (ARRAY['api'::text, 'header'::text]))),
    CONSTRAINT observability_deploys_version_check CHECK ((length(version) <= 200))
);
ALTER TABLE selfheal.observability_deploys OWNER TO sh_owner;
ALTER TABLE selfheal.observability_deploys ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.observability_deploys_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE selfheal.observability_health_snapshots (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    service text DEFAULT 'app'::text NOT NULL,
    overall_score integer,
    latency_score integer,
    error_rate_score integer,
    availability_score integer,
    metrics jsonb DEFAULT '{}'::jsonb NOT NULL,
    minute bigint,
    CONSTRAINT observability_health_snapshots_availability_score_check CHECK (((availability_score >= 0) AND (availability_score <= 100))),
    CONSTRAINT observability_health_snapshots_error_rate_score_check CHECK (((error_rate_score >= 0) AND (error_rate_score <= 100))),
    CONSTRAINT observability_health_snapshots_latency_score_check CHECK (((latency_score >= 0) AND (latency_score <= 100))),
    CONSTRAINT observability_health_snapshots_overall_score_check CHECK (((overall_score >= 0) AND (overall_score <= 100)))
);
ALTER TABLE selfheal.observability_health_snapshots OWNER TO sh_owner;
CREATE TABLE selfheal.observability_logs (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    service text DEFAULT 'app'::text NOT NULL,
    route_path text NOT NULL,
    method text DEFAULT 'GET'::text NOT NULL,
    status_code integer NOT NULL,
    latency_ms double precision DEFAULT 0 NOT NULL,
    outcome text DEFAULT 'answered'::text NOT NULL,
    error_message text,
    error_stack text,
    trace_id text,
    user_id text,
    workspace_id text
)
PARTITION BY RANGE (created_at);
ALTER TABLE selfheal.observability_logs OWNER TO sh_owner;
CREATE TABLE selfheal.observability_logs_default (
    id uuid DEFAULT gen_random_uuid() CONSTRAINT observability_logs_id_not_null NOT NULL,
    created_at timestamp with time zone DEFAULT now() CONSTRAINT observability_logs_created_at_not_null NOT NULL,
    service text DEFAULT 'app'::text CONSTRAINT observability_logs_service_not_null NOT NULL,
    route_path text CONSTRAINT observability_logs_route_path_not_null NOT NULL,
    method text DEFAULT 'GET'::text CONSTRAINT observability_logs_method_not_null NOT NULL,
    status_code integer CONSTRAINT observability_logs_status_code_not_null NOT NULL,
    latency_ms double precision DEFAULT 0 CONSTRAINT observability_logs_latency_ms_not_null NOT NULL,
    outcome text DEFAULT 'answered'::text CONSTRAINT observability_logs_outcome_not_null NOT NULL,
    error_message text,
    error_stack text,
    trace_id text,
    user_id text,
    workspace_id text
);
ALTER TABLE selfheal.observability_logs_default OWNER TO sh_owner;
CREATE TABLE selfheal.observability_route_baselines (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    service text DEFAULT 'app'::text NOT NULL,
    route_path text NOT NULL,
    method text NOT NULL,
    p50_latency_ms double precision,
    p95_latency_ms double precision,
    p99_latency_ms double precision,
    error_rate double precision DEFAULT 0 NOT NULL,
    sample_count bigint DEFAULT 0 NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE selfheal.observability_route_baselines OWNER TO sh_owner;
CREATE TABLE selfheal.patch_steps (
    old text NOT NULL,
    new text NOT NULL,
    role text NOT NULL
);
ALTER TABLE selfheal.patch_steps OWNER TO sh_owner;
CREATE VIEW selfheal.patches AS
 SELECT id,
    job_id,
    service,
    patch_type,
    description,
    files_changed,
    sql_migration_path,
    ai_diff_proposal,
    sql_migration,
    base_commit,
        CASE
            WHEN ( SELECT selfheal.sees_content() AS sees_content) THEN ai_patch_payload
            ELSE '{}'::jsonb
        END AS ai_patch_payload,
    digest,
    risk_score,
    risk_level,
    risk_reasons,
    confidence_score,
    status,
        CASE
            WHEN ( SELECT selfheal.sees_content() AS sees_content) THEN evidence
            ELSE NULL::text
        END AS evidence,
    evidence_digest,
    sandbox_branch,
    applied_commit,
    previous_commit,
    created_by,
    created_at,
    confidence_reasons
   FROM selfheal.self_healing_patches
  WHERE ( SELECT selfheal.may_act() AS may_act);
ALTER VIEW selfheal.patches OWNER TO sh_owner;
CREATE TABLE selfheal.profiles (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    role selfheal.user_role NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    identity uuid,
    CONSTRAINT profiles_name_check CHECK ((name ~ '^[a-z][a-z0-9_]{0,31}$'::text))
);
ALTER TABLE ONLY selfheal.profiles FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.profiles OWNER TO sh_owner;
CREATE TABLE selfheal.schema_migrations (
    name text NOT NULL,
    checksum text,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE selfheal.schema_migrations OWNER TO sh_owner;
CREATE TABLE selfheal.self_healing_aliases (
    service text NOT NULL,
    environment text NOT NULL,
    error_signature text NOT NULL,
    stands_for text NOT NULL,
    counted bigint DEFAULT 0 NOT NULL,
    CONSTRAINT self_healing_aliases_check CHECK ((error_signature <> stands_for))
);
ALTER TABLE ONLY selfheal.self_healing_aliases FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_aliases OWNER TO sh_owner;
ALTER TABLE selfheal.self_healing_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.self_healing_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE selfheal.self_healing_jobs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.self_healing_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE selfheal.self_healing_links (
    job_id bigint NOT NULL,
    kind text NOT NULL,
    ref uuid NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT self_healing_links_kind_check CHECK ((kind = ANY (ARRAY['log'::text, 'anomaly'::text])))
);
ALTER TABLE ONLY selfheal.self_healing_links FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_links OWNER TO sh_owner;
ALTER TABLE selfheal.self_healing_patches ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.self_healing_patches_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE selfheal.self_healing_releases (
    service text NOT NULL,
    environment text NOT NULL,
    release text NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    CONSTRAINT self_healing_releases_release_check CHECK ((length(release) <= 200))
);
ALTER TABLE ONLY selfheal.self_healing_releases FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_releases OWNER TO sh_owner;
CREATE TABLE selfheal.self_healing_splits (
    id bigint NOT NULL,
    service text NOT NULL,
    environment text NOT NULL,
    error_signature text NOT NULL,
    facet text NOT NULL,
    said text DEFAULT ''::text NOT NULL,
    stands_for text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT self_healing_splits_check CHECK ((error_signature <> stands_for)),
    CONSTRAINT self_healing_splits_facet_check CHECK (((length(facet) >= 3) AND (length(facet) <= 200)))
);
ALTER TABLE ONLY selfheal.self_healing_splits FORCE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_splits OWNER TO sh_owner;
ALTER TABLE selfheal.self_healing_splits ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME selfheal.self_healing_splits_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE ONLY selfheal.observability_logs ATTACH PARTITION selfheal.observability_logs_default DEFAULT;
ALTER TABLE selfheal.approval_requests
    ADD CONSTRAINT a_request_ends CHECK ((expires_at < (created_at + '366 days'::interval))) NOT VALID;
ALTER TABLE ONLY selfheal.acknowledgements
    ADD CONSTRAINT acknowledgements_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.adopted_inbox
    ADD CONSTRAINT adopted_inbox_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.adopted_seen
    ADD CONSTRAINT adopted_seen_pkey PRIMARY KEY (source, row_key);
ALTER TABLE ONLY selfheal.approval_decisions
    ADD CONSTRAINT approval_decisions_idempotency_key_key UNIQUE (idempotency_key);
ALTER TABLE ONLY selfheal.approval_decisions
    ADD CONSTRAINT approval_decisions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.approval_requests
    ADD CONSTRAINT approval_requests_idempotency_key_key UNIQUE (idempotency_key);
ALTER TABLE ONLY selfheal.approval_requests
    ADD CONSTRAINT approval_requests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.audit_head
    ADD CONSTRAINT audit_head_pkey PRIMARY KEY (one);
ALTER TABLE ONLY selfheal.audit_log
    ADD CONSTRAINT audit_log_hash_key UNIQUE (hash);
ALTER TABLE ONLY selfheal.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (seq);
ALTER TABLE selfheal.self_healing_patches
    ADD CONSTRAINT content_is_bounded CHECK (((length(ai_diff_proposal) <= 1000000) AND (length(sql_migration) <= 1000000))) NOT VALID;
ALTER TABLE ONLY selfheal.control_versions
    ADD CONSTRAINT control_versions_pkey PRIMARY KEY (version);
ALTER TABLE selfheal.self_healing_patches
    ADD CONSTRAINT description_is_bounded CHECK ((length(description) <= 8000)) NOT VALID;
ALTER TABLE ONLY selfheal.founder_decisions
    ADD CONSTRAINT founder_decisions_idempotency_key_key UNIQUE (idempotency_key);
ALTER TABLE ONLY selfheal.founder_decisions
    ADD CONSTRAINT founder_decisions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.gate_switches
    ADD CONSTRAINT gate_switches_pkey PRIMARY KEY (name);
ALTER TABLE ONLY selfheal.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (one);
ALTER TABLE ONLY selfheal.job_steps
    ADD CONSTRAINT job_steps_pkey PRIMARY KEY (old, new, role);
ALTER TABLE ONLY selfheal.observability_anomalies
    ADD CONSTRAINT observability_anomalies_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.observability_anomalies
    ADD CONSTRAINT observability_anomalies_service_route_method_type_onset_key UNIQUE (service, route, method, type, onset);
ALTER TABLE ONLY selfheal.observability_anomaly_holders
    ADD CONSTRAINT observability_anomaly_holders_pkey PRIMARY KEY (anomaly_id, holder);
ALTER TABLE ONLY selfheal.observability_baseline_deltas
    ADD CONSTRAINT observability_baseline_deltas_holder_service_minute_method__key UNIQUE (holder, service, minute, method, route_path);
ALTER TABLE ONLY selfheal.observability_baseline_deltas
    ADD CONSTRAINT observability_baseline_deltas_pkey PRIMARY KEY (service, id);
ALTER TABLE ONLY selfheal.observability_deploys
    ADD CONSTRAINT observability_deploys_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.observability_health_snapshots
    ADD CONSTRAINT observability_health_snapshots_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.observability_logs
    ADD CONSTRAINT observability_logs_pkey PRIMARY KEY (id, created_at);
ALTER TABLE ONLY selfheal.observability_logs_default
    ADD CONSTRAINT observability_logs_default_pkey PRIMARY KEY (id, created_at);
ALTER TABLE ONLY selfheal.observability_route_baselines
    ADD CONSTRAINT observability_route_baselines_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.observability_route_baselines
    ADD CONSTRAINT observability_route_baselines_service_route_path_method_key UNIQUE (service, route_path, method);
ALTER TABLE ONLY selfheal.observability_health_snapshots
    ADD CONSTRAINT one_a_minute UNIQUE (service, minute);
ALTER TABLE ONLY selfheal.patch_steps
    ADD CONSTRAINT patch_steps_pkey PRIMARY KEY (old, new, role);
ALTER TABLE ONLY selfheal.profiles
    ADD CONSTRAINT profiles_name_key UNIQUE (name);
ALTER TABLE ONLY selfheal.profiles
    ADD CONSTRAINT profiles_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (name);
ALTER TABLE ONLY selfheal.self_healing_aliases
    ADD CONSTRAINT self_healing_aliases_pkey PRIMARY KEY (service, environment, error_signature);
ALTER TABLE ONLY selfheal.self_healing_events
    ADD CONSTRAINT self_healing_events_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.self_healing_jobs
    ADD CONSTRAINT self_healing_jobs_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.self_healing_links
    ADD CONSTRAINT self_healing_links_pkey PRIMARY KEY (job_id, kind, ref);
ALTER TABLE ONLY selfheal.self_healing_patches
    ADD CONSTRAINT self_healing_patches_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.self_healing_releases
    ADD CONSTRAINT self_healing_releases_pkey PRIMARY KEY (service, environment, release);
ALTER TABLE ONLY selfheal.self_healing_splits
    ADD CONSTRAINT self_healing_splits_pkey PRIMARY KEY (id);
ALTER TABLE ONLY selfheal.self_healing_splits
    ADD CONSTRAINT self_healing_splits_service_environment_error_signature_fac_key UNIQUE (service, environment, error_signature, facet);
ALTER TABLE selfheal.self_healing_jobs
    ADD CONSTRAINT words_are_bounded CHECK (((length(ai_summary) <= 20000) AND (length((ai_recommended_actions)::text) <= 100000))) NOT VALID;
CREATE INDEX acknowledgements_of ON selfheal.acknowledgements USING btree (kind, subject, at DESC);
CREATE INDEX approval_decisions_of ON selfheal.approval_decisions USING btree (approval_id, id);
CREATE UNIQUE INDEX approval_decisions_once ON selfheal.approval_decisions USING btree (approval_id) WHERE (decision <> 'defer'::text);
CREATE UNIQUE INDEX approval_requests_one_waiting ON selfheal.approval_requests USING btree (patch_id, item_type) WHERE ((status = ANY (ARRAY['pending'::text, 'deferred'::text])) AND (patch_id IS NOT NULL));
CREATE INDEX approval_requests_patch ON selfheal.approval_requests USING btree (patch_id);
CREATE INDEX approval_requests_waiting ON selfheal.approval_requests USING btree (expires_at) WHERE (status = ANY (ARRAY['pending'::text, 'deferred'::text]));
CREATE INDEX audit_log_actor ON selfheal.audit_log USING btree (actor, seq);
CREATE INDEX audit_log_subject ON selfheal.audit_log USING btree (subject, seq);
CREATE UNIQUE INDEX founder_decisions_one_pending ON selfheal.founder_decisions USING btree (patch_id, kind) WHERE (status = 'pending'::text);
CREATE INDEX founder_decisions_patch ON selfheal.founder_decisions USING btree (patch_id, kind);
CREATE INDEX observability_anomalies_open ON selfheal.observability_anomalies USING btree (service, detected_at DESC) WHERE (NOT resolved);
CREATE INDEX observability_baseline_deltas_age ON selfheal.observability_baseline_deltas USING btree (shared_at);
CREATE INDEX observability_deploys_newest ON selfheal.observability_deploys USING btree (service, id DESC);
CREATE INDEX observability_health_snapshots_time ON selfheal.observability_health_snapshots USING btree (service, created_at DESC);
CREATE INDEX observability_logs_time ON ONLY selfheal.observability_logs USING btree (service, created_at);
CREATE INDEX observability_logs_default_service_created_at_idx ON selfheal.observability_logs_default USING btree (service, created_at);
CREATE INDEX observability_logs_trace ON ONLY selfheal.observability_logs USING btree (trace_id) WHERE (trace_id IS NOT NULL);
CREATE INDEX observability_logs_default_trace_id_idx ON selfheal.observability_logs_default USING btree (trace_id) WHERE (trace_id IS NOT NULL);
CREATE INDEX self_healing_events_job ON selfheal.self_healing_events USING btree (job_id, id DESC);
CREATE INDEX self_healing_jobs_list ON selfheal.self_healing_jobs USING btree (selfheal.severity_rank(severity) DESC, last_seen DESC, id DESC) WHERE ((status = ANY (ARRAY['open'::text, 'patch_proposed'::text, 'sandboxed'::text, 'approved'::text, 'applied'::text, 'snoozed'::text])) AND (NOT noise));
CREATE UNIQUE INDEX self_healing_jobs_one_open ON selfheal.self_healing_jobs USING btree (service, environment, error_signature) WHERE (status <> 'closed'::text);
CREATE INDEX self_healing_jobs_opened ON selfheal.self_healing_jobs USING btree (service, environment, created_at);
CREATE INDEX self_healing_jobs_resolved ON selfheal.self_healing_jobs USING btree (resolved_at) WHERE (status = 'resolved'::text);
CREATE INDEX self_healing_jobs_snoozed ON selfheal.self_healing_jobs USING btree (snoozed_until) WHERE (status = 'snoozed'::text);
CREATE INDEX self_healing_links_at ON selfheal.self_healing_links USING btree (at);
CREATE INDEX self_healing_links_ref ON selfheal.self_healing_links USING btree (ref);
CREATE INDEX self_healing_patches_job ON selfheal.self_healing_patches USING btree (job_id, id);
CREATE UNIQUE INDEX self_healing_patches_one_live ON selfheal.self_healing_patches USING btree (job_id, digest) WHERE ((status = ANY (ARRAY['proposed'::text, 'sandbox_running'::text, 'sandbox_passed'::text, 'sandbox_failed'::text, 'approved'::text])) AND (patch_type <> 'manual'::text));
CREATE INDEX self_healing_patches_status ON selfheal.self_healing_patches USING btree (status);
ALTER INDEX selfheal.observability_logs_pkey ATTACH PARTITION selfheal.observability_logs_default_pkey;
ALTER INDEX selfheal.observability_logs_time ATTACH PARTITION selfheal.observability_logs_default_service_created_at_idx;
ALTER INDEX selfheal.observability_logs_trace ATTACH PARTITION selfheal.observability_logs_default_trace_id_idx;
CREATE TRIGGER a_number BEFORE INSERT ON selfheal.approval_requests FOR EACH ROW EXECUTE FUNCTION selfheal.number_row();
CREATE TRIGGER a_number BEFORE INSERT ON selfheal.self_healing_jobs FOR EACH ROW EXECUTE FUNCTION selfheal.number_row();
CREATE TRIGGER a_number BEFORE INSERT ON selfheal.self_healing_patches FOR EACH ROW EXECUTE FUNCTION selfheal.number_row();
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON selfheal.acknowledgements FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON selfheal.approval_decisions FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON selfheal.audit_log FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE ON selfheal.control_versions FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER audit_members AFTER INSERT OR DELETE OR UPDATE ON selfheal.profiles FOR EACH ROW EXECUTE FUNCTION selfheal.audit_profiles();
CREATE TRIGGER finish_break_glass AFTER UPDATE OF status ON selfheal.self_healing_patches FOR EACH ROW WHEN (((new.status = 'approved'::text) AND (old.status <> 'approved'::text))) EXECUTE FUNCTION selfheal.finish_break_glass();
CREATE TRIGGER guard BEFORE INSERT ON selfheal.acknowledgements FOR EACH ROW EXECUTE FUNCTION selfheal.guard_acknowledgement();
CREATE TRIGGER guard BEFORE INSERT ON selfheal.approval_decisions FOR EACH ROW EXECUTE FUNCTION selfheal.guard_decision();
CREATE TRIGGER guard BEFORE INSERT ON selfheal.approval_requests FOR EACH ROW EXECUTE FUNCTION selfheal.guard_request();
CREATE TRIGGER guard BEFORE INSERT ON selfheal.control_versions FOR EACH ROW EXECUTE FUNCTION selfheal.guard_control();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON selfheal.founder_decisions FOR EACH ROW EXECUTE FUNCTION selfheal.guard_deed();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON selfheal.self_healing_jobs FOR EACH ROW EXECUTE FUNCTION selfheal.guard_job();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON selfheal.self_healing_patches FOR EACH ROW EXECUTE FUNCTION selfheal.guard_patch();
CREATE TRIGGER guard_gates BEFORE UPDATE OF status ON selfheal.self_healing_patches FOR EACH ROW EXECUTE FUNCTION selfheal.guard_gates();
CREATE TRIGGER guard_update BEFORE UPDATE ON selfheal.approval_requests FOR EACH ROW EXECUTE FUNCTION selfheal.guard_request_update();
CREATE TRIGGER head_stays BEFORE DELETE ON selfheal.audit_head FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER intact BEFORE INSERT ON selfheal.approval_decisions FOR EACH ROW WHEN ((new.decision = 'approve'::text)) EXECUTE FUNCTION selfheal.decision_intact();
CREATE TRIGGER intact BEFORE INSERT ON selfheal.founder_decisions FOR EACH ROW WHEN ((new.kind <> 'rollback'::text)) EXECUTE FUNCTION selfheal.deed_intact();
CREATE TRIGGER intact BEFORE UPDATE OF status ON selfheal.self_healing_patches FOR EACH ROW WHEN (((new.status = ANY (ARRAY['sandbox_running'::text, 'approved'::text, 'applied'::text])) AND (new.status <> old.status))) EXECUTE FUNCTION selfheal.patch_intact();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfheal.acknowledgements FOR EACH STATEMENT EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfheal.approval_decisions FOR EACH STATEMENT EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfheal.approval_requests FOR EACH STATEMENT EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfheal.audit_head FOR EACH STATEMENT EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfheal.audit_log FOR EACH STATEMENT EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfheal.control_versions FOR EACH STATEMENT EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfheal.founder_decisions FOR EACH STATEMENT EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfheal.self_healing_jobs FOR EACH STATEMENT EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON selfheal.self_healing_patches FOR EACH STATEMENT EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER note_critical BEFORE INSERT OR UPDATE OF severity ON selfheal.self_healing_jobs FOR EACH ROW EXECUTE FUNCTION selfheal.note_critical();
CREATE TRIGGER note_foreign AFTER INSERT ON selfheal.observability_anomalies FOR EACH ROW WHEN (((SESSION_USER <> 'sh_login_proxy'::name) AND (NOT new.resolved))) EXECUTE FUNCTION selfheal.note_foreign_row('anomaly');
CREATE TRIGGER note_foreign AFTER INSERT ON selfheal.observability_logs FOR EACH ROW WHEN (((SESSION_USER <> 'sh_login_proxy'::name) AND ((new.status_code >= 400) OR (new.error_message <> ''::text) OR (new.error_stack <> ''::text)))) EXECUTE FUNCTION selfheal.note_foreign_row('log');
CREATE TRIGGER nothing_is_deleted BEFORE DELETE ON selfheal.approval_requests FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER nothing_is_deleted BEFORE DELETE ON selfheal.founder_decisions FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER nothing_is_deleted BEFORE DELETE ON selfheal.self_healing_jobs FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER nothing_is_deleted BEFORE DELETE ON selfheal.self_healing_patches FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER only_added BEFORE DELETE OR UPDATE ON selfheal.observability_deploys FOR EACH ROW EXECUTE FUNCTION selfheal.forbid_change();
CREATE TRIGGER record AFTER INSERT ON selfheal.approval_decisions FOR EACH ROW EXECUTE FUNCTION selfheal.record_decision();
CREATE TRIGGER record AFTER INSERT OR UPDATE ON selfheal.approval_requests FOR EACH ROW EXECUTE FUNCTION selfheal.record_request();
CREATE TRIGGER record AFTER INSERT ON selfheal.control_versions FOR EACH ROW EXECUTE FUNCTION selfheal.record_control();
CREATE TRIGGER record AFTER INSERT OR UPDATE ON selfheal.founder_decisions FOR EACH ROW EXECUTE FUNCTION selfheal.record_deed();
CREATE TRIGGER record AFTER INSERT OR DELETE OR UPDATE ON selfheal.self_healing_aliases FOR EACH ROW EXECUTE FUNCTION selfheal.record_merge();
CREATE TRIGGER record AFTER INSERT OR UPDATE ON selfheal.self_healing_patches FOR EACH ROW EXECUTE FUNCTION selfheal.record_patch();
CREATE TRIGGER record AFTER INSERT ON selfheal.self_healing_splits FOR EACH ROW EXECUTE FUNCTION selfheal.record_split();
CREATE TRIGGER record_deploys BEFORE INSERT ON selfheal.observability_deploys FOR EACH ROW EXECUTE FUNCTION selfheal.record_deploy();
CREATE TRIGGER record_insert AFTER INSERT ON selfheal.self_healing_jobs FOR EACH ROW EXECUTE FUNCTION selfheal.record_job();
CREATE TRIGGER record_update AFTER UPDATE ON selfheal.self_healing_jobs FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) OR (old.severity IS DISTINCT FROM new.severity) OR (old.ai_summary IS DISTINCT FROM new.ai_summary) OR (old.ai_recommended_actions IS DISTINCT FROM new.ai_recommended_actions))) EXECUTE FUNCTION selfheal.record_job();
CREATE TRIGGER shown_risk BEFORE UPDATE ON selfheal.self_healing_patches FOR EACH ROW WHEN (((new.risk_score < old.risk_score) OR (selfheal.severity_rank(new.risk_level) < selfheal.severity_rank(old.risk_level)))) EXECUTE FUNCTION selfheal.shown_risk_stands();
CREATE CONSTRAINT TRIGGER still_authorised AFTER INSERT ON selfheal.approval_decisions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION selfheal.still_authorised();
CREATE CONSTRAINT TRIGGER still_authorised AFTER INSERT ON selfheal.founder_decisions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION selfheal.still_authorised();
CREATE TRIGGER unmerge AFTER UPDATE OF status ON selfheal.self_healing_jobs FOR EACH ROW WHEN (((old.status = 'closed'::text) AND (new.status = 'open'::text))) EXECUTE FUNCTION selfheal.unmerge_reopened();
CREATE TRIGGER void_stale AFTER UPDATE ON selfheal.self_healing_patches FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) OR (old.evidence_digest IS DISTINCT FROM new.evidence_digest))) EXECUTE FUNCTION selfheal.void_with_patch();
CREATE TRIGGER wake AFTER INSERT OR UPDATE ON selfheal.observability_anomalies FOR EACH ROW EXECUTE FUNCTION selfheal.notify_anomaly();
ALTER TABLE ONLY selfheal.approval_decisions
    ADD CONSTRAINT approval_decisions_approval_id_fkey FOREIGN KEY (approval_id) REFERENCES selfheal.approval_requests(id);
ALTER TABLE ONLY selfheal.approval_requests
    ADD CONSTRAINT approval_requests_job_id_fkey FOREIGN KEY (job_id) REFERENCES selfheal.self_healing_jobs(id);
ALTER TABLE ONLY selfheal.approval_requests
    ADD CONSTRAINT approval_requests_patch_id_fkey FOREIGN KEY (patch_id) REFERENCES selfheal.self_healing_patches(id);
ALTER TABLE ONLY selfheal.founder_decisions
    ADD CONSTRAINT founder_decisions_patch_id_fkey FOREIGN KEY (patch_id) REFERENCES selfheal.self_healing_patches(id);
ALTER TABLE ONLY selfheal.observability_anomaly_holders
    ADD CONSTRAINT observability_anomaly_holders_anomaly_id_fkey FOREIGN KEY (anomaly_id) REFERENCES selfheal.observability_anomalies(id) ON DELETE CASCADE;
ALTER TABLE ONLY selfheal.self_healing_events
    ADD CONSTRAINT self_healing_events_job_id_fkey FOREIGN KEY (job_id) REFERENCES selfheal.self_healing_jobs(id);
ALTER TABLE ONLY selfheal.self_healing_links
    ADD CONSTRAINT self_healing_links_job_id_fkey FOREIGN KEY (job_id) REFERENCES selfheal.self_healing_jobs(id);
ALTER TABLE ONLY selfheal.self_healing_patches
    ADD CONSTRAINT self_healing_patches_job_id_fkey FOREIGN KEY (job_id) REFERENCES selfheal.self_healing_jobs(id);
CREATE POLICY acknowledge ON selfheal.acknowledgements FOR INSERT TO sh_admin, sh_founder WITH CHECK (( SELECT selfheal.may_act() AS may_act));
ALTER TABLE selfheal.acknowledgements ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.adopted_inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.adopted_seen ENABLE ROW LEVEL SECURITY;
CREATE POLICY agents ON selfheal.self_healing_jobs TO sh_agent USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY agents ON selfheal.self_healing_patches FOR SELECT TO sh_agent USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY agents_propose ON selfheal.self_healing_patches FOR INSERT TO sh_agent WITH CHECK (( SELECT selfheal.may_act() AS may_act));
ALTER TABLE selfheal.approval_decisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.approval_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY ask ON selfheal.approval_requests FOR INSERT TO sh_proxy, sh_admin, sh_founder WITH CHECK (( SELECT selfheal.may_act() AS may_act));
ALTER TABLE selfheal.audit_head ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.audit_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.control_versions ENABLE ROW LEVEL SECURITY;
CREATE POLICY decide ON selfheal.approval_decisions FOR INSERT TO sh_proxy, sh_admin, sh_founder WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY finish_deed ON selfheal.founder_decisions FOR UPDATE TO sh_proxy USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
ALTER TABLE selfheal.founder_decisions ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.gate_switches ENABLE ROW LEVEL SECURITY;
CREATE POLICY order_deed ON selfheal.founder_decisions FOR INSERT TO sh_admin, sh_founder WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY owner_all ON selfheal.acknowledgements TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.adopted_inbox TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.adopted_seen TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.approval_decisions TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.approval_requests TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.audit_head TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.audit_log TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.control_versions TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.founder_decisions TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.gate_switches TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.profiles TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.self_healing_aliases TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.self_healing_events TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.self_healing_jobs TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.self_healing_links TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.self_healing_patches TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.self_healing_releases TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON selfheal.self_healing_splits TO sh_owner USING (true) WITH CHECK (true);
CREATE POLICY people ON selfheal.self_healing_aliases TO sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY people ON selfheal.self_healing_events FOR SELECT TO sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY people ON selfheal.self_healing_jobs TO sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY people ON selfheal.self_healing_links FOR SELECT TO sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY people ON selfheal.self_healing_patches TO sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
ALTER TABLE selfheal.profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY readers ON selfheal.acknowledgements FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY readers ON selfheal.approval_decisions FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY readers ON selfheal.approval_requests FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY readers ON selfheal.audit_head FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY readers ON selfheal.audit_log FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY readers ON selfheal.control_versions FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY readers ON selfheal.founder_decisions FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY readers ON selfheal.gate_switches FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY readers ON selfheal.profiles FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY readers ON selfheal.self_healing_splits FOR SELECT TO sh_proxy, sh_admin, sh_founder USING (( SELECT selfheal.may_act() AS may_act));
ALTER TABLE selfheal.self_healing_aliases ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_jobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_links ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_patches ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_releases ENABLE ROW LEVEL SECURITY;
ALTER TABLE selfheal.self_healing_splits ENABLE ROW LEVEL SECURITY;
CREATE POLICY sidecar ON selfheal.adopted_inbox TO sh_proxy USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY sidecar ON selfheal.adopted_seen TO sh_proxy USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY sidecar ON selfheal.self_healing_aliases TO sh_proxy USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY sidecar ON selfheal.self_healing_events TO sh_proxy USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY sidecar ON selfheal.self_healing_jobs TO sh_proxy USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY sidecar ON selfheal.self_healing_links TO sh_proxy USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY sidecar ON selfheal.self_healing_patches TO sh_proxy USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY sidecar ON selfheal.self_healing_releases TO sh_proxy USING (( SELECT selfheal.may_act() AS may_act)) WITH CHECK (( SELECT selfheal.may_act() AS may_act));
CREATE POLICY write_rules ON selfheal.control_versions FOR INSERT TO sh_proxy, sh_founder WITH CHECK (( SELECT selfheal.may_act() AS may_act));
GRANT USAGE ON SCHEMA selfheal TO PUBLIC;
REVOKE ALL ON FUNCTION selfheal.adopt_profiles() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.adopted_columns(p_source regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.adopted_columns(p_source regclass) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.adopted_condition(p_kind text, p_source regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.adopted_condition(p_kind text, p_source regclass) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.adopted_rows(p_kind text, p_source text, p_since timestamp with time zone, p_most integer, OUT key text, OUT content jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.adopted_rows(p_kind text, p_source text, p_since timestamp with time zone, p_most integer, OUT key text, OUT content jsonb) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.adopted_tables(OUT kind text, OUT source text) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.adopted_tables(OUT kind text, OUT source text) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.adopted_time(p_source regclass) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.adopted_time(p_source regclass) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.app_founders() FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.app_founders() TO sh_owner;
REVOKE ALL ON FUNCTION selfheal.app_role(identity uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.app_role(identity uuid) TO sh_owner;
REVOKE ALL ON FUNCTION selfheal.as_roles(statements text) FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.audit_append(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.audit_first_bad() FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.audit_first_bad() TO sh_proxy;
GRANT ALL ON FUNCTION selfheal.audit_first_bad() TO sh_admin;
GRANT ALL ON FUNCTION selfheal.audit_first_bad() TO sh_founder;
REVOKE ALL ON FUNCTION selfheal.audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) TO sh_proxy;
GRANT ALL ON FUNCTION selfheal.audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) TO sh_admin;
GRANT ALL ON FUNCTION selfheal.audit_note(p_action text, p_subject text, p_before jsonb, p_after jsonb, p_reason text) TO sh_founder;
REVOKE ALL ON FUNCTION selfheal.audit_profiles() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.authorised(role selfheal.user_role, identity uuid) FROM PUBLIC;
GRANT SELECT,INSERT ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT SELECT ON TABLE selfheal.self_healing_jobs TO sh_admin;
GRANT SELECT ON TABLE selfheal.self_healing_jobs TO sh_founder;
GRANT SELECT(id) ON TABLE selfheal.self_healing_jobs TO sh_agent;
GRANT SELECT(service) ON TABLE selfheal.self_healing_jobs TO sh_agent;
GRANT UPDATE(method) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(route) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(signature_text) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(error_category) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT SELECT(error_category) ON TABLE selfheal.self_healing_jobs TO sh_agent;
GRANT UPDATE(severity) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT SELECT(severity) ON TABLE selfheal.self_healing_jobs TO sh_agent;
GRANT UPDATE(status) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(status) ON TABLE selfheal.self_healing_jobs TO sh_admin;
GRANT UPDATE(status) ON TABLE selfheal.self_healing_jobs TO sh_founder;
GRANT SELECT(status) ON TABLE selfheal.self_healing_jobs TO sh_agent;
GRANT UPDATE(occurrences) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(first_seen) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(last_seen) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(rule) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(evidence) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(reason) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(regression) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(regressed_at) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(noise) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(snoozed_until) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(snoozed_until) ON TABLE selfheal.self_healing_jobs TO sh_admin;
GRANT UPDATE(snoozed_until) ON TABLE selfheal.self_healing_jobs TO sh_founder;
GRANT UPDATE(trace_id) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(related_observability_log_ids) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(related_anomaly_ids) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(ai_summary) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT SELECT(ai_summary),UPDATE(ai_summary) ON TABLE selfheal.self_healing_jobs TO sh_agent;
GRANT UPDATE(ai_recommended_actions) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT SELECT(ai_recommended_actions),UPDATE(ai_recommended_actions) ON TABLE selfheal.self_healing_jobs TO sh_agent;
GRANT UPDATE(closed_reason) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(closed_reason) ON TABLE selfheal.self_healing_jobs TO sh_admin;
GRANT UPDATE(closed_reason) ON TABLE selfheal.self_healing_jobs TO sh_founder;
GRANT UPDATE(applied_at) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(resolved_at) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(sampled_at) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(replayable) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(updated_at) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(clients) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(affected_share) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(told_severity) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
GRANT UPDATE(releases) ON TABLE selfheal.self_healing_jobs TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.check_grouping(p_job bigint) FROM PUBLIC;
GRANT SELECT,INSERT ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT SELECT ON TABLE selfheal.self_healing_patches TO sh_admin;
GRANT SELECT ON TABLE selfheal.self_healing_patches TO sh_founder;
GRANT SELECT(id) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT SELECT(job_id),INSERT(job_id) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT INSERT(job_id) ON TABLE selfheal.self_healing_patches TO sh_admin;
GRANT INSERT(job_id) ON TABLE selfheal.self_healing_patches TO sh_founder;
GRANT INSERT(patch_type) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT INSERT(patch_type) ON TABLE selfheal.self_healing_patches TO sh_admin;
GRANT INSERT(patch_type) ON TABLE selfheal.self_healing_patches TO sh_founder;
GRANT INSERT(description) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT INSERT(description) ON TABLE selfheal.self_healing_patches TO sh_admin;
GRANT INSERT(description) ON TABLE selfheal.self_healing_patches TO sh_founder;
GRANT INSERT(ai_diff_proposal) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT INSERT(ai_diff_proposal) ON TABLE selfheal.self_healing_patches TO sh_admin;
GRANT INSERT(ai_diff_proposal) ON TABLE selfheal.self_healing_patches TO sh_founder;
GRANT INSERT(sql_migration) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT INSERT(sql_migration) ON TABLE selfheal.self_healing_patches TO sh_admin;
GRANT INSERT(sql_migration) ON TABLE selfheal.self_healing_patches TO sh_founder;
GRANT INSERT(base_commit) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT INSERT(base_commit) ON TABLE selfheal.self_healing_patches TO sh_admin;
GRANT INSERT(base_commit) ON TABLE selfheal.self_healing_patches TO sh_founder;
GRANT SELECT(digest) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT UPDATE(risk_score) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(risk_level) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(risk_reasons) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(confidence_score) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(status) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(status) ON TABLE selfheal.self_healing_patches TO sh_admin;
GRANT UPDATE(status) ON TABLE selfheal.self_healing_patches TO sh_founder;
GRANT SELECT(status) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT UPDATE(status_reason) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(status_reason) ON TABLE selfheal.self_healing_patches TO sh_admin;
GRANT UPDATE(status_reason) ON TABLE selfheal.self_healing_patches TO sh_founder;
GRANT UPDATE(evidence) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(evidence_digest) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(sandbox_branch) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(applied_commit) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(previous_commit) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT SELECT(created_by) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT SELECT(created_at) ON TABLE selfheal.self_healing_patches TO sh_agent;
GRANT UPDATE(updated_at) ON TABLE selfheal.self_healing_patches TO sh_proxy;
GRANT UPDATE(confidence_reasons) ON TABLE selfheal.self_healing_patches TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.close_incident(p_anomaly uuid, p_holder text, p_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.close_incident(p_anomaly uuid, p_holder text, p_at timestamp with time zone) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.decision_intact() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.deed_intact() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.deed_stands(of_kind text, of_patch bigint, of_digest text, of_evidence text) FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.drop_log_partitions(before date) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.drop_log_partitions(before date) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.ensure_log_partitions(first date, ahead integer) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.ensure_log_partitions(first date, ahead integer) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.expire_approvals(moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.expire_approvals(moment timestamp with time zone) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.finish_break_glass() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.forbid_change() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.forget_adopted(p_source text) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.forget_adopted(p_source text) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.gate_passed(gate text, of_patch bigint, of_digest text, of_evidence text) FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.glass_broken(of_patch bigint, of_digest text) FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.guard_acknowledgement() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.guard_control() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.guard_decision() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.guard_deed() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.guard_gates() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.guard_job() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.guard_patch() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.guard_request() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.guard_request_update() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.may_decide(item_type text, decision text, risk_level text) FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.merge_jobs(p_keep bigint, p_other bigint, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.merge_jobs(p_keep bigint, p_other bigint, p_reason text) TO sh_admin;
GRANT ALL ON FUNCTION selfheal.merge_jobs(p_keep bigint, p_other bigint, p_reason text) TO sh_founder;
REVOKE ALL ON FUNCTION selfheal.move_samples(p_from bigint, p_to bigint, p_events bigint[], p_back bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.note_critical() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.note_foreign_row() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.notify_anomaly() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.number_row() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.open_alerts(warn_before interval) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.open_alerts(warn_before interval) TO sh_proxy;
GRANT ALL ON FUNCTION selfheal.open_alerts(warn_before interval) TO sh_admin;
GRANT ALL ON FUNCTION selfheal.open_alerts(warn_before interval) TO sh_founder;
REVOKE ALL ON FUNCTION selfheal.open_incident(p_holder text, p_service text, p_route text, p_method text, p_type text, p_severity text, p_description text, p_detected_at timestamp with time zone, p_onset timestamp with time zone, p_baseline double precision, p_observed double precision, p_ratio double precision, p_sigma double precision, p_samples integer, p_metrics jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.open_incident(p_holder text, p_service text, p_route text, p_method text, p_type text, p_severity text, p_description text, p_detected_at timestamp with time zone, p_onset timestamp with time zone, p_baseline double precision, p_observed double precision, p_ratio double precision, p_sigma double precision, p_samples integer, p_metrics jsonb) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.patch_intact() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.record_control() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.record_decision() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.record_deed() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.record_deploy() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.record_job() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.record_merge() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.record_patch() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.record_request() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.record_split() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.set_switch(switch text, turn boolean, why text) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.set_switch(switch text, turn boolean, why text) TO sh_founder;
REVOKE ALL ON FUNCTION selfheal.shown_risk_stands() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.split_job(p_job bigint, p_events bigint[], p_facet text, p_said text, p_reason text) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.split_job(p_job bigint, p_events bigint[], p_facet text, p_said text, p_reason text) TO sh_admin;
GRANT ALL ON FUNCTION selfheal.split_job(p_job bigint, p_events bigint[], p_facet text, p_said text, p_reason text) TO sh_founder;
REVOKE ALL ON FUNCTION selfheal.still_authorised() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.unmerge_job(p_job bigint, p_signature text, p_events bigint[]) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.unmerge_job(p_job bigint, p_signature text, p_events bigint[]) TO sh_admin;
GRANT ALL ON FUNCTION selfheal.unmerge_job(p_job bigint, p_signature text, p_events bigint[]) TO sh_founder;
REVOKE ALL ON FUNCTION selfheal.unmerge_reopened() FROM PUBLIC;
REVOKE ALL ON FUNCTION selfheal.void_stale_approvals(of_patch bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION selfheal.void_stale_approvals(of_patch bigint) TO sh_proxy;
REVOKE ALL ON FUNCTION selfheal.void_with_patch() FROM PUBLIC;
GRANT SELECT ON TABLE selfheal.acknowledgements TO sh_proxy;
GRANT SELECT ON TABLE selfheal.acknowledgements TO sh_admin;
GRANT SELECT ON TABLE selfheal.acknowledgements TO sh_founder;
GRANT INSERT(kind) ON TABLE selfheal.acknowledgements TO sh_admin;
GRANT INSERT(kind) ON TABLE selfheal.acknowledgements TO sh_founder;
GRANT INSERT(subject) ON TABLE selfheal.acknowledgements TO sh_admin;
GRANT INSERT(subject) ON TABLE selfheal.acknowledgements TO sh_founder;
GRANT INSERT(note) ON TABLE selfheal.acknowledgements TO sh_admin;
GRANT INSERT(note) ON TABLE selfheal.acknowledgements TO sh_founder;
GRANT SELECT,DELETE ON TABLE selfheal.adopted_inbox TO sh_proxy;
GRANT SELECT,INSERT,DELETE ON TABLE selfheal.adopted_seen TO sh_proxy;
GRANT SELECT ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT SELECT ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT SELECT ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT INSERT(approval_id) ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT INSERT(approval_id) ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT INSERT(approval_id) ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT INSERT(decision) ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT INSERT(decision) ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT INSERT(decision) ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT INSERT(reason) ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT INSERT(reason) ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT INSERT(reason) ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT INSERT(interactive) ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT INSERT(interactive) ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT INSERT(interactive) ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT INSERT(digest) ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT INSERT(digest) ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT INSERT(digest) ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT INSERT(evidence_digest) ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT INSERT(evidence_digest) ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT INSERT(evidence_digest) ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT INSERT(idempotency_key) ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT INSERT(idempotency_key) ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT INSERT(idempotency_key) ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT INSERT(details) ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT INSERT(details) ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT INSERT(details) ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT INSERT(signature) ON TABLE selfheal.approval_decisions TO sh_proxy;
GRANT INSERT(signature) ON TABLE selfheal.approval_decisions TO sh_admin;
GRANT INSERT(signature) ON TABLE selfheal.approval_decisions TO sh_founder;
GRANT SELECT ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT SELECT ON TABLE selfheal.approval_requests TO sh_admin;
GRANT SELECT ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(service) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(service) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(service) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(item_type) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(item_type) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(item_type) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(summary) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(summary) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(summary) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(risk_level) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(risk_level) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(risk_level) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(risk_score) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(risk_score) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(risk_score) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(created_by) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(created_by) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(created_by) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(expires_at) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(expires_at) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(expires_at) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(digest) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(digest) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(digest) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(evidence_digest) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(evidence_digest) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(evidence_digest) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(job_id) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(job_id) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(job_id) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(patch_id) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(patch_id) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(patch_id) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(details) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(details) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(details) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT INSERT(idempotency_key) ON TABLE selfheal.approval_requests TO sh_proxy;
GRANT INSERT(idempotency_key) ON TABLE selfheal.approval_requests TO sh_admin;
GRANT INSERT(idempotency_key) ON TABLE selfheal.approval_requests TO sh_founder;
GRANT SELECT ON TABLE selfheal.approvals TO sh_proxy;
GRANT SELECT ON TABLE selfheal.approvals TO sh_agent;
GRANT SELECT ON TABLE selfheal.approvals TO sh_viewer;
GRANT SELECT ON TABLE selfheal.approvals TO sh_admin;
GRANT SELECT ON TABLE selfheal.approvals TO sh_founder;
GRANT SELECT ON TABLE selfheal.audit_log TO sh_proxy;
GRANT SELECT ON TABLE selfheal.audit_log TO sh_admin;
GRANT SELECT ON TABLE selfheal.audit_log TO sh_founder;
GRANT SELECT ON TABLE selfheal.audit_entries TO sh_proxy;
GRANT SELECT ON TABLE selfheal.audit_entries TO sh_agent;
GRANT SELECT ON TABLE selfheal.audit_entries TO sh_viewer;
GRANT SELECT ON TABLE selfheal.audit_entries TO sh_admin;
GRANT SELECT ON TABLE selfheal.audit_entries TO sh_founder;
GRANT SELECT ON TABLE selfheal.audit_head TO sh_proxy;
GRANT SELECT ON TABLE selfheal.audit_head TO sh_admin;
GRANT SELECT ON TABLE selfheal.audit_head TO sh_founder;
GRANT SELECT ON TABLE selfheal.control_versions TO sh_proxy;
GRANT SELECT ON TABLE selfheal.control_versions TO sh_admin;
GRANT SELECT ON TABLE selfheal.control_versions TO sh_founder;
GRANT INSERT(version) ON TABLE selfheal.control_versions TO sh_proxy;
GRANT INSERT(version) ON TABLE selfheal.control_versions TO sh_founder;
GRANT INSERT(rules) ON TABLE selfheal.control_versions TO sh_proxy;
GRANT INSERT(rules) ON TABLE selfheal.control_versions TO sh_founder;
GRANT INSERT(reason) ON TABLE selfheal.control_versions TO sh_proxy;
GRANT INSERT(reason) ON TABLE selfheal.control_versions TO sh_founder;
GRANT SELECT ON TABLE selfheal.founder_decisions TO sh_proxy;
GRANT SELECT ON TABLE selfheal.founder_decisions TO sh_admin;
GRANT SELECT ON TABLE selfheal.founder_decisions TO sh_founder;
GRANT INSERT(kind) ON TABLE selfheal.founder_decisions TO sh_admin;
GRANT INSERT(kind) ON TABLE selfheal.founder_decisions TO sh_founder;
GRANT INSERT(patch_id) ON TABLE selfheal.founder_decisions TO sh_admin;
GRANT INSERT(patch_id) ON TABLE selfheal.founder_decisions TO sh_founder;
GRANT INSERT(digest) ON TABLE selfheal.founder_decisions TO sh_admin;
GRANT INSERT(digest) ON TABLE selfheal.founder_decisions TO sh_founder;
GRANT INSERT(evidence_digest) ON TABLE selfheal.founder_decisions TO sh_admin;
GRANT INSERT(evidence_digest) ON TABLE selfheal.founder_decisions TO sh_founder;
GRANT INSERT(idempotency_key) ON TABLE selfheal.founder_decisions TO sh_admin;
GRANT INSERT(idempotency_key) ON TABLE selfheal.founder_decisions TO sh_founder;
GRANT INSERT(reason) ON TABLE selfheal.founder_decisions TO sh_admin;
GRANT INSERT(reason) ON TABLE selfheal.founder_decisions TO sh_founder;
GRANT INSERT(interactive) ON TABLE selfheal.founder_decisions TO sh_admin;
GRANT INSERT(interactive) ON TABLE selfheal.founder_decisions TO sh_founder;
GRANT UPDATE(status) ON TABLE selfheal.founder_decisions TO sh_proxy;
GRANT UPDATE(result) ON TABLE selfheal.founder_decisions TO sh_proxy;
GRANT UPDATE(finished_at) ON TABLE selfheal.founder_decisions TO sh_proxy;
GRANT INSERT(signature) ON TABLE selfheal.founder_decisions TO sh_admin;
GRANT INSERT(signature) ON TABLE selfheal.founder_decisions TO sh_founder;
GRANT SELECT ON TABLE selfheal.gate_switches TO sh_proxy;
GRANT SELECT ON TABLE selfheal.gate_switches TO sh_admin;
GRANT SELECT ON TABLE selfheal.gate_switches TO sh_founder;
GRANT SELECT,INSERT,DELETE ON TABLE selfheal.self_healing_events TO sh_proxy;
GRANT SELECT ON TABLE selfheal.self_healing_events TO sh_admin;
GRANT SELECT ON TABLE selfheal.self_healing_events TO sh_founder;
GRANT SELECT ON TABLE selfheal.job_events TO sh_proxy;
GRANT SELECT ON TABLE selfheal.job_events TO sh_agent;
GRANT SELECT ON TABLE selfheal.job_events TO sh_viewer;
GRANT SELECT ON TABLE selfheal.job_events TO sh_admin;
GRANT SELECT ON TABLE selfheal.job_events TO sh_founder;
GRANT SELECT ON TABLE selfheal.job_steps TO sh_proxy;
GRANT SELECT ON TABLE selfheal.job_steps TO sh_agent;
GRANT SELECT ON TABLE selfheal.job_steps TO sh_viewer;
GRANT SELECT ON TABLE selfheal.job_steps TO sh_admin;
GRANT SELECT ON TABLE selfheal.job_steps TO sh_founder;
GRANT SELECT ON TABLE selfheal.jobs TO sh_proxy;
GRANT SELECT ON TABLE selfheal.jobs TO sh_agent;
GRANT SELECT ON TABLE selfheal.jobs TO sh_viewer;
GRANT SELECT ON TABLE selfheal.jobs TO sh_admin;
GRANT SELECT ON TABLE selfheal.jobs TO sh_founder;
GRANT SELECT,INSERT,UPDATE ON TABLE selfheal.observability_anomalies TO sh_proxy;
GRANT SELECT ON TABLE selfheal.observability_anomalies TO sh_admin;
GRANT SELECT ON TABLE selfheal.observability_anomalies TO sh_founder;
GRANT SELECT ON TABLE selfheal.observability_anomalies TO sh_agent;
GRANT SELECT ON TABLE selfheal.observability_anomalies TO sh_viewer;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE selfheal.observability_anomaly_holders TO sh_proxy;
GRANT SELECT,INSERT,DELETE ON TABLE selfheal.observability_baseline_deltas TO sh_proxy;
GRANT SELECT ON TABLE selfheal.observability_deploys TO sh_proxy;
GRANT SELECT ON TABLE selfheal.observability_deploys TO sh_agent;
GRANT SELECT ON TABLE selfheal.observability_deploys TO sh_viewer;
GRANT SELECT ON TABLE selfheal.observability_deploys TO sh_admin;
GRANT SELECT ON TABLE selfheal.observability_deploys TO sh_founder;
GRANT INSERT(service) ON TABLE selfheal.observability_deploys TO sh_proxy;
GRANT INSERT(service) ON TABLE selfheal.observability_deploys TO sh_agent;
GRANT INSERT(service) ON TABLE selfheal.observability_deploys TO sh_admin;
GRANT INSERT(service) ON TABLE selfheal.observability_deploys TO sh_founder;
GRANT INSERT(version) ON TABLE selfheal.observability_deploys TO sh_proxy;
GRANT INSERT(version) ON TABLE selfheal.observability_deploys TO sh_agent;
GRANT INSERT(version) ON TABLE selfheal.observability_deploys TO sh_admin;
GRANT INSERT(version) ON TABLE selfheal.observability_deploys TO sh_founder;
GRANT INSERT(announced_by) ON TABLE selfheal.observability_deploys TO sh_proxy;
GRANT INSERT(announced_by) ON TABLE selfheal.observability_deploys TO sh_agent;
GRANT INSERT(announced_by) ON TABLE selfheal.observability_deploys TO sh_admin;
GRANT INSERT(announced_by) ON TABLE selfheal.observability_deploys TO sh_founder;
GRANT SELECT,INSERT,DELETE ON TABLE selfheal.observability_health_snapshots TO sh_proxy;
GRANT SELECT ON TABLE selfheal.observability_health_snapshots TO sh_admin;
GRANT SELECT ON TABLE selfheal.observability_health_snapshots TO sh_founder;
GRANT SELECT ON TABLE selfheal.observability_health_snapshots TO sh_agent;
GRANT SELECT ON TABLE selfheal.observability_health_snapshots TO sh_viewer;
GRANT UPDATE(overall_score) ON TABLE selfheal.observability_health_snapshots TO sh_proxy;
GRANT UPDATE(latency_score) ON TABLE selfheal.observability_health_snapshots TO sh_proxy;
GRANT UPDATE(error_rate_score) ON TABLE selfheal.observability_health_snapshots TO sh_proxy;
GRANT UPDATE(availability_score) ON TABLE selfheal.observability_health_snapshots TO sh_proxy;
GRANT UPDATE(metrics) ON TABLE selfheal.observability_health_snapshots TO sh_proxy;
GRANT SELECT,INSERT ON TABLE selfheal.observability_logs TO sh_proxy;
GRANT SELECT ON TABLE selfheal.observability_logs TO sh_admin;
GRANT SELECT ON TABLE selfheal.observability_logs TO sh_founder;
GRANT SELECT(id) ON TABLE selfheal.observability_logs TO sh_agent;
GRANT SELECT(id) ON TABLE selfheal.observability_logs TO sh_viewer;
GRANT SELECT(created_at) ON TABLE selfheal.observability_logs TO sh_agent;
GRANT SELECT(created_at) ON TABLE selfheal.observability_logs TO sh_viewer;
GRANT SELECT(service) ON TABLE selfheal.observability_logs TO sh_agent;
GRANT SELECT(service) ON TABLE selfheal.observability_logs TO sh_viewer;
GRANT SELECT(route_path) ON TABLE selfheal.observability_logs TO sh_agent;
GRANT SELECT(route_path) ON TABLE selfheal.observability_logs TO sh_viewer;
GRANT SELECT(method) ON TABLE selfheal.observability_logs TO sh_agent;
GRANT SELECT(method) ON TABLE selfheal.observability_logs TO sh_viewer;
GRANT SELECT(status_code) ON TABLE selfheal.observability_logs TO sh_agent;
GRANT SELECT(status_code) ON TABLE selfheal.observability_logs TO sh_viewer;
GRANT SELECT(latency_ms) ON TABLE selfheal.observability_logs TO sh_agent;
GRANT SELECT(latency_ms) ON TABLE selfheal.observability_logs TO sh_viewer;
GRANT SELECT(outcome) ON TABLE selfheal.observability_logs TO sh_agent;
GRANT SELECT(outcome) ON TABLE selfheal.observability_logs TO sh_viewer;
GRANT SELECT(trace_id) ON TABLE selfheal.observability_logs TO sh_agent;
GRANT SELECT(trace_id) ON TABLE selfheal.observability_logs TO sh_viewer;
GRANT SELECT,INSERT,UPDATE ON TABLE selfheal.observability_route_baselines TO sh_proxy;
GRANT SELECT ON TABLE selfheal.observability_route_baselines TO sh_admin;
GRANT SELECT ON TABLE selfheal.observability_route_baselines TO sh_founder;
GRANT SELECT ON TABLE selfheal.observability_route_baselines TO sh_agent;
GRANT SELECT ON TABLE selfheal.observability_route_baselines TO sh_viewer;
GRANT SELECT ON TABLE selfheal.patch_steps TO sh_proxy;
GRANT SELECT ON TABLE selfheal.patch_steps TO sh_agent;
GRANT SELECT ON TABLE selfheal.patch_steps TO sh_viewer;
GRANT SELECT ON TABLE selfheal.patch_steps TO sh_admin;
GRANT SELECT ON TABLE selfheal.patch_steps TO sh_founder;
GRANT SELECT ON TABLE selfheal.patches TO sh_proxy;
GRANT SELECT ON TABLE selfheal.patches TO sh_agent;
GRANT SELECT ON TABLE selfheal.patches TO sh_viewer;
GRANT SELECT ON TABLE selfheal.patches TO sh_admin;
GRANT SELECT ON TABLE selfheal.patches TO sh_founder;
GRANT SELECT ON TABLE selfheal.profiles TO sh_proxy;
GRANT SELECT ON TABLE selfheal.profiles TO sh_admin;
GRANT SELECT ON TABLE selfheal.profiles TO sh_founder;
GRANT SELECT ON TABLE selfheal.self_healing_aliases TO sh_proxy;
GRANT SELECT,INSERT,DELETE ON TABLE selfheal.self_healing_aliases TO sh_admin;
GRANT SELECT,INSERT,DELETE ON TABLE selfheal.self_healing_aliases TO sh_founder;
GRANT SELECT,INSERT,DELETE ON TABLE selfheal.self_healing_links TO sh_proxy;
GRANT SELECT ON TABLE selfheal.self_healing_links TO sh_admin;
GRANT SELECT ON TABLE selfheal.self_healing_links TO sh_founder;
GRANT SELECT,INSERT ON TABLE selfheal.self_healing_releases TO sh_proxy;
GRANT SELECT ON TABLE selfheal.self_healing_splits TO sh_proxy;
GRANT SELECT ON TABLE selfheal.self_healing_splits TO sh_admin;
GRANT SELECT ON TABLE selfheal.self_healing_splits TO sh_founder;
