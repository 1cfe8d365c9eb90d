-- What running jobs say: their log lines, and how far they are.

-- How far a running job is: one small row for each that has said so, gone when its attempt ends. The
-- row of an attempt that was lost stays until the next attempt says something, or a day is over.
--   fence: of the attempt that says it; it counts while running has the same.
CREATE TABLE taskd.progress (
    job          bigint      PRIMARY KEY,
    fence        bigint      NOT NULL,
    fraction     double precision NOT NULL,
    message      text        NOT NULL,
    updated_at   timestamptz NOT NULL
) WITH (fillfactor = 50);                   -- updates stay on their page and touch no index

-- The log lines of jobs: append-only, a partition a UTC day, with a retention of its own.
--   seq: counts within an attempt, with gaps where lines were left out. Attempts are told apart by
--   their fence; several may have one number, for one that was given back does not count.
--   at: by the worker's clock; stored_at, by the server's, is what partitions go by.
--   level: Python's: 10 debug, 20 info, 30 warning, 40 error, 50 critical.
--   fraction: in place of a line, how far an attempt was at its end, text its last message.
CREATE TABLE taskd.job_log (
    job          bigint      NOT NULL,
    fence        bigint      NOT NULL,
    seq          integer     NOT NULL,
    attempt      smallint    NOT NULL,
    level        smallint    NOT NULL,
    at           timestamptz NOT NULL,
    stored_at    timestamptz NOT NULL DEFAULT now(),
    fraction     double precision,
    logger       text        NOT NULL,
    text         text        NOT NULL
) PARTITION BY RANGE (stored_at);
CREATE INDEX job_log_line ON taskd.job_log (job, fence, seq);     -- read_log, progress_v1

SELECT taskd.make_partitions_v1(7);

-- Store what attempts have said since the last call. Called by the reporter, and by process workers
-- while a job runs; always before the attempt's end is recorded, so that a log is whole when its
-- job's state is final.
--   attempt i: p_jobs[i], p_fences[i], p_attempts[i]
--   its progress: p_fractions[i], p_messages[i]; NULL: nothing new
--   p_ends[i]: NULL while it goes on; else it ends, and this is the seq for its last progress
--   line n: p_seqs[n], p_ats[n] (seconds since 1970), p_levels[n], … of attempt p_of[n]
--   p_again: an earlier call may have arrived or not, so lines that are stored already are skipped
-- Nothing is written for an attempt that is not the worker's any more: the fences of those come back.
-- One that has ended its job in a transaction of its own may still tell what it said before that.
CREATE FUNCTION taskd.write_journal_v1(
    p_worker bigint, p_jobs bigint[], p_fences bigint[], p_attempts smallint[],
    p_fractions double precision[], p_messages text[], p_ends integer[],
    p_of integer[], p_seqs integer[], p_ats double precision[], p_levels smallint[],
    p_loggers text[], p_texts text[], p_again boolean
) RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    stored integer[];       -- of each attempt, the last seq that is there already; NULL: not ours
BEGIN
    stored := ARRAY(
        SELECT CASE
                   WHEN NOT EXISTS (SELECT FROM taskd.running r
                                    WHERE r.id = a.job AND r.fence = a.fence AND r.worker + 0 = p_worker)
                    AND NOT EXISTS (SELECT FROM taskd.history h
                                    WHERE h.id = a.job AND h.fence = a.fence AND h.worker = p_worker)
                   THEN NULL
                   WHEN p_again
                   THEN (SELECT coalesce(max(l.seq), 0) FROM taskd.job_log l
                         WHERE l.job = a.job AND l.fence = a.fence
                           AND l.stored_at BETWEEN now() - interval '1 day' AND now())
                   ELSE 0
               END
        FROM unnest(p_jobs, p_fences) WITH ORDINALITY AS a (job, fence, i)
        ORDER BY a.i);

    INSERT INTO taskd.job_log (job, fence, seq, attempt, level, at, logger, text)
    SELECT p_jobs[n.of], p_fences[n.of], n.seq, p_attempts[n.of], n.level, to_timestamp(n.at),
           n.logger, n.text
    FROM unnest(p_of, p_seqs, p_ats, p_levels, p_loggers, p_texts)
         AS n (of, seq, at, level, logger, text)
    WHERE n.seq > stored[n.of];

    INSERT INTO taskd.progress AS p (job, fence, fraction, message, updated_at)
    SELECT a.job, a.fence, a.fraction, a.message, now()
    FROM unnest(p_jobs, p_fences, p_fractions, p_messages, p_ends, stored)
         AS a (job, fence, fraction, message, ends, stored)
    WHERE a.stored IS NOT NULL AND a.ends IS NULL AND a.fraction IS NOT NULL
    ON CONFLICT (job) DO UPDATE
    SET fence = excluded.fence, fraction = excluded.fraction, message = excluded.message,
        updated_at = excluded.updated_at
    WHERE p.fence <= excluded.fence;

    INSERT INTO taskd.job_log (job, fence, seq, attempt, level, at, fraction, logger, text)
    SELECT a.job, a.fence, a.ends, a.attempt, 20, now(), a.fraction, '', a.message
    FROM unnest(p_jobs, p_fences, p_attempts, p_fractions, p_messages, p_ends, stored)
         AS a (job, fence, attempt, fraction, message, ends, stored)
    WHERE a.ends > a.stored AND a.fraction IS NOT NULL;

    DELETE FROM taskd.progress p
    USING unnest(p_jobs, p_fences, p_fractions, p_ends, stored) AS a (job, fence, fraction, ends, stored)
    WHERE p.job = a.job AND p.fence <= a.fence
      AND a.stored IS NOT NULL AND a.ends IS NOT NULL AND a.fraction IS NOT NULL;

    RETURN (SELECT array_agg(a.fence) FROM unnest(p_fences, stored) AS a (fence, stored)
            WHERE a.stored IS NULL);
END $$;

-- How far these jobs are, or were when their last attempt that said anything ended or was lost. Of a
-- job that runs, only what its present attempt has said. Indexes progress_pkey and job_log_line.
CREATE FUNCTION taskd.progress_v1(p_jobs bigint[])
RETURNS TABLE (job bigint, fraction double precision, message text, updated_at timestamptz)
LANGUAGE sql STABLE
SET enable_seqscan = off SET jit = off AS $$
    SELECT u.job, coalesce(p.fraction, l.fraction), coalesce(p.message, l.text),
           coalesce(p.updated_at, l.at)
    FROM unnest(p_jobs) AS u (job)
    LEFT JOIN taskd.running r ON r.id = u.job
    LEFT JOIN taskd.progress p ON p.job = u.job AND (r.id IS NULL OR p.fence = r.fence)
    LEFT JOIN LATERAL (
        SELECT k.fraction, k.text, k.at
        FROM taskd.job_log k
        WHERE p.job IS NULL AND k.job = u.job AND (r.id IS NULL OR k.fence = r.fence)
          AND k.fraction IS NOT NULL
        ORDER BY k.fence DESC, k.seq DESC
        LIMIT 1) l ON true
    WHERE p.job IS NOT NULL OR l.fraction IS NOT NULL
$$;
