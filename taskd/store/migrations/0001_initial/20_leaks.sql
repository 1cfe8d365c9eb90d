-- Which task leaks: what workers have held after how many jobs of each task, and what follows from it.

-- What the allocators of a worker had handed out when it had ended so many jobs of each task: means of some
-- readings. Written by the worker itself, ever more seldom the longer it lives; kept for a day.
--   live: bytes. tasks, counts: in one order; counts of the worker's whole life. readings: of how many.
CREATE TABLE taskd.memory_level (
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    pool         text        NOT NULL,
    worker       bigint      NOT NULL,
    live         bigint      NOT NULL,
    tasks        text[]      NOT NULL,
    counts       double precision[] NOT NULL,
    readings     integer     NOT NULL
);
CREATE INDEX memory_level_pool ON taskd.memory_level (pool, at);     -- store.leaks: levels_of

-- What a canary has seen so far: a worker that traces each allocation. A row a task, written anew.
--   jobs: how many of its jobs have ended there. bytes, low, high: what one of them leaves behind
--   (of a task that is not accused not the middle), and between what that is with 95 %.
--   line: where most of it was allocated; NULL: not known.
CREATE TABLE taskd.canary (
    pool         text        NOT NULL,
    worker       bigint      NOT NULL,
    task         text        NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    jobs         bigint      NOT NULL,
    bytes        double precision NOT NULL,
    low          double precision NOT NULL,
    high         double precision NOT NULL,
    line         text,
    PRIMARY KEY (pool, worker, task)
);

-- The tasks that leak, as maintenance has worked it out from both. Bytes are those of one job.
--   source: workers (a fit over all workers of the pool) or canary.
CREATE TABLE taskd.leak (
    pool         text        NOT NULL,
    task         text        NOT NULL,
    source       text        NOT NULL,
    bytes        double precision NOT NULL,
    low          double precision NOT NULL,
    high         double precision NOT NULL,
    jobs         bigint      NOT NULL,
    line         text,
    first_at     timestamptz NOT NULL DEFAULT now(),
    seen_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pool, task)
);

-- How many workers of a pool were replaced or killed on a day (UTC) because of what they held.
CREATE TABLE taskd.recycle (
    day          date        NOT NULL,
    pool         text        NOT NULL,
    workers      bigint      NOT NULL,
    PRIMARY KEY (day, pool)
);

-- The pools of this task on living hosts, and of each one host that is to start a canary there. The
-- request is taken by that host's maintenance.
CREATE FUNCTION taskd.ask_hunt_v1(p_task text) RETURNS TABLE (pool text, host text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY
    WITH served AS (
        SELECT DISTINCT ON (t.pool) t.pool, h.id, h.name
        FROM taskd.task t JOIN taskd.host h ON h.id = t.host AND h.ended_at IS NULL
        WHERE t.name = p_task
        ORDER BY t.pool, h.id
    ), asked AS (
        INSERT INTO taskd.request (kind, host, pool) SELECT 'hunt', s.id, s.pool FROM served s
    )
    SELECT s.pool, s.name FROM served s ORDER BY s.pool;
    PERFORM pg_notify('taskd', '"request"');
END $$;
