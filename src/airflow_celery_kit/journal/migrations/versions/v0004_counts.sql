-- What Prometheus reads of tasks. A trigger notes what is to be counted, in the transaction of the event; the controller counts it up every few
-- seconds. So each figure grows only, is the same in every api-server, and outlives them all.
CREATE TABLE journal.counter (name text, labels text[], value double precision NOT NULL, PRIMARY KEY (name, labels));
-- How many were at most each of journal.bounds(), but above the one before; the last are above all.
CREATE TABLE journal.histogram (name text, labels text[], buckets bigint[] NOT NULL, total double precision NOT NULL, PRIMARY KEY (name, labels));
CREATE FUNCTION journal.bounds() RETURNS double precision[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY[0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400]::double precision[]
$$;

-- Names that have series of their own. All others count as `other`.
CREATE TABLE journal.label (kind text, name text, used_at timestamptz NOT NULL, PRIMARY KEY (kind, name));

-- When counting was done last. Where nobody counts for a day, nothing is noted any more.
CREATE TABLE journal.counting (at timestamptz NOT NULL);
INSERT INTO journal.counting VALUES (now());

CREATE TABLE journal.uncounted (
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(), what text NOT NULL, task uuid, label text, number double precision, delay double precision
);
-- Attempts that have ended and were not told to whoever collects traces.
CREATE TABLE journal.untraced (task uuid PRIMARY KEY);

-- An attempt counts once, also when it is marked as another end by hand.
ALTER TABLE journal.task ADD COLUMN counted boolean NOT NULL DEFAULT false;

CREATE FUNCTION journal.note_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM counting WHERE at > now() - interval '1 day') THEN
        RETURN NULL;
    END IF;
    INSERT INTO uncounted (what, task, label, number, delay)
    SELECT what, task, CASE what WHEN 'run' THEN dag_id WHEN 'repaired' THEN facts ->> 'action' WHEN 'lost' THEN (facts ? 'leaving')::text END,
        CASE WHEN what = 'gap' THEN CASE jsonb_typeof(facts -> 'lost') WHEN 'number' THEN least((facts ->> 'lost')::numeric, 1e9) ELSE 0 END
            WHEN kind = 'run_success' THEN 1 ELSE 0 END, NULL::double precision
    FROM fresh, LATERAL (SELECT CASE
        WHEN source = 'airflow' AND task IS NOT NULL AND (is_end(kind) OR kind = 'replaced') THEN 'end'
        WHEN source = 'airflow' AND task IS NULL AND kind IN ('run_success', 'run_failed') THEN 'run'
        WHEN source = 'worker' AND kind IN ('redelivered', 'lost') THEN kind
        WHEN source = 'controller' AND kind = 'repaired' THEN kind
        WHEN source = 'controller' AND kind = 'error' AND facts ? 'deaths' THEN 'set_aside'
        WHEN kind = 'gap' THEN kind
    END) AS said (what) WHERE what IS NOT NULL
    UNION ALL
    SELECT 'batch', NULL, source, count(*), greatest(0, max(extract(epoch FROM clock_timestamp() - at))) FROM fresh GROUP BY source;
    RETURN NULL;
END
$$;
CREATE TRIGGER note_events AFTER INSERT ON journal.event REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION journal.note_events();

CREATE FUNCTION journal.shown(kind text, name text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT label.name FROM journal.label WHERE label.kind = $1 AND label.name = $2), 'other')
$$;

-- Give new names series of their own, as long as there are fewer than so many. Whose name was not used for a month loses it, with its series.
CREATE FUNCTION journal.admit(of_kind text, names text[], most integer) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, journal AS $$
DECLARE
    place integer := CASE of_kind WHEN 'dag' THEN 1 ELSE 2 END;
    gone text[];
