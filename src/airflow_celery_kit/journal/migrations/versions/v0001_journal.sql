-- Events are kept as they came, a partition for each day; records are derived from them by one trigger, in the same transaction.
CREATE TABLE journal.event (
    id uuid NOT NULL,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    task uuid,
    dag_id text, run_id text, task_id text, map_index integer, attempt integer,
    message text, worker text, seq bigint,
    facts jsonb NOT NULL,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (at, id),
    -- A task may use what its worker has: it speaks for workers and code, and for nobody else.
    CONSTRAINT event_said_by_who_may CHECK (current_user <> 'journal_writer' OR source IN ('worker', 'code'))
) PARTITION BY RANGE (at);
CREATE INDEX event_of_task ON journal.event (task, at) WHERE task IS NOT NULL;
CREATE INDEX event_of_run ON journal.event (dag_id, run_id, at) WHERE task IS NULL;
CREATE TABLE journal.event_other PARTITION OF journal.event DEFAULT;

-- The status of an attempt: Airflow's last word, refined by what worker, code and operators said.
CREATE FUNCTION journal.status_of(
    state text, queued_at timestamptz, received_at timestamptz, lost_at timestamptz, timed_out boolean, cancelled boolean, no_data boolean
) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN state IN ('failed', 'skipped', 'replaced') AND cancelled THEN 'CANCELLED'
        WHEN state = 'failed' AND timed_out THEN 'TIMEOUT'
        WHEN state = 'success' AND no_data THEN 'NO_DATA'
        WHEN state IN ('asked', 'cleared', 'scheduled', 'up_for_retry', 'up_for_reschedule') THEN 'PENDING'
        WHEN state IN ('running', 'restarting', 'deferred', 'awaiting_input') THEN 'PROCESSING'
        WHEN state = 'success' THEN 'SUCCESS'
        WHEN state = 'failed' THEN 'FAILURE'
        WHEN state = 'skipped' THEN 'NO_DATA'
        WHEN state IN ('upstream_failed', 'removed') THEN 'CANCELLED'
        WHEN state = 'replaced' THEN 'RETRY'
        -- Queued, or nothing heard of Airflow yet.
        WHEN received_at IS NOT NULL AND received_at >= coalesce(lost_at, '-infinity')
            AND received_at >= coalesce(queued_at, '-infinity') THEN 'RECEIVED'
        ELSE 'QUEUED'
    END
$$;

CREATE TABLE journal.task (
    id uuid PRIMARY KEY,
    dag_id text, run_id text, task_id text, map_index integer, attempt integer,
    message text, queue text, pool text, priority integer, operator text, worker text,
    state text, state_seq bigint NOT NULL DEFAULT -1,
    created_at timestamptz NOT NULL, due_at timestamptz, queued_at timestamptz, published_at timestamptz, received_at timestamptz,
    started_at timestamptz, completed_at timestamptz, lost_at timestamptz, changed_at timestamptz NOT NULL,
    timed_out boolean NOT NULL, cancelled boolean NOT NULL, no_data boolean NOT NULL,
    instead_of uuid, replaced_by uuid,
    progress jsonb, progress_at timestamptz,
    input jsonb, result jsonb, error text, trace text,
    events integer NOT NULL, impossible integer NOT NULL DEFAULT 0,
    status text NOT NULL GENERATED ALWAYS AS (
        journal.status_of(state, queued_at, received_at, lost_at, timed_out, cancelled, no_data)
    ) STORED
);
CREATE INDEX task_of_run ON journal.task (run_id, dag_id);
CREATE INDEX task_of_dag ON journal.task (dag_id, created_at DESC, id DESC);
CREATE INDEX task_with_error ON journal.task (created_at DESC, id DESC) WHERE error IS NOT NULL;
CREATE INDEX task_of_message ON journal.task (message);
CREATE INDEX task_by_age ON journal.task (created_at DESC, id DESC);
CREATE INDEX task_by_end ON journal.task (completed_at);
CREATE INDEX task_by_status ON journal.task (status, created_at DESC, id DESC);

CREATE TABLE journal.workflow (
    dag_id text, run_id text,
    state text NOT NULL, state_seq bigint NOT NULL,
    type text, asked_by text, user_name text, version uuid, conf jsonb,
    logical_date timestamptz, created_at timestamptz NOT NULL, started_at timestamptz, completed_at timestamptz, changed_at timestamptz NOT NULL,
    paused_at timestamptz, resumed_at timestamptz,
    paused boolean NOT NULL GENERATED ALWAYS AS (coalesce(paused_at > coalesce(resumed_at, '-infinity'), false)) STORED,
    PRIMARY KEY (dag_id, run_id)
);
CREATE INDEX workflow_by_age ON journal.workflow (created_at DESC, dag_id DESC, run_id DESC);
CREATE INDEX workflow_of_dag ON journal.workflow (dag_id, created_at DESC, run_id DESC);

