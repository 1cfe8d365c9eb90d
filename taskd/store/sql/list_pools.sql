-- The pools of all living workers, with their slots and what runs in them. Called by list_pools; indexes
-- worker_live and running_worker.
SELECT w.pool AS name, count(*) AS workers, sum(w.greenlets)::bigint AS slots,
       sum((SELECT count(*) FROM taskd.running r WHERE r.worker = w.id))::bigint AS running
FROM taskd.worker w
JOIN taskd.host h ON h.id = w.host
WHERE w.ended_at IS NULL AND h.ended_at IS NULL
  AND h.beat_at > clock_timestamp() - %(silent)s * interval '1 second'
GROUP BY w.pool
ORDER BY w.pool
