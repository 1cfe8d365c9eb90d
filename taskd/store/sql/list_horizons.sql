-- What keeps VACUUM from removing dead rows of this database, the oldest first. Called by list_horizons.
-- Of other roles' sessions we see that only as a member of pg_read_all_stats.
--   xids: how many transactions have begun since. seconds: since when it is open, if that is known.
WITH held AS (
    SELECT 'transaction' AS kind, a.pid, a.application_name AS name, a.state, a.xact_start AS since,
           greatest(age(a.backend_xmin), age(a.backend_xid)) AS xids
    FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.backend_type = 'client backend'
      AND a.pid <> pg_backend_pid() AND coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL
    UNION ALL
    SELECT 'prepared transaction', NULL, p.gid, NULL, p.prepared, age(p.transaction)
    FROM pg_prepared_xacts p WHERE p.database = current_database()
    UNION ALL
    SELECT 'replication slot', s.active_pid, s.slot_name, NULL, NULL, age(s.xmin)
    FROM pg_replication_slots s WHERE s.xmin IS NOT NULL
    UNION ALL
    SELECT 'standby', r.pid, r.application_name, r.state, NULL, age(r.backend_xmin)
    FROM pg_stat_replication r WHERE r.backend_xmin IS NOT NULL
)
SELECT h.kind, h.pid, h.name, h.state, h.xids,
       extract(epoch FROM clock_timestamp() - h.since)::float8 AS seconds
FROM held h
ORDER BY h.xids DESC, seconds DESC NULLS LAST
LIMIT 10
