-- What another program keeps in schema public (its request log and anomalies, docs/database.md) is read as input.
-- Nothing there is changed but the right to read: rows, columns and policies of others stay as they are.

do $$
declare
  known text;
  reader text := role_name('proxy');
  theirs regclass;
begin
  foreach known in array array['observability_logs', 'observability_anomalies', 'observability_route_baselines'] loop
    theirs := to_regclass('public.' || known);
    continue when theirs is null or current_schema() = 'public';
    begin
      execute format('grant usage on schema public to %I', reader);
      execute format('grant select on %s to %I', theirs, reader);
      if (select relrowsecurity from pg_class where oid = theirs)
         and not exists (select from pg_policy where polrelid = theirs and polname = 'selfheal_reads') then
        execute format('create policy selfheal_reads on %s for select to %I using (true)', theirs, reader);
      end if;
    exception when insufficient_privilege then
      raise notice 'Self-Heal may not read %: let its owner run GRANT SELECT ON % TO %', theirs, theirs, reader;
    end;
  end loop;
end $$;

select set_config('role', role_name('owner'), true);
insert into schema_migrations (name) values ('318_adoption');
