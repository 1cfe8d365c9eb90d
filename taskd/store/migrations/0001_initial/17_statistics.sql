-- Statistics: what ended, how long it ran and waited, by minute, queue, task and pool; and how much waits.
--
-- No number here comes from counting a table of jobs:
--
--     completion, retry, rescue ─trigger─► tally ─roll_up─► statistic: by minute, …, day, ever
--
-- Each statement that ends attempts leaves a tally for each queue and task among them, in its own
-- transaction: it is there if and only if they have ended. Rolling up deletes tallies and adds them
-- to the statistics in one transaction, so each is counted once, whoever does it, whoever dies at it, and
-- however late a transaction commits: its tallies are found when they are there.

-- What one statement has ended, of one queue and task. Short-lived: rolled up within seconds.
--   outcome: as in history (s f c) or attempt (r t z i l g h k).
--   runs: how long each ran; waits: between ready and begun; asks: for its resources; in seconds, in one
--   order. A run is NULL if it never began.
--   cpu, memory: what they have used together, see taskd.history.
CREATE TABLE taskd.tally (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,      -- roll_up_v1
    at           timestamptz NOT NULL DEFAULT now(),
    worker       bigint,
    outcome      "char"      NOT NULL,
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    runs         real[]      NOT NULL,
    waits        real[]      NOT NULL,
    asks         real[],
    cpu          real,
    memory       bigint
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);

-- What ended in a minute, an hour, …, or ever: see spans_v1. Each span has all of it, so that a reader
-- takes that which gives him few rows, and to thin it out is to delete.
--   at: when the minute, hour, … begins. pool: '' for jobs that were cancelled before any worker had them.
--   started: attempts that began in this span, as far as they have ended.
--   succeeded, failed, cancelled: jobs. retried: attempts that failed, with another to come. lost: those
--   that ended with their worker. returned: those that do not count: snoozed, interrupted, given back.
--   runs: of attempts that succeeded, failed or were retried. waits, asks: of those that started: from
--   ready to begun, and until they had their resources. All three are histograms, see bucket_v1.
--   cpu_seconds, memory_bytes: what all attempts together used, see taskd.history.
CREATE TABLE taskd.statistic (
    span         "char"      NOT NULL,
    at           timestamptz NOT NULL,
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    pool         text COLLATE "C" NOT NULL,
    started      bigint      NOT NULL,
    succeeded    bigint      NOT NULL,
    failed       bigint      NOT NULL,
    cancelled    bigint      NOT NULL,
    retried      bigint      NOT NULL,
    lost         bigint      NOT NULL,
    returned     bigint      NOT NULL,
    run_seconds  double precision NOT NULL,
    wait_seconds double precision NOT NULL,
    ask_seconds  double precision NOT NULL,
    cpu_seconds  double precision NOT NULL,
    memory_bytes bigint      NOT NULL,
    runs         bigint[]    NOT NULL,
    waits        bigint[]    NOT NULL,
    asks         bigint[]    NOT NULL,
    PRIMARY KEY (span, at, queue, task, pool)
) WITH (fillfactor = 80);

-- How much waited in a queue and for how long (seconds) at a minute, later at the worst of an hour.
CREATE TABLE taskd.backlog (
    at           timestamptz NOT NULL,
    queue        text COLLATE "C" NOT NULL,
    state        text        NOT NULL,
    jobs         bigint      NOT NULL,
    is_exact     boolean     NOT NULL,
    age          double precision,
    PRIMARY KEY (at, queue, state)
);

-- The bucket of a duration: 0 up to 0.1 ms, then four to a factor of two, so n ends at
-- 0.0001 * 2^(n/4) seconds; 160 is 3.5 years and all beyond.
-- A histogram is an array with a number for each bucket that is not empty: 10^12 times the bucket plus
-- how many are in it. So to add two is to join them; merged_v1 then makes one number a bucket of it.
CREATE FUNCTION taskd.bucket_v1(p_seconds double precision) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_seconds <= 0.0001 THEN 0
                WHEN p_seconds > 0.0001
                THEN least(ceil(ln(p_seconds / 0.0001) * 5.770780163555854), 160)::bigint END
$$;

