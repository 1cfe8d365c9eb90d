-- The attempts of a job that did not end it, first to last. Called by fetch_attempts; index attempt_job.
SELECT a.number,
       CASE a.outcome WHEN 'r' THEN 'retried' WHEN 't' THEN 'timed out' WHEN 'z' THEN 'snoozed'
                      WHEN 'i' THEN 'interrupted' WHEN 'g' THEN 'given back'
                      WHEN 'h' THEN 'timed out and killed' WHEN 'k' THEN 'killed'
                      ELSE 'lost' END AS outcome,
       a.started_at, a.ended_at,
       w.pool || '/' || w.slot || ' on ' || h.name || ', pid ' || w.pid AS worker,
       a.cpu::float8 AS cpu_seconds, a.memory AS memory_growth, a.error, a.traceback
FROM taskd.attempt a
LEFT JOIN taskd.worker w ON w.id = a.worker
LEFT JOIN taskd.host h ON h.id = w.host
WHERE a.job = %(job)s
ORDER BY a.ended_at, a.fence
