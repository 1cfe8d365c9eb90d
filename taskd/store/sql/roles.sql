-- The three roles of taskd, and what each may do in this database. Printed by `taskd schema roles`, run
-- by `taskd schema roles --apply` (apply_roles). May be run again at any time, and must be after each
-- upgrade of the schema: it gives what is missing and takes what is too much.
--
--   taskd_daemon    owns the schema and all that is in it, and nothing else: a daemon makes and drops a
--                   partition a day, which PostgreSQL lets nobody do but the owner of the table
--   taskd_enqueuer  may enqueue, and look at the states of the jobs that it enqueued
--   taskd_reader    may read all jobs and figures, and write nothing
--
-- None of them can log in: grant one to the role that does. Run it as the owner of the schema, who must
-- also have CREATEROLE, or as a superuser. Whoever owned the schema before becomes a member of
-- taskd_daemon. The first run takes a short lock on each table, so let it be while no daemon works.

DO $$
DECLARE
    name text;
    owner_before name := (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'taskd');
    object record;
BEGIN
    PERFORM set_config('lock_timeout', '10s', true);
    FOREACH name IN ARRAY '{taskd_daemon,taskd_enqueuer,taskd_reader}'::text[] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
    -- A superuser may do everything as it is.
    FOR name IN
        SELECT DISTINCT r.rolname FROM pg_roles r
        WHERE r.rolname IN (owner_before, current_user) AND r.rolname <> 'taskd_daemon' AND NOT r.rolsuper
    LOOP
        EXECUTE format('GRANT taskd_daemon TO %I', name);
    END LOOP;
    IF owner_before <> 'taskd_daemon' THEN
        ALTER SCHEMA taskd OWNER TO taskd_daemon;
    END IF;
    FOR object IN
        SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
               c.oid::regclass::text AS name
        FROM pg_class c
        WHERE c.relnamespace = 'taskd'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
          AND c.relowner <> 'taskd_daemon'::regrole
          AND NOT EXISTS (SELECT FROM pg_depend d     -- of a column: it goes with its table
                          WHERE c.relkind = 'S' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid
                            AND d.deptype = 'i')
        UNION ALL
        SELECT 'TYPE', t.oid::regtype::text
        FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
        WHERE t.typnamespace = 'taskd'::regnamespace AND t.typowner <> 'taskd_daemon'::regrole
        UNION ALL
        SELECT 'FUNCTION', p.oid::regprocedure::text
        FROM pg_proc p
        WHERE p.pronamespace = 'taskd'::regnamespace AND p.proowner <> 'taskd_daemon'::regrole
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO taskd_daemon', object.kind, object.name);
    END LOOP;
END $$;

-- From nothing on.
REVOKE ALL ON SCHEMA taskd FROM PUBLIC, taskd_enqueuer, taskd_reader;
REVOKE ALL ON ALL TABLES IN SCHEMA taskd FROM PUBLIC, taskd_enqueuer, taskd_reader;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA taskd FROM PUBLIC, taskd_enqueuer, taskd_reader;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA taskd FROM PUBLIC, taskd_enqueuer, taskd_reader;

GRANT USAGE ON SCHEMA taskd TO taskd_enqueuer, taskd_reader;
GRANT SELECT ON taskd.schema_version TO taskd_enqueuer, taskd_reader;  -- does the program fit?

-- The tables are closed to the enqueuer, so of each pair a client calls the second: see enqueue_jobs.
-- But PostgreSQL asks for the right to call what stands in a statement, also where it is not called.
GRANT EXECUTE ON FUNCTION
    taskd.enqueue_jobs_v1(
        text, text[], text[], text, smallint, double precision, timestamptz, smallint, real, boolean,
        jsonb, jsonb),
    taskd.enqueue_own_jobs_v1(
        text, text[], text[], text, smallint, double precision, timestamptz, smallint, real, boolean,
        jsonb, jsonb),
    taskd.enqueue_graph_v1(json, boolean, bigint),
    taskd.enqueue_own_graph_v1(json, boolean),
    taskd.own_states_v1(bigint[])
TO taskd_enqueuer;
-- To enqueue by name with the options that the code gives a task: see find_task.
GRANT SELECT (name, host, description, published_at) ON taskd.task TO taskd_enqueuer;
GRANT SELECT (id, ended_at) ON taskd.host TO taskd_enqueuer;

-- What is not told to the reader: letters under way, and who waits for an end. The tallies that are to be
-- added to the statistics say when something last began, which is to be known of what stalls.
GRANT SELECT ON
    taskd.job, taskd.live_job, taskd.ended_job, taskd.holder, taskd.queued_holder,
    taskd.queued, taskd.scheduled, taskd.blocked, taskd.running, taskd.history, taskd.attempt,
    taskd.result, taskd.job_log, taskd.progress, taskd.queue, taskd.host, taskd.worker, taskd.task,
    taskd.request, taskd.resource, taskd.capacity, taskd.line, taskd.limit_wish, taskd.dependency,
    taskd.unique_key, taskd.schedule, taskd.schedule_definition, taskd.schedule_voice,
    taskd.memory_reading, taskd.memory_level, taskd.canary, taskd.leak, taskd.recycle, taskd.statistic,
    taskd.tally, taskd.backlog, taskd.failure_mark, taskd.audit_log
TO taskd_reader;
-- Functions that only read, some of them called by others of the list and by the views.
GRANT EXECUTE ON FUNCTION
    taskd.queue_of_v1(text), taskd.version_of_v1(text), taskd.is_part_v1(text, text),
    taskd.holds_arguments_v1(text, text, jsonb, jsonb), taskd.cause_of_v1(text), taskd.cause_hash_v1(text, text),
    taskd.failures_v1(double precision, text, text, integer, boolean, bigint, bigint, integer),
    taskd.lasted_v1(timestamptz, timestamptz),
    taskd.asked_at_v1(bigint, timestamptz, timestamptz, jsonb),
    taskd.holders_v1(text, text[], integer), taskd.lines_of_v1(bigint, integer, integer),
    taskd.parents_v1(bigint, integer), taskd.turn_of_v1(bigint, integer, integer),
    taskd.crews_v1(text, text, double precision),
    taskd.resources_v1(text[], boolean, text, integer, integer, integer),
    taskd.line_page_v1(text, bigint, integer), taskd.progress_v1(bigint[]), taskd.all_lanes_v1(),
    taskd.backlog_v1(integer, integer), taskd.bucket_v1(double precision), taskd.merged_v1(bigint[]),
    taskd.level_v1(text), taskd.gate_v1(text, jsonb), taskd.asked_v1(text[], integer[], text, jsonb, boolean),
    taskd.own_v1(text[], anyarray), taskd.window_v1(text), taskd.units_v1(text, integer),
    taskd.next_token_v1(double precision, timestamptz),
    taskd.tokens_v1(double precision, timestamptz, timestamptz), taskd.limit_statements_v1(double precision)
TO taskd_reader;
