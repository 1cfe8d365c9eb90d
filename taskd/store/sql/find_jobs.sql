-- Jobs by id or by filter, newest first, wherever they are. Called by fetch_job and list_jobs.
-- Each branch of the view uses its own index on id; a condition on state leaves one branch.
SELECT j.id, j.task, j.queue, j.requires, j.state, j.priority, j.attempt, j.max_attempts, j.losses,
       j.crashes, j.timeout, j.args, j.kwargs, j.extra, j.result, j.has_result, j.error, j.traceback, j.created_at,
       j.run_at, j.ready_at, j.started_at, j.finished_at, 
       coalesce(j.cpu, CASE WHEN j.state = 'succeeded' AND j.finished_at - j.started_at < interval '1 ms'
                            THEN extract(epoch FROM j.finished_at - j.started_at) END)::float8 AS cpu_seconds,
       j.memory AS memory_growth, j.requeued_as,
       CASE WHEN j.res IS NOT NULL AND j.ready_at IS NOT NULL
            THEN taskd.lasted_v1(taskd.asked_at_v1(j.id, j.created_at, j.run_at, j.extra), j.ready_at)
            END AS waited_for_resources,
       taskd.lasted_v1(coalesce(j.ready_at, j.created_at), j.started_at) AS waited_for_worker,
       w.pool || '/' || w.slot || ' on ' || h.name || ', pid ' || w.pid AS worker
FROM taskd.job j
LEFT JOIN taskd.worker w ON w.id = j.worker
LEFT JOIN taskd.host h ON h.id = w.host
