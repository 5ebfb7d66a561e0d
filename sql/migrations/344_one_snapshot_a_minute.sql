-- However many sidecars are in front of one service: one health snapshot in each minute, the worst that any of them saw.

select set_config('role', role_name('owner'), true);

alter table observability_health_snapshots add column minute bigint,
  add constraint one_a_minute unique (service, minute);
comment on column observability_health_snapshots.minute is 'Of Unix time; null in what was written before there was one a minute.';

select as_roles($sql$
  grant update (overall_score, latency_score, error_rate_score, availability_score, metrics)
    on observability_health_snapshots to sh_proxy;
$sql$);

insert into schema_migrations (name) values ('344_one_snapshot_a_minute');
