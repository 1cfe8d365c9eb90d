-- The tables of taskd. A job is one row that moves between tables and is never updated:
--
--             enqueue ─┬────────────► queued ──claim──► running ──complete──► history
--                      ├─► scheduled ──promote──┘ ▲         │
--                      └─► blocked ───grant───────┘ └─retry─┴─► scheduled
--
-- Inserts and deletes only: no dead versions of live rows, no HOT chains, one short index to claim by.

CREATE SCHEMA taskd;

-- A queue, where jobs that require a version of the code have parts of their own: what requires v2
-- waits in sync@v2, and only workers look there whose code offers v2. Planners inline these.
CREATE FUNCTION taskd.queue_of_v1(p_part text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT split_part(p_part, '@', 1)
$$;
CREATE FUNCTION taskd.version_of_v1(p_part text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT nullif(split_part(p_part, '@', 2), '')
$$;

-- Whether a part is one of a queue's; a range of an index on parts. No name of a queue holds an @.
CREATE FUNCTION taskd.is_part_v1(p_part text, p_queue text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_part = p_queue OR (p_part > p_queue || '@' AND p_part < p_queue || 'A')
$$;

-- Where a job of a part waits once it is moved to another queue.
CREATE FUNCTION taskd.moved_part_v1(p_part text, p_queue text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT p_queue || coalesce(substring(p_part, '@.*'), '')
$$;

-- In which lane a job waits that would wait in p_lane: in quarantine if two workers were lost under it,
-- or it took one down itself. There it is alone in its worker, so that the next death is nobody
-- else's. One that ends an attempt there is cleared of its losses, not of its crashes. One with a place
-- in lines, which holds what it asked for, waits in the lane of its priority's holders.
CREATE FUNCTION taskd.lane_v1(p_lane integer, p_losses smallint, p_crashes smallint, p_place bigint)
RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_losses >= 2 OR p_crashes >= 1 THEN 11
                WHEN p_place IS NOT NULL AND p_lane < 10 THEN p_lane + 20
                ELSE p_lane END::smallint
$$;

-- By what a lane goes before others: the priority of its jobs, 10 and 11 for those lanes.
CREATE FUNCTION taskd.lane_priority_v1(p_lane integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
    SELECT p_lane % 20
$$;

-- id of a job, and its place in line: one sequence serves both, because a job enters its line when
-- it is born. A job that enters a line again (retry, rescue, promote) takes a fresh value as its seq.
CREATE SEQUENCE taskd.job_seq;

-- One value for each claim. Whoever ends an attempt must show the fence of its claim.
CREATE SEQUENCE taskd.fence_seq;

-- What waits to be claimed now.
--   queue: the part of a queue, in every table; see queue_of_v1.
--   lane: 0-9 the job's priority, higher first; 10 was given back and goes before all others; 11 runs
--   alone in a worker; 20-29 its priority and 20, holds what it asked for: claimed in turn with the lane
--   of that priority, so that nobody who has waited for a resource waits behind all that was enqueued
--   meanwhile. See lane_v1.
--   ready_at: when it entered this table, if that was not at created_at.
--   losses: workers lost under it with nobody to blame; crashes: workers it took down itself.
--   extra: what few jobs have, NULL for all others; see the list at the end of this file.
--   res, need: the resources that it asks for; place: its place in their lines once it has joined
--   them, which it keeps as long as it holds or wants them. NULL for a job that needs none.
CREATE TABLE taskd.queued (
    seq          bigint      NOT NULL,
    id           bigint      NOT NULL,
    created_at   timestamptz NOT NULL,
    run_at       timestamptz,
    ready_at     timestamptz,
    timeout      real,
    lane         smallint    NOT NULL,
    priority     smallint    NOT NULL,
    attempt      smallint    NOT NULL,
    max_attempts smallint    NOT NULL,
    losses       smallint    NOT NULL DEFAULT 0,
    crashes      smallint    NOT NULL DEFAULT 0,
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    args         text        NOT NULL,
    kwargs       text,
    extra        jsonb,
    res          text[] COLLATE "C",
    need         integer[],
    place        bigint,
    PRIMARY KEY (queue, lane, seq)          -- the claim order; claim_jobs_v1, waiting_lanes_v1
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1000000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX queued_id ON taskd.queued (id);      -- show and cancel by id

-- What waits for its time: a delay, a run_at, or the pause before a retry.
CREATE TABLE taskd.scheduled (
    run_at       timestamptz NOT NULL,
    id           bigint      NOT NULL,
    created_at   timestamptz NOT NULL,
    timeout      real,
    priority     smallint    NOT NULL,
    attempt      smallint    NOT NULL,
    max_attempts smallint    NOT NULL,
    losses       smallint    NOT NULL DEFAULT 0,
    crashes      smallint    NOT NULL DEFAULT 0,
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    args         text        NOT NULL,
    kwargs       text,
    extra        jsonb,
    res          text[] COLLATE "C",
    need         integer[],
    place        bigint,
    PRIMARY KEY (run_at, id)                -- promote_jobs_v1
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX scheduled_id ON taskd.scheduled (id);

-- What waits for other jobs or for resources. The dispatcher alone changes and deletes rows here.
--   stage: p waits for parents, i is about to join its lines, l stands in them.
--   pending: how many parents (p), or how many of its resources (l) it still waits for.
--   run_if_failed: run also if a parent did not succeed; otherwise it is cancelled then.
--   level, turn: in which lines it stands, and where if that is not 0; see 11_lines.sql.
CREATE TABLE taskd.blocked (
    id           bigint      PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    run_at       timestamptz,
    stage        "char"      NOT NULL,
    pending      integer     NOT NULL,
    run_if_failed boolean    NOT NULL DEFAULT false,
    timeout      real,
    priority     smallint    NOT NULL,
    attempt      smallint    NOT NULL,
    max_attempts smallint    NOT NULL,
    losses       smallint    NOT NULL DEFAULT 0,
    crashes      smallint    NOT NULL DEFAULT 0,
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    args         text        NOT NULL,
    kwargs       text,
    extra        jsonb,
    res          text[] COLLATE "C",
    need         integer[],
    place        bigint,
    level        smallint    NOT NULL DEFAULT 0,
    turn         bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

-- What a worker has claimed. fence is new with each claim.
CREATE TABLE taskd.running (
    id           bigint      PRIMARY KEY,
    fence        bigint      NOT NULL,
    worker       bigint      NOT NULL,
    claimed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),  -- of a hand-off, now() is from before its wait
    created_at   timestamptz NOT NULL,
    run_at       timestamptz,
    ready_at     timestamptz,
    timeout      real,
    priority     smallint    NOT NULL,
    attempt      smallint    NOT NULL,
    max_attempts smallint    NOT NULL,
    losses       smallint    NOT NULL,
    crashes      smallint    NOT NULL,
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    args         text        NOT NULL,
    kwargs       text,
    extra        jsonb,
    res          text[] COLLATE "C",
    need         integer[],
    place        bigint
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX running_worker ON taskd.running (worker);      -- rescue_workers_v1

-- What an error has in common with others of its kind: its first line, in which quoted values are
-- '…', and numbers, UUIDs and hexadecimal ids are #. The name of the exception stays as it is. What a
-- worker last held is left out, for its unit would tell one cause from another, and not all have it.
--
--   KeyError: 'user-17'                             KeyError: '…'
--   shop.Refused: order 4711 at 12:30 (0x7f3a)      shop.Refused: order # at # (#)
--
-- Called by failures_v1, and for each job that fails.
CREATE FUNCTION taskd.cause_of_v1(p_error text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    line text := left(split_part(coalesce(p_error, ''), E'\n', 1), 500);
    kind text := coalesce(substring(line FROM '^[[:alpha:]_][[:alnum:]_.]*(?=: |$)'), '');
    rest text := substr(line, length(kind) + 1);
BEGIN
    rest := regexp_replace(
        rest, $r$"[^"]*"|`[^`]*`|(?<![[:alnum:]])'[^']*'(?![[:alnum:]])$r$, '''…''', 'g');
    rest := regexp_replace(
        rest, $r$\m[[:xdigit:]]{8}(-[[:xdigit:]]{4}){3}-[[:xdigit:]]{12}\M$r$, '#', 'g');
    rest := regexp_replace(
        rest, $r$\m(0[xX]|(?=[[:xdigit:]]*[0-9])[[:xdigit:]]{7})[[:xdigit:]]+\M$r$, '#', 'g');
    rest := regexp_replace(rest, '; it last held [0-9.]+ [kMGT]?B\M', '', 'g');
    RETURN kind || regexp_replace(rest, '[0-9]+([.,:][0-9]+)*', '#', 'g');
END $$;

-- What failed jobs of one task and one cause share: a hash that PostgreSQL has also partitioned by since
-- version 11, so that it stays as it is. Called by error_hash_v1, and by filters on the cause.
CREATE FUNCTION taskd.cause_hash_v1(p_task text, p_cause text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashtextextended((p_task || E'\n' || p_cause) COLLATE "C", 0)
$$;

-- The same of an error. What a column is generated by is planned anew with each statement that inserts,
-- and to put the text of a function in the place of its call took 20 us of that; this is none of SQL.
CREATE FUNCTION taskd.error_hash_v1(p_task text, p_error text) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN taskd.cause_hash_v1(p_task, taskd.cause_of_v1(p_error));
END $$;

-- What has ended, for good: append-only, a partition a UTC day, dropped by retention. Only a requeue
-- writes into such a row, which job it is once more: so the mark lives as long as what it is said of.
--   state: s succeeded, f failed, c cancelled.
--   cpu: the processor's time that the last attempt took, in seconds; memory: by how many bytes it left
--   its process larger, in process pools. NULL: not known, as of what ended with its worker; of one that
--   succeeded within a millisecond, cpu is the time it took.
--   requeued_as: the job that it was last requeued as.
--   cause_hash: of a failed job, what it shares with others of its task and cause. Folding an error
--   takes 30 us: for 100,000 of them at each look, seconds.
CREATE TABLE taskd.history (
    id           bigint      NOT NULL,
    fence        bigint,
    worker       bigint,
    created_at   timestamptz NOT NULL,
    run_at       timestamptz,
    ready_at     timestamptz,
    started_at   timestamptz,
    finished_at  timestamptz NOT NULL DEFAULT now(),
    timeout      real,
    priority     smallint    NOT NULL,
    attempt      smallint    NOT NULL,
    max_attempts smallint    NOT NULL,
    losses       smallint    NOT NULL DEFAULT 0,
    crashes      smallint    NOT NULL DEFAULT 0,
    state        "char"      NOT NULL,
    has_result   boolean     NOT NULL DEFAULT false,    -- in taskd.result, as long as that is kept
    cpu          real,
    memory       bigint,
    requeued_as  bigint,
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    args         text        NOT NULL,
    kwargs       text,
    extra        jsonb,
    res          text[] COLLATE "C",
    need         integer[],
    error        text,
    traceback    text,
    cause_hash   bigint GENERATED ALWAYS AS (
        CASE WHEN state = 'f' THEN taskd.error_hash_v1(task, error) END) STORED
) PARTITION BY RANGE (finished_at);
CREATE INDEX history_id ON taskd.history (id);
CREATE INDEX history_failed ON taskd.history (id) INCLUDE (finished_at, requeued_as, cause_hash)
    WHERE state = 'f';
CREATE INDEX history_cancelled ON taskd.history (id) WHERE state = 'c';

-- Every attempt that ended without ending its job: append-only, a partition a UTC day.
--   outcome: r retried after an error, t timed out and retried, z snoozed, i interrupted; and from a
--   rescue: l lost with its worker, g given back uncharged, and of the one that its worker was killed
--   for: h it was over its timeout and did not end, k it let no other job run.
CREATE TABLE taskd.attempt (
    job          bigint      NOT NULL,
    fence        bigint      NOT NULL,
    worker       bigint      NOT NULL,
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz NOT NULL DEFAULT now(),
    number       smallint    NOT NULL,
    outcome      "char"      NOT NULL,
    cpu          real,                          -- as in history
    memory       bigint,
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    ready_at     timestamptz NOT NULL,          -- since when it had waited for a worker
    error        text,
    traceback    text
) PARTITION BY RANGE (ended_at);
CREATE INDEX attempt_job ON taskd.attempt (job);

-- What succeeded jobs returned, JSON: append-only, a partition a UTC day, with a retention of its own.
CREATE TABLE taskd.result (
    job          bigint      NOT NULL,
    stored_at    timestamptz NOT NULL DEFAULT now(),
    value        text        NOT NULL
) PARTITION BY RANGE (stored_at);
CREATE INDEX result_job ON taskd.result (job);

-- What is known of a queue beside its jobs. A queue without a row is an ordinary one.
CREATE TABLE taskd.queue (
    name         text COLLATE "C" PRIMARY KEY,
    paused       boolean     NOT NULL DEFAULT false,
    description  text        NOT NULL DEFAULT ''
);

-- One row for each life of a master. beat counts up while it lives; only its own observer's clock
-- says how long it has stood still. idle: some worker of it waits for work, so enqueue notifies.
CREATE TABLE taskd.host (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    incarnation  uuid        NOT NULL,
    name         text        NOT NULL,
    pid          integer     NOT NULL,
    version      text        NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    beat         bigint      NOT NULL DEFAULT 0,
    beat_at      timestamptz NOT NULL DEFAULT now(),
    idle         boolean     NOT NULL DEFAULT false,
    processes    text        NOT NULL DEFAULT '[]',     -- JSON: what `taskd workers` shows
    reported_at  timestamptz
) WITH (fillfactor = 50);
CREATE INDEX host_incarnation ON taskd.host (incarnation);

-- One row for each life of a worker process; kept after its end so that history can name it.
-- recoveries: how often it has recovered claims whose answers it did not get, see recover_claims_v1.
-- end_reason: why it was replaced, or how it died, as the master tells.
CREATE TABLE taskd.worker (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    host         bigint      NOT NULL,
    pid          integer     NOT NULL,
    slot         smallint    NOT NULL,
    generation   integer     NOT NULL,
    pool         text        NOT NULL,
    offers       text[] COLLATE "C" NOT NULL DEFAULT '{}',  -- versions of the code that jobs may require of it
    queues       text[] COLLATE "C" NOT NULL DEFAULT '{}',  -- those it claims from; none: all
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    recoveries   integer     NOT NULL DEFAULT 0,
    end_reason   text,
    greenlets    integer     NOT NULL DEFAULT 1             -- how many jobs it runs at once
) WITH (fillfactor = 50);
CREATE INDEX worker_live ON taskd.worker (host) WHERE ended_at IS NULL;

-- What the running versions of the users' code offer, as the forkservers found it.
CREATE TABLE taskd.task (
    name         text COLLATE "C" NOT NULL,
    host         bigint      NOT NULL,
    pool         text        NOT NULL,
    description  text        NOT NULL,          -- JSON: signature, docstring, options
    published_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host, pool, name)
);

-- Orders to running jobs and hosts; taken by the host that they concern.
--   kind: cancel (job), report (host: write your processes anew), hunt (host: start a canary in a pool),
--   drain or stop (worker: finish your jobs, or give them back, and end, see 22_drain.sql), stacks or heap (worker: a question,
--   see 21_questions.sql; seconds is how long it may take).
--   taken_at: when the worker heard of it. A cancel stays until its job has ended, so that it is
--   obeyed also if the worker dies, or the attempt ends otherwise, before it could be.
CREATE TABLE taskd.request (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind         text        NOT NULL,
    job          bigint,
    worker       bigint,
    host         bigint,
    pool         text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    taken_at     timestamptz,
    seconds      real
) WITH (fillfactor = 80);
CREATE INDEX request_worker ON taskd.request (worker);
CREATE INDEX request_job ON taskd.request (job);

-- Who waits for the end of a job right now: its end is then notified on channel taskd_ended.
CREATE TABLE taskd.waiter (
    job          bigint      NOT NULL,
    token        text        NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (job, token)
);

-- The keys of column extra, each there only if it says something:
--   expires   when it is too late to begin, seconds since 1970; then the job is cancelled. Gone once
--             it has begun
--   unique    the key that it holds in unique_key
--   until     "started" or "finished": when it lets go of that key
--   call      the number of the call that its arguments are of, if one has replaced them
--   parents   the jobs that it came after
--   group     the first job of the group that it is one of
--   on_lost   "fail": fail it when its worker is lost, for it must not run twice
--   on_interrupt   "fail": fail it when its worker was stopped and had to be killed
--   schedule  the name of the schedule that it comes from
--   headers   what middleware lets travel with it
--   limits    what its code says of the limits it names: {name: [units, rate, burst], …}
--   limits_at   when it said so, if not at its own enqueue but at that of the job that it is once more
--   fair      the share by which its turn is reckoned where jobs of a task or a queue wait
--   on_retry  "release": it holds nothing in the pause before a retry
--   by        the user who enqueued it, if he may do no more than that

-- What a job holds that it lets go of at its end: resources, if it has a place in their lines, and a
-- unique key.
CREATE TYPE taskd.holding AS (id bigint, res text[], need integer[], place bigint, key text);
CREATE TYPE taskd.held_key AS (key text, job bigint);
