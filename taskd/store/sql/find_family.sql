-- The jobs that job %(id)s comes after, and those that come after it, at most %(most)s of each. Called
-- by find_family. Parents stand in the job. Children that still wait stand in taskd.dependency (its
-- primary key); of those that do not, the ones are found whose ids follow up to %(upto)s, as those of
-- a flow do that was enqueued at once (the indexes of the branches of the view on id).
WITH parents AS (
    SELECT p.id::bigint AS id
    FROM taskd.job j
    CROSS JOIN LATERAL jsonb_array_elements_text(j.extra->'parents') AS p (id)
    WHERE j.id = %(id)s
    LIMIT %(most)s
), children AS (
    (SELECT d.child AS id
     FROM taskd.dependency d
     WHERE d.parent = %(id)s
     ORDER BY d.child
     LIMIT %(most)s)
    UNION
    (SELECT j.id
     FROM taskd.job j
     WHERE j.id > %(id)s AND j.id <= %(upto)s
       AND j.extra->'parents' @> to_jsonb(%(id)s::bigint)
     ORDER BY j.id
     LIMIT %(most)s)
)
SELECT ARRAY(SELECT p.id FROM parents p ORDER BY p.id),
       ARRAY(SELECT c.id FROM children c ORDER BY c.id LIMIT %(most)s)
