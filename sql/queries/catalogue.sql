-- name: lines
-- Everything that guards or shapes this schema, one line each, day partitions left out. Role names are shown
-- without the installation's prefix, so that two installations compare.
with here as (
  select current_schema()::regnamespace::oid as nsp, coalesce((select prefix from installation), '') as prefix
), relation as (
  select c.*, regexp_replace(c.reloptions::text, '[{}]', '', 'g') as options from pg_class c, here
  where c.relnamespace = nsp and c.relname !~ '^observability_logs_\d{8}'
), line as (
  select format('%s %s owner=%s rls=%s force=%s %s', relkind, relname, pg_get_userbyid(relowner),
    relrowsecurity, relforcerowsecurity, options) as text
  from relation where relkind in ('r', 'p', 'v', 'S')
  union all
  select format('column %s.%s %s notnull=%s default=%s identity=%s', c.relname, a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity)
  from relation c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where c.relkind in ('r', 'p', 'v')
  union all
  select format('constraint %s.%s %s', c.relname, k.conname, pg_get_constraintdef(k.oid))
  from relation c join pg_constraint k on k.conrelid = c.oid where k.contype <> 'n'
  union all
  select pg_get_indexdef(c.oid) from relation c where c.relkind in ('i', 'I')
  union all
  select format('view %s %s', c.relname, pg_get_viewdef(c.oid)) from relation c where c.relkind = 'v'
  union all
  select format('trigger %s %s enabled=%s', c.relname, pg_get_triggerdef(t.oid), t.tgenabled)
  from relation c join pg_trigger t on t.tgrelid = c.oid where not t.tgisinternal
  union all
  select format('function %s owner=%s %s', p.oid::regprocedure, pg_get_userbyid(p.proowner), pg_get_functiondef(p.oid))
  from pg_proc p, here where p.pronamespace = nsp
  union all
  select format('policy %s.%s cmd=%s permissive=%s to=%s using=%s check=%s', c.relname, p.polname, p.polcmd,
    p.polpermissive, (select string_agg(pg_get_userbyid(r), ',' order by pg_get_userbyid(r)) from unnest(p.polroles) r),
    pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  from relation c join pg_policy p on p.polrelid = c.oid
  union all
  select format('grant %s %s to %s', c.relname, g.privilege_type,
    case g.grantee when 0 then 'public' else pg_get_userbyid(g.grantee) end)
  from relation c, aclexplode(c.relacl) g where g.grantee <> c.relowner
  union all
  select format('grant %s.%s %s to %s', c.relname, a.attname, g.privilege_type,
    case g.grantee when 0 then 'public' else pg_get_userbyid(g.grantee) end)
  from relation c join pg_attribute a on a.attrelid = c.oid, aclexplode(a.attacl) g
  union all
  select format('grant %s %s to %s', p.oid::regprocedure, g.privilege_type,
    case g.grantee when 0 then 'public' else pg_get_userbyid(g.grantee) end)
  from pg_proc p, here, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g
  where p.pronamespace = nsp and g.grantee <> p.proowner
  union all
  select format('enum %s %s', t.typname, (select string_agg(e.enumlabel, ',' order by e.enumsortorder)
    from pg_enum e where e.enumtypid = t.oid))
  from pg_type t, here where t.typnamespace = nsp and t.typtype = 'e'
)
select regexp_replace(text, '\m' || prefix || 'sh_', 'sh_', 'g') as text from line, here order by 1
