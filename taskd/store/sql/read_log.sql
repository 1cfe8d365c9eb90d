-- The lines of a job's log behind a place, first to last. Called by read_log; index job_log_line.
SELECT l.job, l.attempt, l.fence, l.seq, l.at, l.level, l.logger, l.text
FROM taskd.job_log l
WHERE l.job = %(job)s
  AND (l.fence, l.seq) > (%(fence)s, %(seq)s)
  AND l.fraction IS NULL
  AND l.level >= %(level)s
  AND (%(attempt)s::integer IS NULL OR l.attempt = %(attempt)s::integer)
ORDER BY l.fence, l.seq
LIMIT %(limit)s