CREATE FUNCTION taskd.merged_v1(p_joined bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(b.bucket * 1000000000000 + b.jobs ORDER BY b.bucket), '{}')
    FROM (SELECT v / 1000000000000 AS bucket, sum(v % 1000000000000)::bigint AS jobs
          FROM unnest(p_joined) AS v GROUP BY 1) b
$$;

-- The spans of taskd.statistic and how long they are; ever is one of a thousand years.
CREATE FUNCTION taskd.spans_v1() RETURNS TABLE (span "char", length interval) LANGUAGE sql IMMUTABLE AS $$
    VALUES ('m'::"char", interval '1 minute'), ('x', interval '10 minutes'), ('h', interval '1 hour'),
           ('q', interval '4 hours'), ('d', interval '1 day'), ('t', interval '365250 days')
$$;

-- Called for each statement that puts jobs into history. Until when a job waited for its resources is
-- told only if it is plain when it began to: of first attempts that came after no other job.
CREATE FUNCTION taskd.tally_history_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskd.tally (worker, outcome, queue, task, cpu, memory, runs, waits, asks)
    SELECT e.worker, e.state, e.queue, e.task, sum(e.cpu), sum(e.memory)::bigint,
           array_agg(date_part('epoch', e.finished_at - e.started_at)::real),
           array_agg(date_part('epoch', e.started_at - coalesce(e.ready_at, e.created_at))::real),
           CASE WHEN bool_or(e.res IS NOT NULL) THEN
               array_agg(CASE WHEN e.res IS NOT NULL AND e.attempt <= 1
                                   AND (e.extra->'parents') IS NULL
                              THEN date_part('epoch', e.ready_at - greatest(e.created_at, e.run_at))::real
                         END) END
    FROM ended e
    GROUP BY e.worker, e.state, e.queue, e.task;
    RETURN NULL;
END $$;
CREATE TRIGGER tally AFTER INSERT ON taskd.history REFERENCING NEW TABLE AS ended
    FOR EACH STATEMENT EXECUTE FUNCTION taskd.tally_history_v1();

-- The same for attempts that did not end their job. One that was given back uncharged counts as never
-- begun, for it may have waited in its worker.
CREATE FUNCTION taskd.tally_attempts_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskd.tally (worker, outcome, queue, task, cpu, memory, runs, waits)
    SELECT e.worker, e.outcome, e.queue, e.task, sum(e.cpu), sum(e.memory)::bigint,
           array_agg(CASE WHEN e.outcome <> 'g' THEN date_part('epoch', e.ended_at - e.started_at)::real END),
           array_agg(CASE WHEN e.outcome <> 'g' THEN date_part('epoch', e.started_at - e.ready_at)::real END)
    FROM ended e
    GROUP BY e.worker, e.outcome, e.queue, e.task;
    RETURN NULL;
END $$;
CREATE TRIGGER tally AFTER INSERT ON taskd.attempt REFERENCING NEW TABLE AS ended
    FOR EACH STATEMENT EXECUTE FUNCTION taskd.tally_attempts_v1();

