-- What the processes of daemons have held, for curves.

-- One row a process and stretch of time. Bytes are resident memory without what is shared.
--   at: the end of the stretch, by the server's clock; seconds: how long it is: 10, later 60, at last
--   600, as thin_memory_v1 melts old rows together.
--   worker: the worker's id; NULL for the master, maintenance, seeds and forkservers.
--   jobs: how many the worker had ended by then, in its whole life.
--   bytes: the mean, with all processes below the worker; children: the part of those.
--   live: the mean of what the worker's allocators have handed out; 0 if it does not tell.
-- No row is written for a worker that holds what it held before; one a minute at least.
CREATE TABLE taskd.memory_reading (
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    seconds      smallint    NOT NULL DEFAULT 10,
    host         bigint      NOT NULL,
    worker       bigint,
    pid          integer     NOT NULL,
    role         text        NOT NULL,
    pool         text,
    slot         smallint,
    jobs         bigint      NOT NULL,
    bytes        bigint      NOT NULL,
    children     bigint      NOT NULL,
    low          bigint      NOT NULL,
    high         bigint      NOT NULL,
    live         bigint      NOT NULL
);
CREATE INDEX memory_reading_age ON taskd.memory_reading (seconds, at);     -- thin_memory_v1, curves
CREATE INDEX memory_reading_worker ON taskd.memory_reading (worker, at)    -- the curve of one worker
    WHERE worker IS NOT NULL;

-- Store what the processes of a host hold now: one of maintenance's statements, at most one in 10 s.
--   process i: p_workers[i], p_pids[i], … p_highs[i]
CREATE FUNCTION taskd.write_memory_v1(
    p_host bigint, p_workers bigint[], p_pids integer[], p_roles text[], p_pools text[],
    p_slots smallint[], p_jobs bigint[], p_bytes bigint[], p_children bigint[], p_lows bigint[],
    p_highs bigint[], p_lives bigint[]
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO taskd.memory_reading (
        host, worker, pid, role, pool, slot, jobs, bytes, children, low, high, live)
    SELECT p_host, r.*
    FROM unnest(p_workers, p_pids, p_roles, p_pools, p_slots, p_jobs, p_bytes, p_children, p_lows,
                p_highs, p_lives) r
$$;

-- Melt rows older than p_older seconds, of stretches of p_from seconds, into stretches of p_to. The
-- number melted. Called by prune, each hour. Two that do it at once: the second finds nothing to
-- delete, and so inserts nothing. Index memory_reading_age.
CREATE FUNCTION taskd.thin_memory_v1(p_from smallint, p_to smallint, p_older double precision)
RETURNS bigint LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    melted bigint;
BEGIN
    WITH old AS (
        DELETE FROM taskd.memory_reading m
        WHERE m.seconds = p_from
          -- Whole stretches only: what is older than the beginning of one that is still growing.
          AND m.at < date_bin(p_to * interval '1 second', now() - p_older * interval '1 second', 'epoch')
        RETURNING m.*
    ), added AS (
        INSERT INTO taskd.memory_reading (
            at, seconds, host, worker, pid, role, pool, slot, jobs, bytes, children, low, high,
            live)
        SELECT date_bin(p_to * interval '1 second', o.at, 'epoch') + p_to * interval '1 second', p_to,
               o.host, o.worker, o.pid, o.role, o.pool, o.slot, max(o.jobs), avg(o.bytes)::bigint,
               avg(o.children)::bigint, min(o.low), max(o.high), avg(o.live)::bigint
        FROM old o
        GROUP BY 1, o.host, o.worker, o.pid, o.role, o.pool, o.slot
    )
    SELECT count(*) INTO melted FROM old;
    RETURN melted;
END $$;
