-- Jobs, patches and approvals are numbered one after another. A sequence gives away 32 numbers ahead and forgets them when
-- the server is killed, and one for every row that is not kept: J-3, then J-36, reads as if jobs had been lost.

select set_config('role', role_name('owner'), true);

create function number_row() returns trigger
  language plpgsql security definer set search_path from current
  as $$
begin
  -- The lock that the row's own entry in the audit takes in the same statement. None of these rows is ever deleted.
  perform from audit_head for update;
  execute format('select coalesce(max(id), 0) + 1 from %I', tg_table_name) into new.id;
  return new;
end $$;
comment on function number_row is 'The next number, counted and not drawn: nobody else has it, and none is left out.';
revoke execute on function number_row() from public;

create trigger a_number before insert on self_healing_jobs for each row execute function number_row();
create trigger a_number before insert on self_healing_patches for each row execute function number_row();
create trigger a_number before insert on approval_requests for each row execute function number_row();

insert into schema_migrations (name) values ('348_numbers_without_gaps');