-- Add at most p_most tallies above id p_above to the statistics. taken: how many; -1: somebody else is
-- at it. last: the highest of them. p_above is a hint that spares reading what was deleted under a
-- long transaction; tallies of late committers lie behind it, and are found from 0.
CREATE FUNCTION taskd.roll_up_v1(p_above bigint, p_most integer, OUT taken integer, OUT last bigint)
LANGUAGE plpgsql SET jit = off AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock('taskd.tally'::regclass::oid::integer, 1) THEN
        taken := -1;
        RETURN;
    END IF;
    WITH gone AS MATERIALIZED (
        DELETE FROM taskd.tally WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM taskd.tally WHERE id > p_above ORDER BY id LIMIT p_most))
        RETURNING *
    ), tallies AS MATERIALIZED (        -- what is one for all attempts of a tally
        SELECT date_part('epoch', g.at) AS ended, taskd.queue_of_v1(g.queue) AS queue, g.task,
               coalesce(w.pool, '') AS pool, g.outcome, g.runs, g.waits, g.asks, g.cpu, g.memory
        FROM gone g LEFT JOIN taskd.worker w ON w.id = g.worker
    ), parts AS (               -- unnest in FROM would store the rows of each tally once more
        SELECT t.ended, t.queue, t.task, t.pool, t.outcome, c.*
        FROM tallies t CROSS JOIN LATERAL (
            SELECT floor((t.ended - a.run) / 60) AS began, taskd.bucket_v1(a.run) AS run,
                   taskd.bucket_v1(a.wait) AS wait, taskd.bucket_v1(a.ask) AS ask, count(*) AS n,
                   -- A worker's clock may differ a little from the server's.
                   sum(a.run) FILTER (WHERE a.run > 0) AS run_seconds,
                   sum(a.wait) FILTER (WHERE a.wait > 0) AS wait_seconds,
                   sum(a.ask) FILTER (WHERE a.ask > 0) AS ask_seconds,
                   -- Those that succeeded within a millisecond have no CPU time of their own.
                   sum(a.run) FILTER (WHERE a.run > 0 AND a.run < 0.001 AND t.outcome = 's')
                       AS cpu_seconds
            FROM (SELECT unnest(t.runs)::double precision AS run,
                         unnest(t.waits)::double precision AS wait,
                         unnest(t.asks)::double precision AS ask) a
            GROUP BY 1, 2, 3, 4) c
    ), cells AS MATERIALIZED (
        SELECT floor(c.ended / 60) AS ended, c.began, c.queue, c.task, c.pool, c.outcome, c.run,
               c.wait, c.ask, sum(c.n)::bigint AS n, sum(c.run_seconds) AS run_seconds,
               sum(c.wait_seconds) AS wait_seconds, sum(c.ask_seconds) AS ask_seconds,
               sum(c.cpu_seconds) AS cpu_seconds
        FROM parts c
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
    ), marks AS (               -- one way to end, or > begun, with the buckets that count for it
        SELECT c.ended AS minute, c.queue, c.task, c.pool, c.outcome, c.n, c.run, NULL::bigint AS wait,
               NULL::bigint AS ask, c.run_seconds, 0 AS wait_seconds, 0 AS ask_seconds,
               c.cpu_seconds, NULL::bigint AS memory_bytes
        FROM cells c
        UNION ALL
        SELECT c.began, c.queue, c.task, c.pool, '>', c.n, NULL, c.wait, c.ask, 0, c.wait_seconds,
               c.ask_seconds, NULL, NULL
        FROM cells c
        WHERE c.began IS NOT NULL
        UNION ALL
        SELECT floor(t.ended / 60), t.queue, t.task, t.pool, NULL, 0, NULL, NULL, NULL, 0, 0, 0,
               sum(t.cpu::double precision), sum(t.memory)::bigint
        FROM tallies t
        GROUP BY 1, 2, 3, 4
    ), sums AS (
        SELECT s.span, date_bin(s.length, to_timestamp(60 * m.minute), 'epoch') AS at,
               m.queue, m.task, m.pool,
               sum(m.n) FILTER (WHERE m.outcome = '>') AS started,
               sum(m.n) FILTER (WHERE m.outcome = 's') AS succeeded,
               sum(m.n) FILTER (WHERE m.outcome = 'f') AS failed,
               sum(m.n) FILTER (WHERE m.outcome = 'c') AS cancelled,
               sum(m.n) FILTER (WHERE m.outcome IN ('r', 't')) AS retried,
               sum(m.n) FILTER (WHERE m.outcome IN ('l', 'h', 'k')) AS lost,
               sum(m.n) FILTER (WHERE m.outcome IN ('z', 'i', 'g')) AS returned,
               sum(m.run_seconds) FILTER (WHERE m.outcome IN ('s', 'f', 'r', 't')) AS run_seconds,
               sum(m.wait_seconds) AS wait_seconds, sum(m.ask_seconds) AS ask_seconds,
               sum(m.cpu_seconds) AS cpu_seconds, sum(m.memory_bytes)::bigint AS memory_bytes,
               array_agg(m.run * 1000000000000 + m.n)
                   FILTER (WHERE m.outcome IN ('s', 'f', 'r', 't') AND m.run IS NOT NULL) AS runs,
               array_agg(m.wait * 1000000000000 + m.n) FILTER (WHERE m.wait IS NOT NULL) AS waits,
               array_agg(m.ask * 1000000000000 + m.n) FILTER (WHERE m.ask IS NOT NULL) AS asks
        FROM marks m CROSS JOIN taskd.spans_v1() s
        GROUP BY 1, 2, 3, 4, 5
    ), added AS (
        INSERT INTO taskd.statistic AS s
        SELECT m.span, m.at, m.queue, m.task, m.pool, coalesce(m.started, 0), coalesce(m.succeeded, 0),
               coalesce(m.failed, 0), coalesce(m.cancelled, 0), coalesce(m.retried, 0),
               coalesce(m.lost, 0), coalesce(m.returned, 0), coalesce(m.run_seconds, 0),
               coalesce(m.wait_seconds, 0), coalesce(m.ask_seconds, 0), coalesce(m.cpu_seconds, 0),
               coalesce(m.memory_bytes, 0), taskd.merged_v1(m.runs),
               taskd.merged_v1(m.waits), taskd.merged_v1(m.asks)
        FROM sums m
        ON CONFLICT (span, at, queue, task, pool) DO UPDATE SET
            started = s.started + excluded.started,
            succeeded = s.succeeded + excluded.succeeded,
            failed = s.failed + excluded.failed,
            cancelled = s.cancelled + excluded.cancelled,
            retried = s.retried + excluded.retried,
            lost = s.lost + excluded.lost,
            returned = s.returned + excluded.returned,
            run_seconds = s.run_seconds + excluded.run_seconds,
            wait_seconds = s.wait_seconds + excluded.wait_seconds,
            ask_seconds = s.ask_seconds + excluded.ask_seconds,
            cpu_seconds = s.cpu_seconds + excluded.cpu_seconds,
            memory_bytes = s.memory_bytes + excluded.memory_bytes,
            runs = taskd.merged_v1(s.runs || excluded.runs),
            waits = taskd.merged_v1(s.waits || excluded.waits),
            asks = taskd.merged_v1(s.asks || excluded.asks)
    )
    SELECT count(*), max(g.id) INTO taken, last FROM gone g;