BEGIN
    UPDATE label SET used_at = now() WHERE kind = of_kind AND name = ANY (names) AND used_at < now() - interval '1 hour';
    WITH dropped AS (
        DELETE FROM label WHERE kind = of_kind AND (used_at < now() - interval '30 days' OR name IN (
            SELECT name FROM label WHERE kind = of_kind ORDER BY used_at DESC, name OFFSET most
        )) RETURNING name
    ) SELECT array_agg(name) INTO gone FROM dropped;
    IF gone IS NOT NULL THEN
        DELETE FROM counter WHERE labels[place] = ANY (gone) AND name IN ('kit_tasks_ended_total', 'kit_runs_ended_total') AND cardinality(labels) > place;
        DELETE FROM histogram WHERE labels[place] = ANY (gone) AND name = 'kit_task_hop_seconds';
    END IF;
    INSERT INTO label SELECT of_kind, name, now() FROM (
        SELECT DISTINCT name FROM unnest(names) AS name WHERE name IS NOT NULL AND name NOT IN (SELECT label.name FROM label WHERE kind = of_kind)
    ) AS fresh ORDER BY name LIMIT greatest(0, most - (SELECT count(*) FROM label WHERE kind = of_kind));
END
$$;

-- Seconds from one time to the next. Clocks of several machines differ a little; what was out of order by more is no hop.
CREATE FUNCTION journal.seconds_between(begun timestamptz, ended timestamptz) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN ended > begun - interval '5 seconds' THEN greatest(0, extract(epoch FROM ended - begun))::double precision END
$$;
CREATE TYPE journal.open_count AS (queue text, status text, number bigint);
CREATE TYPE journal.attempt AS (id uuid, dag_id text, queue text, status text, airflow float8, sending float8, broker float8, starting float8, running float8);

-- Count what was noted some seconds ago, when workers have said their part too; return how many notes that were. One at a time.
CREATE FUNCTION journal.count_up(most_dags integer, most_queues integer, settle_seconds double precision, trace boolean) RETURNS integer
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
    PERFORM admit('dag', ARRAY(SELECT dag_id FROM unnest(attempts) UNION SELECT label FROM unnest(notes) WHERE what = 'run'), most_dags);
    still_open := ARRAY(
        SELECT ROW(coalesce(queue, 'none'), status, count(*))::open_count FROM task
        WHERE status IN ('PENDING', 'QUEUED', 'RECEIVED', 'PROCESSING') AND replaced_by IS NULL GROUP BY coalesce(queue, 'none'), status
    );
    PERFORM admit('queue', ARRAY(SELECT queue FROM unnest(attempts) UNION SELECT queue FROM unnest(still_open)), most_queues);
    PERFORM add_counts(notes, attempts);
    PERFORM add_times(notes, attempts);
    DELETE FROM counter WHERE name = 'kit_tasks_open';
    INSERT INTO counter SELECT 'kit_tasks_open', ARRAY[shown('queue', queue), status], sum(number) FROM unnest(still_open) GROUP BY 2;
    RETURN cardinality(notes);
END
$$;

CREATE FUNCTION journal.add_counts(notes journal.uncounted[], attempts journal.attempt[]) RETURNS void LANGUAGE sql SET search_path = pg_catalog, journal AS $$
    INSERT INTO counter AS known (name, labels, value)
    SELECT name, labels, sum(number) FROM (
        SELECT 'kit_tasks_ended_total', ARRAY[shown('dag', dag_id), shown('queue', queue), status], 1 FROM unnest(attempts)
        UNION ALL
        SELECT 'kit_runs_ended_total', ARRAY[shown('dag', label), CASE number WHEN 1 THEN 'success' ELSE 'failed' END], 1
        FROM unnest(notes) WHERE what = 'run'
        UNION ALL SELECT 'kit_redeliveries_total', '{}', 1 FROM unnest(notes) WHERE what = 'redelivered'
        UNION ALL SELECT 'kit_task_deaths_total', ARRAY[CASE label WHEN 'true' THEN 'worker_stopped' ELSE 'killed' END], 1
        FROM unnest(notes) WHERE what = 'lost'
        UNION ALL SELECT 'kit_repairs_total', ARRAY[coalesce(label, 'other')], 1 FROM unnest(notes) WHERE what = 'repaired'
        UNION ALL SELECT 'kit_tasks_set_aside_total', '{}', 1 FROM unnest(notes) WHERE what = 'set_aside'
        UNION ALL SELECT 'kit_journal_lost_events_total', '{}', number FROM unnest(notes) WHERE what = 'gap'
        UNION ALL SELECT 'kit_journal_events_total', ARRAY[label], number FROM unnest(notes) WHERE what = 'batch'
    ) AS found (name, labels, number) GROUP BY name, labels
    ON CONFLICT (name, labels) DO UPDATE SET value = known.value + excluded.value
