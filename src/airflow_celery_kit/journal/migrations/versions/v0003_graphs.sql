-- The tasks of a Dag's version, and which come after which.
CREATE TABLE journal.graph (version uuid PRIMARY KEY, dag_id text NOT NULL, number integer NOT NULL, tasks jsonb NOT NULL, told_at timestamptz NOT NULL);

-- As before, and graphs.
CREATE OR REPLACE FUNCTION journal.derive_workflows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
BEGIN
    INSERT INTO workflow AS known (
        dag_id, run_id, state, state_seq, type, asked_by, user_name, version, conf, logical_date, created_at, started_at, completed_at, changed_at
    )
    SELECT DISTINCT ON (dag_id, run_id) dag_id, run_id, substr(kind, 5), seq, facts ->> 'type', facts ->> 'asked_by', facts ->> 'user',
        (facts ->> 'version')::uuid, facts -> 'conf', (facts ->> 'logical_date')::timestamptz, coalesce((facts ->> 'asked_at')::timestamptz, at),
        (facts ->> 'started_at')::timestamptz, (facts ->> 'ended_at')::timestamptz, at
    FROM fresh WHERE source = 'airflow' AND task IS NULL AND dag_id IS NOT NULL AND run_id IS NOT NULL ORDER BY dag_id, run_id, seq DESC
    ON CONFLICT (dag_id, run_id) DO UPDATE SET
        state = excluded.state, state_seq = excluded.state_seq, type = excluded.type, asked_by = excluded.asked_by,
        user_name = coalesce(excluded.user_name, known.user_name), version = excluded.version, conf = excluded.conf,
        logical_date = excluded.logical_date, created_at = least(known.created_at, excluded.created_at),
        started_at = excluded.started_at, completed_at = excluded.completed_at, changed_at = excluded.changed_at
    WHERE excluded.state_seq > known.state_seq;

    INSERT INTO graph AS known (version, dag_id, number, tasks, told_at)
    SELECT DISTINCT ON (facts ->> 'version') (facts ->> 'version')::uuid, dag_id, (facts ->> 'number')::integer, facts -> 'tasks', at
    FROM fresh WHERE source = 'airflow' AND kind = 'graph' ORDER BY facts ->> 'version', at DESC
    ON CONFLICT (version) DO UPDATE SET tasks = excluded.tasks, told_at = excluded.told_at WHERE excluded.told_at > known.told_at;

    UPDATE workflow SET paused_at = greatest(workflow.paused_at, said.paused_at), resumed_at = greatest(workflow.resumed_at, said.resumed_at)
    FROM (
        SELECT dag_id, run_id, max(at) FILTER (WHERE kind = 'run_paused') AS paused_at, max(at) FILTER (WHERE kind = 'run_resumed') AS resumed_at
        FROM fresh WHERE source = 'operator' AND task IS NULL GROUP BY dag_id, run_id
    ) AS said
    WHERE workflow.dag_id = said.dag_id AND workflow.run_id = said.run_id;
    RETURN NULL;
END
$$;

-- As before, and graphs of which no run is on record any more.
CREATE OR REPLACE FUNCTION journal.prune(days integer, dry boolean) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
DECLARE
    before timestamptz := date_trunc('day', now(), 'utc') - make_interval(days => days);
    part regclass;
    found bigint;
    parts text[] := '{}';
    events bigint := 0;
    tasks bigint;
    workflows bigint;
BEGIN
    FOR part IN
        SELECT inhrelid::regclass FROM pg_inherits
        WHERE inhparent = 'journal.event'::regclass AND inhrelid <> 'journal.event_other'::regclass
            AND to_timestamp(substring(inhrelid::regclass::text FROM '\d{8}$') || '+00', 'YYYYMMDDTZH') + interval '1 day' <= before
        ORDER BY inhrelid::regclass::text
    LOOP
        IF dry THEN
            EXECUTE format('SELECT count(*) FROM %s', part) INTO found;
            events := events + found;
        END IF;
        parts := parts || part::text;
        IF NOT dry THEN
            EXECUTE format('DROP TABLE %s', part);
        END IF;
    END LOOP;
    IF dry THEN
        SELECT events + count(*) INTO events FROM event_other WHERE at < before;
        SELECT count(*) INTO tasks FROM task WHERE completed_at < before;
        SELECT count(*) INTO workflows FROM workflow WHERE completed_at < before;
    ELSE
        DELETE FROM event_other WHERE at < before;
        DELETE FROM task WHERE completed_at < before;
        GET DIAGNOSTICS tasks = ROW_COUNT;
        DELETE FROM workflow WHERE completed_at < before;
        GET DIAGNOSTICS workflows = ROW_COUNT;
        DELETE FROM graph WHERE told_at < before AND NOT EXISTS (SELECT FROM workflow WHERE workflow.version = graph.version);
    END IF;
    RETURN jsonb_build_object('before', before, 'partitions', parts, 'events', CASE WHEN dry THEN events END, 'tasks', tasks, 'workflows', workflows);
END
$$;

DO $$ BEGIN
    IF to_regrole('journal_reader') IS NOT NULL THEN
        GRANT SELECT ON journal.graph TO journal_reader;
    END IF;
END $$;
