-- What tasks count by themselves: events of kind `metric`. Whoever may write events may write anything, so each part is looked at before it is
-- used, and names and series have an end; what is left out is counted by its cause.
CREATE TABLE journal.user_metric (name text PRIMARY KEY, kind text NOT NULL, used_at timestamptz NOT NULL);
-- `key` stands for the labels, which may be longer than an index takes. A histogram's value is the sum of what it was given; `at` is when a gauge was set.
CREATE TABLE journal.user_series (
    name text REFERENCES journal.user_metric ON DELETE CASCADE, key text, labels jsonb NOT NULL, value double precision NOT NULL,
    buckets bigint[], at double precision NOT NULL, used_at timestamptz NOT NULL, PRIMARY KEY (name, key)
);
ALTER TABLE journal.uncounted ADD COLUMN facts jsonb;
CREATE TYPE journal.user_said AS (name text, kind text, key text, labels jsonb, value float8, buckets bigint[], at float8, place bigint);

-- One figure of an event as a row; the name alone is null where it cannot be counted.
CREATE FUNCTION journal.user_said_of(one jsonb, dag text, at double precision, place bigint) RETURNS journal.user_said
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, journal AS $$
DECLARE
    found user_said;
    labels jsonb := CASE jsonb_typeof(one -> 'labels') WHEN 'object' THEN one -> 'labels' END;
