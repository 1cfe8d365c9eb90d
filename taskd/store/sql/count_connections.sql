-- How many connections the server has and may have, and how many of them are ours. Called by
-- count_connections. hidden: sessions of other roles whose transactions we may not see.
SELECT current_setting('max_connections')::integer
           - current_setting('superuser_reserved_connections')::integer
           - coalesce(current_setting('reserved_connections', true), '0')::integer AS room,
       count(*) FILTER (WHERE a.backend_type = 'client backend')::integer AS used,
       count(*) FILTER (WHERE a.datname = current_database()
                          AND a.application_name LIKE 'taskd%%')::integer AS ours,
       count(*) FILTER (WHERE a.backend_type IS NULL AND a.datname = current_database())::integer AS hidden
FROM pg_stat_activity a
