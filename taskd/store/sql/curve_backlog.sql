-- The most that waited in each step of %(step)s seconds, by queue and state. Called by backlog_curve;
-- index backlog_pkey.
SELECT date_bin(%(step)s * interval '1 second', b.at, 'epoch') AS at, b.queue, b.state,
       max(b.jobs)::bigint AS jobs, bool_and(b.is_exact) AS is_exact, max(b.age) AS age
FROM taskd.backlog b
WHERE b.at >= date_trunc('minute', now() - %(since)s * interval '1 second')
  AND (%(queue)s::text IS NULL OR b.queue = %(queue)s)
GROUP BY 1, b.queue, b.state
ORDER BY 1, b.queue, b.state
