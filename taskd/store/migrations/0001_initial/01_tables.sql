-- The tables of taskd. A job is one row that moves between tables and is never updated:
--
--             enqueue ─┬────────────► queued ──claim──► running ──complete──► history
--                      ├─► scheduled ──promote──┘ ▲         │
--                      └─► blocked ───grant───────┘ └─retry─┴─► scheduled
--
-- Inserts and deletes only: no dead versions of live rows, no HOT chains, one short index to claim by.

CREATE SCHEMA taskd;

-- id of a job, and its place in line: one sequence serves both, because a job enters its line when
-- it is born. A job that enters a line again (retry, rescue, promote) takes a fresh value as its seq.
CREATE SEQUENCE taskd.job_seq;

-- One value for each claim. Whoever ends an attempt must show the fence of its claim.
CREATE SEQUENCE taskd.fence_seq;

-- What waits to be claimed now.
--   lane: 0-9 the job's priority, higher first; 10 was given back and goes before all others.
--   ready_at: when it entered this table, if that was not at created_at.
--   losses: workers lost under it with nobody to blame; crashes: workers it took down itself.
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
    PRIMARY KEY (run_at, id)                -- promote_jobs_v1
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX scheduled_id ON taskd.scheduled (id);

-- What waits for other jobs or for resources: pending counts what it still waits for.
CREATE TABLE taskd.blocked (
    id           bigint      PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    run_at       timestamptz,
    pending      integer     NOT NULL,
    timeout      real,
    priority     smallint    NOT NULL,
    attempt      smallint    NOT NULL,
    max_attempts smallint    NOT NULL,
    losses       smallint    NOT NULL DEFAULT 0,
    crashes      smallint    NOT NULL DEFAULT 0,
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    args         text        NOT NULL,
    kwargs       text
) WITH (fillfactor = 80);

-- What a worker has claimed. fence is new with each claim.
CREATE TABLE taskd.running (
    id           bigint      PRIMARY KEY,
    fence        bigint      NOT NULL,
    worker       bigint      NOT NULL,
    claimed_at   timestamptz NOT NULL DEFAULT now(),
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
    kwargs       text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX running_worker ON taskd.running (worker);      -- rescue_workers_v1

-- What has ended, for good: append-only, a partition a UTC day, dropped by retention.
--   state: s succeeded, f failed, c cancelled.
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
    queue        text COLLATE "C" NOT NULL,
    task         text COLLATE "C" NOT NULL,
    args         text        NOT NULL,
    kwargs       text,
    result       text,
    error        text,
    traceback    text
) PARTITION BY RANGE (finished_at);
CREATE INDEX history_id ON taskd.history (id);
CREATE INDEX history_ended_badly ON taskd.history (id) WHERE state <> 's';

-- Every attempt that ended without ending its job: append-only, a partition a UTC day.
--   outcome: r retried after an error, t timed out and retried, z snoozed, i interrupted; and from a
--   rescue: l lost with its worker, g given back uncharged.
CREATE TABLE taskd.attempt (
    job          bigint      NOT NULL,
    fence        bigint      NOT NULL,
    worker       bigint      NOT NULL,
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz NOT NULL DEFAULT now(),
    number       smallint    NOT NULL,
    outcome      "char"      NOT NULL,
    error        text,
    traceback    text
) PARTITION BY RANGE (ended_at);
CREATE INDEX attempt_job ON taskd.attempt (job);

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
CREATE TABLE taskd.worker (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    host         bigint      NOT NULL,
    pid          integer     NOT NULL,
    slot         smallint    NOT NULL,
    generation   integer     NOT NULL,
    pool         text        NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz
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
--   kind: cancel (job), report (host: write your processes anew).
CREATE TABLE taskd.request (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind         text        NOT NULL,
    job          bigint,
    worker       bigint,
    host         bigint,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX request_worker ON taskd.request (worker);