-- Which status may follow which (core/journal/statuses.py, where a test compares both).
CREATE TABLE journal.transition (before text, after text, PRIMARY KEY (before, after));
INSERT INTO journal.transition
SELECT before, after FROM (VALUES
    ('PENDING', '{PENDING,QUEUED,PROCESSING,SUCCESS,FAILURE,RETRY,CANCELLED,TIMEOUT,NO_DATA}'::text[]),
    ('QUEUED', '{QUEUED,PENDING,RECEIVED,PROCESSING,SUCCESS,FAILURE,RETRY,CANCELLED,TIMEOUT,NO_DATA}'),
    ('RECEIVED', '{RECEIVED,PENDING,QUEUED,PROCESSING,SUCCESS,FAILURE,RETRY,CANCELLED,TIMEOUT,NO_DATA}'),
    ('PROCESSING', '{PROCESSING,PENDING,SUCCESS,FAILURE,RETRY,CANCELLED,TIMEOUT,NO_DATA}'),
    ('SUCCESS', '{SUCCESS,FAILURE,RETRY,CANCELLED,TIMEOUT,NO_DATA}'),
    ('FAILURE', '{FAILURE,SUCCESS,RETRY,CANCELLED,TIMEOUT,NO_DATA}'),
    ('CANCELLED', '{CANCELLED,PENDING,SUCCESS,FAILURE,RETRY,TIMEOUT,NO_DATA}'),
    ('TIMEOUT', '{TIMEOUT,SUCCESS,FAILURE,RETRY,CANCELLED,NO_DATA}'),
    ('NO_DATA', '{NO_DATA,SUCCESS,FAILURE,RETRY,CANCELLED,TIMEOUT}'),
    ('RETRY', '{RETRY}')
) AS rule (before, afters), unnest(afters) AS after;

