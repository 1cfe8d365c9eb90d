-- The partitioned tables, their days, and the partitions that are taken off but not dropped yet.
-- Called by list_partitioned.
SELECT p.relname::text AS name, count(c.oid) FILTER (WHERE c.relispartition)::integer AS partitions,
       coalesce(max(to_date(right(c.relname, 8), 'YYYYMMDD')) FILTER (WHERE c.relispartition)
                - (now() AT TIME ZONE 'UTC')::date, -1) AS days_ahead,
       count(c.oid) FILTER (WHERE NOT c.relispartition)::integer AS detached,
       coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS bytes
FROM pg_class p
LEFT JOIN pg_class c ON c.relnamespace = p.relnamespace AND c.relkind = 'r'
                    AND c.relname ~ ('^' || p.relname || '_[0-9]{8}$')
WHERE p.relnamespace = 'taskd'::regnamespace AND p.relkind = 'p'
GROUP BY p.relname
ORDER BY p.relname
