-- Failures: what they have in common, and whom to tell of those that no worker has seen.

-- Failed jobs by task and cause, the most frequent first, p_limit of them behind a group of p_count jobs
-- with the sample p_job. Looks at the p_most youngest failures of the last p_since seconds, and counts
-- those of them that were requeued only if told to; looked_at is how many these are. Without any group
-- one row says that. Called by list_failures.
-- Of history only the partitions of the window are read, newest job first. Without a queue or task that
-- is index history_failed alone, and the row of the sample for each group: what it is then reads the
-- table itself for what was not vacuumed yet.
CREATE FUNCTION taskd.failures_v1(
    p_since double precision, p_queue text, p_task text, p_most integer, p_requeued boolean,
    p_count bigint, p_job bigint, p_limit integer)
RETURNS TABLE (task text, cause text, count bigint, first_at timestamptz, last_at timestamptz,
               sample_job bigint, looked_at bigint) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off
SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH failed AS (
        SELECT h.id, h.finished_at, h.cause_hash, p_requeued OR h.requeued_as IS NULL AS counts
        FROM taskd.history h
        WHERE h.state = 'f'
          AND h.finished_at >= now() - p_since * interval '1 second'
          AND (p_queue IS NULL OR h.queue = p_queue)
          AND (p_task IS NULL OR h.task = p_task)
        ORDER BY h.id DESC
        LIMIT p_most
    ), grouped AS MATERIALIZED (
        SELECT count(*) AS looked_at, count(*) FILTER (WHERE f.counts) AS count,
               min(f.finished_at) FILTER (WHERE f.counts) AS first_at,
               max(f.finished_at) FILTER (WHERE f.counts) AS last_at,
               max(f.id) FILTER (WHERE f.counts) AS sample_job
        FROM failed f
        GROUP BY f.cause_hash
    ), page AS MATERIALIZED (
        SELECT g.count, g.first_at, g.last_at, g.sample_job
        FROM grouped g
        WHERE g.count > 0 AND (p_count IS NULL OR (g.count, g.sample_job) < (p_count, p_job))
        ORDER BY g.count DESC, g.sample_job DESC
        LIMIT p_limit
    ), named AS (
        SELECT p.*, h.task, taskd.cause_of_v1(h.error) AS cause
        FROM page p
        CROSS JOIN LATERAL (SELECT h.task, h.error FROM taskd.history h
                            WHERE h.id = p.sample_job AND h.state = 'f' LIMIT 1) h
    )
    SELECT n.task, n.cause, n.count, n.first_at, n.last_at, n.sample_job, l.looked_at
    FROM (SELECT coalesce(sum(g.looked_at), 0)::bigint AS looked_at FROM grouped g) l
    LEFT JOIN named n ON true
    ORDER BY n.count DESC, n.sample_job DESC;
END $$;

-- Jobs of these that a rescue has failed: no worker has seen their end. If the code of a running
-- daemon has failure handlers for their task, a job is enqueued for each that calls them, where a
-- worker with that code will find it. Called by rescue_workers_v1; index history_id.
CREATE FUNCTION taskd.tell_failures_v1(p_ids bigint[]) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    PERFORM taskd.enqueue_jobs_v1(
        'taskd.call_failure_handlers', array_agg(format('[%s]', h.id) ORDER BY h.id),
        array_agg(NULL::text), h.queue, h.priority, NULL, NULL, 6::smallint, 60, true, NULL, NULL)
    FROM taskd.history h
    WHERE h.id = ANY (p_ids) AND h.state = 'f'
      AND EXISTS (SELECT FROM taskd.task t
                  WHERE t.name = h.task AND (t.description::json->>'on_failure')::boolean)
    GROUP BY h.queue, h.priority;
END $$;
