-- The tables of taskd, partitions too: rows by the statistics collector, sizes, and when they were
-- cleaned up. Called by list_tables.
SELECT s.relname::text AS name, s.n_live_tup AS live, s.n_dead_tup AS dead,
       pg_total_relation_size(s.relid) AS bytes,
       greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at,
       current_setting('autovacuum')::boolean
           AND coalesce(c.reloptions::text NOT LIKE '%%autovacuum_enabled=false%%', true) AS is_vacuumed
FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
WHERE s.schemaname = 'taskd'
ORDER BY s.n_dead_tup DESC, s.relname