$$;

CREATE FUNCTION journal.add_times(notes journal.uncounted[], attempts journal.attempt[]) RETURNS void LANGUAGE sql SET search_path = pg_catalog, journal AS $$
    WITH observed AS (
        SELECT name, labels, (SELECT count(*) FROM unnest(bounds()) AS bound WHERE bound < seconds) AS bucket, count(*) AS number, sum(seconds) AS seconds
        FROM (
            SELECT 'kit_task_hop_seconds', ARRAY[shown('dag', dag_id), shown('queue', queue), hop], seconds
            FROM unnest(attempts), LATERAL (VALUES
                ('airflow', airflow), ('sending', sending), ('broker', broker), ('starting', starting), ('running', running)) AS hops (hop, seconds)
            WHERE seconds IS NOT NULL
            UNION ALL SELECT 'kit_journal_delay_seconds', ARRAY[label], delay FROM unnest(notes) WHERE what = 'batch'
        ) AS found (name, labels, seconds) GROUP BY 1, 2, 3
    )
    INSERT INTO histogram AS known (name, labels, buckets, total)
    SELECT name, labels, array_agg(coalesce(number, 0) ORDER BY bucket), sum(coalesce(seconds, 0))
    FROM (SELECT DISTINCT name, labels FROM observed) AS series CROSS JOIN generate_series(0, cardinality(bounds())) AS bucket
    LEFT JOIN observed USING (name, labels, bucket) GROUP BY name, labels
    ON CONFLICT (name, labels) DO UPDATE SET total = known.total + excluded.total,
        buckets = (SELECT array_agg(known_count + fresh_count ORDER BY place) FROM unnest(known.buckets, excluded.buckets) WITH ORDINALITY AS pair (known_count, fresh_count, place))
$$;

-- Attempts whose hops are to be told as spans, oldest end first; and that they were. What nobody took for a day is let go.
CREATE FUNCTION journal.to_trace(most integer) RETURNS SETOF jsonb LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
    SELECT to_jsonb(known) - ARRAY['input', 'trace', 'result', 'progress', 'error'] FROM untraced JOIN task AS known ON known.id = untraced.task
    ORDER BY known.completed_at LIMIT most
$$;
CREATE FUNCTION journal.were_traced(tasks uuid[]) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
    DELETE FROM untraced WHERE task = ANY (tasks)
        OR NOT EXISTS (SELECT FROM task AS known WHERE known.id = untraced.task AND known.completed_at > now() - interval '1 day')
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'note_events', 'admit', 'count_up', 'add_counts', 'add_times', 'to_trace', 'were_traced', 'bounds', 'seconds_between', 'shown'
    ] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION journal.%I FROM PUBLIC', name);
    END LOOP;
    -- Installed alone there is one role, which owns all of it.
    IF to_regrole('kit') IS NOT NULL THEN
        GRANT EXECUTE ON FUNCTION journal.count_up, journal.to_trace, journal.were_traced TO kit;
    END IF;
    IF to_regrole('journal_reader') IS NOT NULL THEN
        GRANT SELECT ON journal.counter, journal.histogram, journal.counting TO journal_reader;
    END IF;
END
$$;