CREATE FUNCTION journal.plain_status(state text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN state IS NOT NULL THEN journal.status_of(state, NULL, NULL, NULL, false, false, false) END
$$;

CREATE FUNCTION journal.is_end(state text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
$$;

CREATE FUNCTION journal.derive_tasks() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
BEGIN
    -- An attempt that had ended keeps its end when another one follows it.
    WITH word AS (
        SELECT task, seq, kind, lag(kind) OVER (PARTITION BY task ORDER BY seq) AS before_here
        FROM fresh WHERE source = 'airflow' AND task IS NOT NULL
    ), odd AS (
        SELECT word.task, count(*)::integer AS impossible
        FROM word LEFT JOIN task AS known ON known.id = word.task
        WHERE word.kind <> 'replaced' AND coalesce(word.before_here, known.state) IS NOT NULL
            AND NOT EXISTS (
                SELECT FROM transition WHERE before = plain_status(coalesce(word.before_here, known.state)) AND after = plain_status(word.kind)
            )
        GROUP BY word.task
    ), said AS (
        SELECT fresh.task AS id, max(dag_id) AS dag_id, max(run_id) AS run_id, max(task_id) AS task_id,
            (array_agg(map_index ORDER BY at DESC) FILTER (WHERE map_index IS NOT NULL))[1] AS map_index,
            max(attempt) AS attempt,
            (array_agg(message ORDER BY at DESC) FILTER (WHERE message IS NOT NULL))[1] AS message,
            (array_agg(facts ->> 'queue' ORDER BY at DESC) FILTER (WHERE source = 'airflow' AND facts ? 'queue'))[1] AS queue,
            (array_agg(facts ->> 'pool' ORDER BY at DESC) FILTER (WHERE source = 'airflow' AND facts ? 'pool'))[1] AS pool,
            (array_agg((facts ->> 'priority')::integer ORDER BY at DESC) FILTER (WHERE source = 'airflow' AND facts ? 'priority'))[1] AS priority,
            (array_agg(facts ->> 'operator' ORDER BY at DESC) FILTER (WHERE source = 'airflow' AND facts ? 'operator'))[1] AS operator,
            (array_agg(worker ORDER BY at DESC) FILTER (WHERE worker IS NOT NULL))[1] AS worker,
            CASE
                WHEN bool_or(source = 'airflow' AND kind = 'replaced')
                    AND NOT coalesce(is_end((array_agg(kind ORDER BY seq DESC) FILTER (WHERE source = 'airflow' AND kind <> 'replaced'))[1]), false)
                THEN 'replaced'
                ELSE (array_agg(kind ORDER BY seq DESC) FILTER (WHERE source = 'airflow' AND kind <> 'replaced'))[1]
            END AS state,
            coalesce(max(seq) FILTER (WHERE source = 'airflow'), -1) AS state_seq,
            min(at) AS created_at,
            max(at) FILTER (WHERE source = 'airflow' AND kind = 'scheduled') AS due_at,
            max(at) FILTER (WHERE source = 'airflow' AND kind = 'queued') AS queued_at,
            max(at) FILTER (WHERE kind = 'published') AS published_at,
            max(at) FILTER (WHERE kind = 'received') AS received_at,
            min(at) FILTER (WHERE source = 'airflow' AND kind = 'running') AS started_at,
            coalesce(
                max(at) FILTER (WHERE source = 'airflow' AND is_end(kind)), max(at) FILTER (WHERE source = 'airflow' AND kind = 'replaced')
            ) AS completed_at,
            max(at) FILTER (WHERE kind = 'lost') AS lost_at,
            max(at) AS changed_at,
            bool_or(kind = 'timed_out') AS timed_out, bool_or(source = 'operator' AND kind = 'cancelled') AS cancelled,
            bool_or(kind = 'no_data') AS no_data,
            (max(facts ->> 'instead_of') FILTER (WHERE source = 'airflow' AND kind = 'asked'))::uuid AS instead_of,
            (max(facts ->> 'by') FILTER (WHERE source = 'airflow' AND kind = 'replaced'))::uuid AS replaced_by,
            (array_agg(facts ORDER BY at DESC) FILTER (WHERE kind = 'progress'))[1] AS progress,
            max(at) FILTER (WHERE kind = 'progress') AS progress_at,
            (array_agg(facts ORDER BY at DESC) FILTER (WHERE kind = 'input'))[1] AS input,
            (array_agg(facts ORDER BY at DESC) FILTER (WHERE kind = 'business_result'))[1] AS result,
            (array_agg(facts ->> 'error' ORDER BY at DESC) FILTER (WHERE kind IN ('error', 'timed_out', 'lost') AND facts ? 'error'))[1] AS error,
            (array_agg(facts ->> 'trace' ORDER BY at DESC) FILTER (WHERE kind IN ('error', 'timed_out', 'lost') AND facts ? 'trace'))[1] AS trace,
            count(*)::integer AS events, coalesce(max(odd.impossible), 0) AS impossible
        FROM fresh LEFT JOIN odd ON odd.task = fresh.task
        WHERE fresh.task IS NOT NULL GROUP BY fresh.task ORDER BY fresh.task
    )
    INSERT INTO task AS known (
        id, dag_id, run_id, task_id, map_index, attempt, message, queue, pool, priority, operator, worker, state, state_seq, created_at, due_at,
        queued_at, published_at, received_at, started_at, completed_at, lost_at, changed_at, timed_out, cancelled, no_data, instead_of, replaced_by,
        progress, progress_at, input, result, error, trace, events, impossible
    )
    SELECT * FROM said
    ON CONFLICT (id) DO UPDATE SET
        dag_id = coalesce(excluded.dag_id, known.dag_id), run_id = coalesce(excluded.run_id, known.run_id),
        task_id = coalesce(excluded.task_id, known.task_id), map_index = coalesce(excluded.map_index, known.map_index),
        attempt = greatest(excluded.attempt, known.attempt), message = coalesce(excluded.message, known.message),
        queue = coalesce(excluded.queue, known.queue), pool = coalesce(excluded.pool, known.pool),
        priority = coalesce(excluded.priority, known.priority), operator = coalesce(excluded.operator, known.operator),
        worker = coalesce(excluded.worker, known.worker),
        state = CASE
            WHEN excluded.state_seq < known.state_seq THEN known.state
            WHEN excluded.state = 'replaced' AND is_end(known.state) THEN known.state
            ELSE coalesce(excluded.state, known.state)
        END,
        state_seq = greatest(excluded.state_seq, known.state_seq),
        created_at = least(excluded.created_at, known.created_at), due_at = greatest(excluded.due_at, known.due_at),
        queued_at = greatest(excluded.queued_at, known.queued_at), published_at = greatest(excluded.published_at, known.published_at),
        received_at = greatest(excluded.received_at, known.received_at), started_at = least(excluded.started_at, known.started_at),
        completed_at = CASE
            WHEN excluded.state = 'replaced' AND is_end(known.state) THEN known.completed_at
            ELSE greatest(excluded.completed_at, known.completed_at)
        END,
        lost_at = greatest(excluded.lost_at, known.lost_at),
        changed_at = greatest(excluded.changed_at, known.changed_at),
        timed_out = excluded.timed_out OR known.timed_out, cancelled = excluded.cancelled OR known.cancelled,
        no_data = excluded.no_data OR known.no_data,
        instead_of = coalesce(excluded.instead_of, known.instead_of), replaced_by = coalesce(excluded.replaced_by, known.replaced_by),
        progress = CASE WHEN excluded.progress_at >= coalesce(known.progress_at, '-infinity') THEN excluded.progress ELSE known.progress END,
        progress_at = greatest(excluded.progress_at, known.progress_at),
        input = coalesce(excluded.input, known.input), result = coalesce(excluded.result, known.result),
        error = coalesce(excluded.error, known.error), trace = coalesce(excluded.trace, known.trace),
        events = known.events + excluded.events, impossible = known.impossible + excluded.impossible;
    RETURN NULL;
END
$$;
CREATE TRIGGER derive_tasks AFTER INSERT ON journal.event REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION journal.derive_tasks();

CREATE FUNCTION journal.derive_workflows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
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

    UPDATE workflow SET paused_at = greatest(workflow.paused_at, said.paused_at), resumed_at = greatest(workflow.resumed_at, said.resumed_at)
    FROM (
        SELECT dag_id, run_id, max(at) FILTER (WHERE kind = 'run_paused') AS paused_at, max(at) FILTER (WHERE kind = 'run_resumed') AS resumed_at
        FROM fresh WHERE source = 'operator' AND task IS NULL GROUP BY dag_id, run_id
    ) AS said
    WHERE workflow.dag_id = said.dag_id AND workflow.run_id = said.run_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER derive_workflows AFTER INSERT ON journal.event REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION journal.derive_workflows();

-- Partitions of the coming days; what is older or younger than all of them goes to the last one.
CREATE FUNCTION journal.make_partitions(days integer) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
DECLARE
    made integer := 0;
    day date;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('journal.make_partitions'));
    FOR day IN SELECT (now() AT TIME ZONE 'utc')::date + ahead FROM generate_series(0, days) AS ahead LOOP
        CONTINUE WHEN to_regclass(format('journal.event_%s', to_char(day, 'YYYYMMDD'))) IS NOT NULL;
        CONTINUE WHEN EXISTS (SELECT FROM event_other WHERE (at AT TIME ZONE 'utc')::date = day);
        EXECUTE format('CREATE TABLE journal.event_%s PARTITION OF journal.event FOR VALUES FROM (%L) TO (%L)',
            to_char(day, 'YYYYMMDD'), day::text || ' 00:00:00+00', (day + 1)::text || ' 00:00:00+00');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;
SELECT journal.make_partitions(7);

-- What is older than a number of days goes: whole partitions of events, and records of what had ended by then. With `dry` it is counted only,
-- events too, which takes as long as there are many.
CREATE FUNCTION journal.prune(days integer, dry boolean) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
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
    END IF;
    RETURN jsonb_build_object('before', before, 'partitions', parts, 'events', CASE WHEN dry THEN events END, 'tasks', tasks, 'workflows', workflows);
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA journal FROM PUBLIC;
-- Installed alone in somebody's Airflow, one role does everything, and these are not there.
DO $$
DECLARE
    given text[];
BEGIN
    FOREACH given SLICE 1 IN ARRAY ARRAY[
        ['journal_writer', 'USAGE ON SCHEMA journal'], ['journal_scheduler', 'USAGE ON SCHEMA journal'],
        ['journal_reader', 'USAGE ON SCHEMA journal'], ['kit', 'USAGE ON SCHEMA journal'],
        ['journal_writer', 'INSERT ON journal.event'], ['journal_scheduler', 'INSERT ON journal.event'],
        ['journal_reader', 'SELECT ON ALL TABLES IN SCHEMA journal'],
        ['kit', 'EXECUTE ON FUNCTION journal.make_partitions, journal.prune']
    ] LOOP
        IF to_regrole(given[1]) IS NOT NULL THEN
            EXECUTE format('GRANT %s TO %I', given[2], given[1]);
        END IF;
    END LOOP;
END
$$;