END $$;

-- Forget minutes and tens of minutes that are older than p_minutes seconds, longer spans older than
-- p_hours, and totals of what no day names any more; of the backlog keep the worst of each hour. How many rows of
-- statistics have gone; -1: somebody else is at them.
CREATE FUNCTION taskd.thin_statistics_v1(p_minutes double precision, p_hours double precision)
RETURNS integer LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    before timestamptz := date_trunc('hour', now() - p_minutes * interval '1 second', 'UTC');
    since timestamptz := now() - p_hours * interval '1 second';
    gone integer;
    n integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock('taskd.tally'::regclass::oid::integer, 1) THEN
        RETURN -1;
    END IF;
    DELETE FROM taskd.statistic s WHERE s.span IN ('m', 'x') AND s.at < before;
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM taskd.statistic s WHERE s.span IN ('h', 'q', 'd') AND s.at < since;
    GET DIAGNOSTICS n = ROW_COUNT;
    gone := gone + n;
    IF n > 0 THEN
        DELETE FROM taskd.statistic t
        WHERE t.span = 't' AND NOT EXISTS (
            SELECT FROM taskd.statistic s
            WHERE s.span = 'd' AND s.queue = t.queue AND s.task = t.task AND s.pool = t.pool);
        GET DIAGNOSTICS n = ROW_COUNT;
        gone := gone + n;
    END IF;
    WITH taken AS (
        DELETE FROM taskd.backlog b
        WHERE b.at < before AND b.at <> date_trunc('hour', b.at, 'UTC')
        RETURNING *
    )
    INSERT INTO taskd.backlog AS b
    SELECT date_trunc('hour', t.at, 'UTC'), t.queue, t.state, max(t.jobs), bool_and(t.is_exact), max(t.age)
    FROM taken t
    GROUP BY 1, 2, 3
    ON CONFLICT (at, queue, state) DO UPDATE SET
        jobs = greatest(b.jobs, excluded.jobs),
        is_exact = b.is_exact AND excluded.is_exact,
        age = greatest(b.age, excluded.age);
    DELETE FROM taskd.backlog b WHERE b.at < since;
    RETURN gone;
END $$;