BEGIN
    found.at := at;
    found.place := place;
    IF labels IS NULL OR jsonb_typeof(one -> 'value') IS DISTINCT FROM 'number' OR coalesce(one ->> 'kind', '') NOT IN ('counter', 'gauge', 'histogram')
        OR coalesce(one ->> 'name', '') !~ '^[a-zA-Z][a-zA-Z0-9_]{0,99}$' OR one ->> 'name' ~ '_(total|created|bucket|sum|count|info)$'
        OR (SELECT count(*) FROM jsonb_each(labels)) > 8
        OR EXISTS (SELECT FROM jsonb_each(labels) WHERE jsonb_typeof(value) <> 'string' OR key !~ '^[a-zA-Z_][a-zA-Z0-9_]{0,63}$' OR key ~ '^__'
            OR key IN ('le', 'quantile', 'job', 'instance', 'dag_id') OR length(value #>> '{}') > 100)
    THEN
        RETURN found;
    END IF;
    IF abs((one ->> 'value')::numeric) > 1e18 OR ((one ->> 'kind') = 'counter' AND (one ->> 'value')::numeric < 0) THEN
        RETURN found;
    END IF;
    IF one ->> 'kind' = 'histogram' THEN
        IF jsonb_typeof(one -> 'buckets') IS DISTINCT FROM 'array' OR jsonb_array_length(one -> 'buckets') <> cardinality(bounds()) + 1
            OR EXISTS (SELECT FROM jsonb_array_elements(one -> 'buckets') AS number WHERE number::text !~ '^[0-9]{1,7}$')
        THEN
            RETURN found;
        END IF;
        found.buckets := ARRAY(SELECT number::text::bigint FROM jsonb_array_elements(one -> 'buckets') WITH ORDINALITY AS each (number, place) ORDER BY each.place);
    END IF;
    found.name := one ->> 'name';
    found.kind := one ->> 'kind';
    found.labels := labels || jsonb_build_object('dag_id', dag);
    found.key := md5(found.labels::text);
    -- A number may be nearer to 0 than a double precision can be.
    found.value := CASE WHEN abs((one ->> 'value')::numeric) < 1e-300 THEN 0 ELSE (one ->> 'value')::float8 END;
    RETURN found;
END
$$;

-- Give new names, and new series of them, a place as long as there are fewer than so many. Whose was not used for a month is let go.
CREATE FUNCTION journal.admit_user_metrics(said journal.user_said[], most_names integer, most_series integer, most_heavy integer, most_of_a_name integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, journal AS $$
DECLARE
    heavy boolean;
BEGIN
    UPDATE user_metric AS known SET used_at = now() WHERE used_at < now() - interval '1 hour' AND EXISTS (
        SELECT FROM unnest(said) AS one WHERE (one.name, one.kind) = (known.name, known.kind));
    UPDATE user_series AS known SET used_at = now() WHERE used_at < now() - interval '1 hour' AND EXISTS (
        SELECT FROM unnest(said) AS one WHERE (one.name, one.key) = (known.name, known.key));
    DELETE FROM user_metric WHERE used_at < now() - interval '30 days';
    DELETE FROM user_series WHERE used_at < now() - interval '30 days';
    INSERT INTO user_metric SELECT name, kind, now() FROM (
        SELECT DISTINCT ON (name) name, kind, place FROM unnest(said) WHERE name IS NOT NULL AND name NOT IN (SELECT known.name FROM user_metric AS known)
        ORDER BY name, place
    ) AS fresh ORDER BY place LIMIT greatest(0, most_names - (SELECT count(*) FROM user_metric));
    -- A histogram has fifteen samples for one of the others.
    FOREACH heavy IN ARRAY ARRAY[false, true] LOOP
        INSERT INTO user_series
        SELECT name, key, labels, 0, CASE WHEN heavy THEN array_fill(0::bigint, ARRAY[cardinality(bounds()) + 1]) END, '-infinity', now() FROM (
            SELECT *, row_number() OVER (PARTITION BY name ORDER BY place) AS number FROM (
                SELECT DISTINCT ON (one.name, one.key) one.* FROM unnest(said) AS one JOIN user_metric AS known USING (name, kind)
                WHERE (one.kind = 'histogram') = heavy
                    AND NOT EXISTS (SELECT FROM user_series AS there WHERE (there.name, there.key) = (one.name, one.key)) ORDER BY one.name, one.key, one.place
            ) AS fresh
        ) AS fresh WHERE number + (SELECT count(*) FROM user_series AS there WHERE there.name = fresh.name) <= most_of_a_name
        ORDER BY place LIMIT greatest(0, CASE WHEN heavy THEN most_heavy ELSE most_series END
            - (SELECT count(*) FROM user_series WHERE (user_series.buckets IS NOT NULL) = heavy));
    END LOOP;
END
$$;

CREATE FUNCTION journal.add_user_metrics(notes journal.uncounted[]) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, journal AS $$
DECLARE
    said user_said[] := ARRAY(
        SELECT user_said_of(one.fact, shown('dag', note.label), note.number, row_number() OVER (ORDER BY note.number, one.place))
        FROM unnest(notes) AS note, LATERAL jsonb_array_elements(note.facts) WITH ORDINALITY AS one (fact, place)
    );
BEGIN
    IF cardinality(said) = 0 THEN
        RETURN;
    END IF;
    PERFORM admit_user_metrics(said, 100, 1000, 200, 100);
    INSERT INTO counter AS known (name, labels, value)
    SELECT 'kit_metrics_dropped_total', ARRAY[cause], count(*) FROM (
        SELECT CASE WHEN one.name IS NULL THEN 'invalid' WHEN metric.name IS NULL THEN 'names' WHEN metric.kind <> one.kind THEN 'kind'
            WHEN series.name IS NULL THEN 'series' END AS cause
        FROM unnest(said) AS one LEFT JOIN user_metric AS metric ON metric.name = one.name
        LEFT JOIN user_series AS series ON (series.name, series.key) = (one.name, one.key)
    ) AS found WHERE cause IS NOT NULL GROUP BY cause
    ON CONFLICT (name, labels) DO UPDATE SET value = known.value + excluded.value;
    -- The last word of a gauge counts, whichever came here first.
    UPDATE user_series AS known SET at = greatest(known.at, fresh.at),
        value = CASE WHEN fresh.kind <> 'gauge' THEN known.value + fresh.sum WHEN fresh.at >= known.at THEN fresh.last ELSE known.value END
    FROM (
        SELECT one.name, one.kind, one.key, sum(one.value) AS sum, (array_agg(one.value ORDER BY one.place DESC))[1] AS last, max(one.at) AS at
        FROM unnest(said) AS one JOIN user_metric USING (name, kind) GROUP BY 1, 2, 3
    ) AS fresh WHERE (known.name, known.key) = (fresh.name, fresh.key);
    UPDATE user_series AS known SET buckets = fresh.buckets FROM (
        SELECT name, key, array_agg(number ORDER BY bound) AS buckets FROM (
            SELECT name, key, bound, sum(number)::bigint AS number FROM (
                SELECT one.name, one.key, bound, number FROM unnest(said) AS one JOIN user_metric USING (name, kind),
                    LATERAL unnest(one.buckets) WITH ORDINALITY AS given (number, bound) WHERE one.kind = 'histogram'
                UNION ALL SELECT there.name, there.key, bound, number FROM user_series AS there, LATERAL unnest(there.buckets) WITH ORDINALITY AS had (number, bound)
                WHERE (there.name, there.key) IN (SELECT one.name, one.key FROM unnest(said) AS one)
            ) AS every GROUP BY name, key, bound
        ) AS summed GROUP BY name, key
    ) AS fresh WHERE (known.name, known.key) = (fresh.name, fresh.key);
END
$$;

-- As in v0004, and figures of tasks' own.
CREATE OR REPLACE FUNCTION journal.note_events() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, journal AS $$
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
    INSERT INTO uncounted (what, label, number, facts)
    SELECT 'metric', dag_id, extract(epoch FROM at), jsonb_path_query_array(facts -> 'series', '$[0 to 99]') FROM fresh
    WHERE source = 'code' AND kind = 'metric' AND jsonb_typeof(facts -> 'series') = 'array';
    RETURN NULL;
END
$$;

-- Count what was noted some seconds ago, when workers have said their part too; return how many notes that were. One at a time.
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
    PERFORM admit('dag', ARRAY(SELECT dag_id FROM unnest(attempts) UNION SELECT label FROM unnest(notes) WHERE what IN ('run', 'metric')), most_dags);
    still_open := ARRAY(
        SELECT ROW(coalesce(queue, 'none'), status, count(*))::open_count FROM task
        WHERE status IN ('PENDING', 'QUEUED', 'RECEIVED', 'PROCESSING') AND replaced_by IS NULL GROUP BY coalesce(queue, 'none'), status
    );
    PERFORM admit('queue', ARRAY(SELECT queue FROM unnest(attempts) UNION SELECT queue FROM unnest(still_open)), most_queues);
    PERFORM add_counts(notes, attempts);
    PERFORM add_times(notes, attempts);
    PERFORM add_user_metrics(ARRAY(SELECT note FROM unnest(notes) AS note WHERE note.what = 'metric'));
    DELETE FROM counter WHERE name = 'kit_tasks_open';
    INSERT INTO counter SELECT 'kit_tasks_open', ARRAY[shown('queue', queue), status], sum(number) FROM unnest(still_open) GROUP BY 2;
    RETURN cardinality(notes);
END
$$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['user_said_of', 'admit_user_metrics', 'add_user_metrics'] LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION journal.%I FROM PUBLIC', name);
    END LOOP;
    IF to_regrole('journal_reader') IS NOT NULL THEN
        GRANT SELECT ON journal.user_metric, journal.user_series TO journal_reader;
    END IF;
END
$$;
