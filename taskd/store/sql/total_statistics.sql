-- All that was ever counted, by queue, task and pool. Called by totals; index statistic_pkey.
SELECT s.queue, s.task, s.pool, s.started, s.succeeded, s.failed, s.cancelled, s.retried, s.lost,
       s.returned, s.run_seconds, s.wait_seconds, s.ask_seconds, s.cpu_seconds, s.memory_bytes, s.runs, s.waits, s.asks
FROM taskd.statistic s
WHERE s.span = 't'
ORDER BY s.queue, s.task, s.pool
