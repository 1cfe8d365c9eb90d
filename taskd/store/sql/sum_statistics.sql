-- What has happened in the last %(since)s seconds, as spans of %(length)s seconds have it: summed by one
-- column (name), in steps of %(step)s seconds (step; NULL: all together). Called by summarize and by
-- curve; index statistic_pkey.
WITH chosen AS MATERIALIZED (
    SELECT CASE %(by)s::text WHEN 'queue' THEN s.queue WHEN 'task' THEN s.task WHEN 'pool' THEN s.pool
                             ELSE '' END AS name,
           coalesce(date_bin(%(step)s * interval '1 second', s.at, 'epoch'), 'epoch') AS step, s.*
    FROM taskd.statistic s
    WHERE s.span = %(span)s
      AND s.at >= date_bin(%(length)s * interval '1 second',
                           now() - %(since)s * interval '1 second', 'epoch')
      AND (%(queue)s::text IS NULL OR s.queue = %(queue)s)
      AND (%(task)s::text IS NULL OR s.task = %(task)s)
), summed AS (
    SELECT s.name, s.step,
           sum(s.started)::bigint AS started, sum(s.succeeded)::bigint AS succeeded,
           sum(s.failed)::bigint AS failed, sum(s.cancelled)::bigint AS cancelled,
           sum(s.retried)::bigint AS retried, sum(s.lost)::bigint AS lost,
           sum(s.returned)::bigint AS returned, sum(s.run_seconds) AS run_seconds,
           sum(s.wait_seconds) AS wait_seconds, sum(s.ask_seconds) AS ask_seconds,
           sum(s.cpu_seconds) AS cpu_seconds, sum(s.memory_bytes)::bigint AS memory_bytes
    FROM chosen s
    GROUP BY s.name, s.step
), buckets AS (
    SELECT s.name, s.step, v.kind, v.value / 1000000000000 AS bucket,
           sum(v.value %% 1000000000000)::bigint AS n
    FROM chosen s
    CROSS JOIN LATERAL (
        SELECT 'runs' AS kind, unnest(s.runs) AS value
        UNION ALL SELECT 'waits', unnest(s.waits)
        UNION ALL SELECT 'asks', unnest(s.asks)) v
    GROUP BY 1, 2, 3, 4
), histograms AS (
    SELECT b.name, b.step,
           array_agg(b.bucket * 1000000000000 + b.n) FILTER (WHERE b.kind = 'runs') AS runs,
           array_agg(b.bucket * 1000000000000 + b.n) FILTER (WHERE b.kind = 'waits') AS waits,
           array_agg(b.bucket * 1000000000000 + b.n) FILTER (WHERE b.kind = 'asks') AS asks
    FROM buckets b
    GROUP BY b.name, b.step
)
SELECT s.*, h.runs, h.waits, h.asks,
       extract(epoch FROM now() - date_bin(%(length)s * interval '1 second',
                                           now() - %(since)s * interval '1 second', 'epoch'))::float8 AS seconds
FROM summed s LEFT JOIN histograms h ON h.name = s.name AND h.step = s.step
ORDER BY s.step, s.name