-- How many jobs wait or run, by part of a queue and state, and since when the first does. Bounded,
-- whatever waits: a table of at most p_pages pages is read; of a larger one about so many pages are
-- drawn at random, and the count is an estimate (is_exact false). But each lane of queued is first
-- counted through its index, to p_most by all lanes together, so small queues are exact beside large ones.
--   oldest: of queued since when the first of each lane waits, of scheduled the first run_at, of blocked
--   when it was enqueued (of those that were read), of running the first claim.
CREATE FUNCTION taskd.backlog_v1(p_most integer DEFAULT 20000, p_pages integer DEFAULT 1000)
RETURNS TABLE (part text, state text, jobs bigint, is_exact boolean, oldest timestamptz)
LANGUAGE plpgsql STABLE SET jit = off SET enable_bitmapscan = off AS $$
DECLARE
    page double precision := current_setting('block_size')::integer;
    drawn double precision;         -- the part of the pages that is read, in per cent
    most integer;
BEGIN
    drawn := 100 * p_pages / greatest(pg_relation_size('taskd.queued') / page, 1);
    IF drawn >= 100 THEN
        RETURN QUERY
        SELECT q.queue::text, 'queued', count(*), true, min(coalesce(q.ready_at, q.created_at))
        FROM taskd.queued q GROUP BY q.queue;
    ELSE
        SELECT p_most / greatest(count(*), 1) INTO most FROM taskd.all_lanes_v1();
        most := greatest(most, 100);
        RETURN QUERY
        WITH counted AS MATERIALIZED (
            SELECT l.queue, l.lane,
                   (SELECT coalesce(q.ready_at, q.created_at) FROM taskd.queued q
                    WHERE q.queue = l.queue COLLATE "C" AND q.lane = l.lane AND q.seq = l.seq) AS oldest,
                   (SELECT count(*) FROM (
                        SELECT FROM taskd.queued q
                        WHERE q.queue = l.queue COLLATE "C" AND q.lane = l.lane
                        LIMIT most + 1) few) AS n
            FROM taskd.all_lanes_v1() l
        ), sample AS MATERIALIZED (
            SELECT q.queue, q.lane, count(*) AS n
            FROM taskd.queued q TABLESAMPLE SYSTEM (drawn)
            WHERE EXISTS (SELECT FROM counted c WHERE c.n > most)
            GROUP BY q.queue, q.lane
        )
        SELECT c.queue, 'queued',
               sum(CASE WHEN c.n <= most THEN c.n
                        ELSE greatest(c.n, (s.n * 100 / drawn)::bigint) END)::bigint,
               bool_and(c.n <= most), min(c.oldest)
        FROM counted c LEFT JOIN sample s ON s.queue = c.queue COLLATE "C" AND s.lane = c.lane
        GROUP BY c.queue;
    END IF;

    drawn := least(100 * p_pages / greatest(pg_relation_size('taskd.scheduled') / page, 1), 100);
    RETURN QUERY
    SELECT s.queue::text, 'scheduled', (count(*) * 100 / drawn)::bigint, drawn = 100, min(s.run_at)
    FROM taskd.scheduled s TABLESAMPLE SYSTEM (drawn) GROUP BY s.queue;

    drawn := least(100 * p_pages / greatest(pg_relation_size('taskd.blocked') / page, 1), 100);
    RETURN QUERY
    SELECT b.queue::text, 'blocked', (count(*) * 100 / drawn)::bigint, drawn = 100, min(b.created_at)
    FROM taskd.blocked b TABLESAMPLE SYSTEM (drawn) GROUP BY b.queue;

    RETURN QUERY
    SELECT r.queue::text, 'running', count(*), true, min(r.claimed_at)
    FROM taskd.running r GROUP BY r.queue;
END $$;

-- Note the backlog of this minute, once whoever asks; whether it was us.
CREATE FUNCTION taskd.note_backlog_v1() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock('taskd.tally'::regclass::oid::integer, 2) THEN
        RETURN false;
    END IF;
    -- A statement of its own: it sees what the last one to hold the lock has committed.
    IF EXISTS (SELECT FROM taskd.backlog b WHERE b.at = date_trunc('minute', now())) THEN
        RETURN false;
    END IF;
    INSERT INTO taskd.backlog (at, queue, state, jobs, is_exact, age)
    SELECT date_trunc('minute', now()), taskd.queue_of_v1(b.part), b.state, sum(b.jobs),
           bool_and(b.is_exact), greatest(date_part('epoch', clock_timestamp() - min(b.oldest)), 0)
    FROM taskd.backlog_v1() b
    GROUP BY 2, 3;
    RETURN true;
END $$;
