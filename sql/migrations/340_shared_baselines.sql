-- What each proxy of a service learned lately, for the others to add: every one of them then knows what all have seen.
-- Counts add up and fade alike everywhere (docs/detection.md), so the order in which they are heard does not matter.

select set_config('role', role_name('owner'), true);

create table observability_baseline_deltas (
  id bigint generated always as identity,
  shared_at timestamptz not null default now(),
  service text not null,
  holder text not null check (holder ~ '^[^/]{1,100}/[^/]{1,100}$'),
  method text not null,
  route_path text not null,
  minute bigint not null,
  counts jsonb not null,
  primary key (service, id),
  -- a proxy that does not know whether it was heard says the same again
  unique (holder, service, minute, method, route_path)
);
comment on table observability_baseline_deltas is 'sidecar/worker and what it learned of a route up to this minute of Unix time; kept for two hours.';
create index observability_baseline_deltas_age on observability_baseline_deltas (shared_at);

select as_roles($sql$
  grant select, insert, delete on observability_baseline_deltas to sh_proxy;
$sql$);

insert into schema_migrations (name) values ('340_shared_baselines');
