-- The shop's own login. The password comes as a setting of this connection, never inside this text.
do $$
begin
    execute format('create role shop login nosuperuser nobypassrls password %L',
                   current_setting('demo.password'));
end
$$;
