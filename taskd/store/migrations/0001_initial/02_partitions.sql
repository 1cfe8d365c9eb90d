-- Daily partitions of history, attempt, result and job_log.

-- Make the partitions for today and the next p_ahead days, of every partitioned table; the number
-- made.
-- CREATE, then ATTACH: it takes no lock that a completion or a reader would wait for. A partition
-- belongs to whom its table does, so that another member of that role can drop it: see roles.sql.
-- There is no default partition, because with one DETACH CONCURRENTLY is refused.
CREATE FUNCTION taskd.make_partitions_v1(p_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    owner name;
    day date;
    part text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('taskd.make_partitions'));
    FOR parent, owner IN
        SELECT c.relname, pg_get_userbyid(c.relowner) FROM pg_class c
        WHERE c.relnamespace = 'taskd'::regnamespace AND c.relkind = 'p'
        ORDER BY c.relname
    LOOP
        FOR step IN -1 .. p_ahead LOOP
            day := (now() AT TIME ZONE 'UTC')::date + step;
            part := parent || to_char(day, '_YYYYMMDD');
            CONTINUE WHEN to_regclass('taskd.' || part) IS NOT NULL;
            EXECUTE format('CREATE TABLE taskd.%I (LIKE taskd.%I INCLUDING DEFAULTS INCLUDING GENERATED)',
                           part, parent);
            IF owner <> current_user THEN
                EXECUTE format('ALTER TABLE taskd.%I OWNER TO %I', part, owner);
            END IF;
            EXECUTE format('ALTER TABLE taskd.%I ATTACH PARTITION taskd.%I FOR VALUES FROM (%L) TO (%L)',
                           parent, part, day || ' 00:00:00+00', (day + 1) || ' 00:00:00+00');
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;

-- The partitions of a table whose whole day ended more than p_keep seconds ago, oldest first, and
-- whether each is still attached. The caller detaches (CONCURRENTLY, outside of a transaction) and
-- drops them.
CREATE FUNCTION taskd.expired_partitions_v1(p_parent text, p_keep double precision)
RETURNS TABLE (parent text, part text, attached boolean) LANGUAGE sql STABLE AS $$
    SELECT p_parent, c.relname::text, c.relispartition
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'taskd'
      AND c.relkind = 'r'
      AND c.relname ~ ('^' || p_parent || '_[0-9]{8}$')
      AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC'
          < now() - p_keep * interval '1 second'
    ORDER BY c.relname
$$;

-- How many whole days beyond today have a partition of history.
CREATE FUNCTION taskd.partition_days_ahead_v1() RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(to_date(right(c.relname, 8), 'YYYYMMDD')) - (now() AT TIME ZONE 'UTC')::date, -1)
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'taskd' AND c.relispartition AND c.relname ~ '^history_[0-9]{8}$'
$$;

SELECT taskd.make_partitions_v1(7);
