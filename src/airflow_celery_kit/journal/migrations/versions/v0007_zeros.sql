-- A counter that begins with its first failures hides them: to Prometheus they are no increase. So each end that somebody is warned of, and success, is
-- there as 0 while the first attempt of a Dag in a queue is under way.
ALTER TYPE journal.open_count ADD ATTRIBUTE dag_id text;

CREATE FUNCTION journal.add_zeros(attempts journal.attempt[], still_open journal.open_count[]) RETURNS void LANGUAGE sql SET search_path = pg_catalog, journal AS $$
    INSERT INTO counter (name, labels, value)
    SELECT 'kit_tasks_ended_total', ARRAY[shown('dag', dag_id), shown('queue', queue), status], 0
    FROM (SELECT dag_id, queue FROM unnest(attempts) UNION SELECT dag_id, queue FROM unnest(still_open)) AS known,
        unnest(ARRAY['SUCCESS', 'FAILURE', 'TIMEOUT', 'RETRY']) AS status
    ON CONFLICT DO NOTHING
$$;
REVOKE ALL ON FUNCTION journal.add_zeros FROM PUBLIC;

-- As in v0005, and a Dag counts from its first attempt on, not only from the first end.
CREATE OR REPLACE FUNCTION journal.count_up(most_dags integer, most_queues integer, settle_seconds double precision, trace boolean) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
DECLARE
    notes uncounted[];
    attempts attempt[];
    still_open open_count[];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('journal.count_up')) THEN
        RETURN 0;
    END IF;
    UPDATE counting SET at = clock_timestamp();
    WITH gone AS (
        DELETE FROM uncounted WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM uncounted WHERE noted_at < clock_timestamp() - make_interval(secs => settle_seconds) LIMIT 5000
        )) RETURNING uncounted AS note
    ) SELECT coalesce(array_agg(note), '{}') INTO notes FROM gone;

    WITH counted AS (
        UPDATE task SET counted = true
        WHERE NOT counted AND status IN ('SUCCESS', 'FAILURE', 'RETRY', 'CANCELLED', 'TIMEOUT', 'NO_DATA')
            AND id IN (SELECT task FROM unnest(notes) WHERE what = 'end')
        RETURNING ROW(id, dag_id, coalesce(queue, 'none'), status, seconds_between(due_at, queued_at), seconds_between(queued_at, published_at),
            seconds_between(published_at, received_at), seconds_between(received_at, started_at), seconds_between(started_at, completed_at))::attempt AS one
    ) SELECT coalesce(array_agg(one), '{}') INTO attempts FROM counted;
    IF trace THEN
        INSERT INTO untraced SELECT id FROM unnest(attempts) ON CONFLICT DO NOTHING;
    END IF;
    still_open := ARRAY(
        SELECT ROW(coalesce(queue, 'none'), status, count(*), dag_id)::open_count FROM task
        WHERE status IN ('PENDING', 'QUEUED', 'RECEIVED', 'PROCESSING') AND replaced_by IS NULL GROUP BY coalesce(queue, 'none'), status, dag_id
    );
    PERFORM admit('dag', ARRAY(
        SELECT dag_id FROM unnest(attempts) UNION SELECT dag_id FROM unnest(still_open) UNION SELECT label FROM unnest(notes) WHERE what IN ('run', 'metric')
    ), most_dags);
    PERFORM admit('queue', ARRAY(SELECT queue FROM unnest(attempts) UNION SELECT queue FROM unnest(still_open)), most_queues);
    PERFORM add_zeros(attempts, still_open);
    PERFORM add_counts(notes, attempts);
    PERFORM add_times(notes, attempts);
    PERFORM add_user_metrics(ARRAY(SELECT note FROM unnest(notes) AS note WHERE note.what = 'metric'));
    DELETE FROM counter WHERE name = 'kit_tasks_open';
    INSERT INTO counter SELECT 'kit_tasks_open', ARRAY[shown('queue', queue), status], sum(number) FROM unnest(still_open) GROUP BY 2;
    RETURN cardinality(notes);
END
$$;
