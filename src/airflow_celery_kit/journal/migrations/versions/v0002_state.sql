-- Work that is done once for each key (airflow_celery_kit/task/once.py). Nobody reads or writes the table but through the functions.
CREATE SCHEMA state;
CREATE TABLE state.once (
    key text PRIMARY KEY, holder uuid NOT NULL, begun_at timestamptz NOT NULL DEFAULT clock_timestamp(), done_at timestamptz, result jsonb
);
CREATE INDEX once_by_age ON state.once (coalesce(done_at, begun_at));

-- Whether an attempt that holds a key will never come back to it: it has ended, or the journal has not known it for a day.
CREATE FUNCTION state.is_over(holder uuid, begun_at timestamptz) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT status IN ('SUCCESS', 'FAILURE', 'RETRY', 'CANCELLED', 'TIMEOUT', 'NO_DATA') FROM journal.task WHERE id = holder),
        begun_at < clock_timestamp() - interval '1 day'
    )
$$;

-- Take a key for an attempt. The answer's `is`: `mine` to do the work, `done` with the first one's result, `taken` while another is at it.
CREATE FUNCTION state.take(wanted text, by uuid) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, state AS $$
DECLARE
    known state.once;
BEGIN
    -- What is released between the two statements is taken at the next turn.
    LOOP
        INSERT INTO once (key, holder) VALUES (wanted, by) ON CONFLICT DO NOTHING;
        SELECT * INTO known FROM once WHERE key = wanted FOR UPDATE;
        EXIT WHEN FOUND;
    END LOOP;
    IF known.done_at IS NOT NULL THEN
        RETURN jsonb_build_object('is', 'done', 'by', known.holder, 'result', known.result);
    ELSIF known.holder <> by AND NOT is_over(known.holder, known.begun_at) THEN
        RETURN jsonb_build_object('is', 'taken', 'by', known.holder);
    END IF;
    UPDATE once SET holder = by, begun_at = clock_timestamp() WHERE key = wanted;
    RETURN jsonb_build_object('is', 'mine');
END
$$;

-- Keep the result; false where another attempt has the key by now.
CREATE FUNCTION state.finish(wanted text, by uuid, made jsonb) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, state AS $$
BEGIN
    UPDATE once SET done_at = clock_timestamp(), result = made WHERE key = wanted AND holder = by AND done_at IS NULL;
    RETURN FOUND;
END
$$;

-- Let another one try: the work failed.
CREATE FUNCTION state.release(wanted text, by uuid) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, state AS $$
BEGIN
    DELETE FROM once WHERE key = wanted AND holder = by AND done_at IS NULL;
    RETURN FOUND;
END
$$;

CREATE FUNCTION state.prune(days integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, state AS $$
DECLARE
    gone bigint;
BEGIN
    DELETE FROM once WHERE coalesce(done_at, begun_at) < date_trunc('day', now(), 'utc') - make_interval(days => days);
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END
$$;

-- Attempts that wait for their turn, whose task has killed what ran it so many times since it last came to an end of any kind.
-- Whom a worker that leaves has ended did not die of itself. An attempt that died and is tried again has no end: whoever has the task run again by hand begins the count anew.
CREATE FUNCTION journal.killers(deaths_at_least integer) RETURNS TABLE (task uuid, deaths bigint) LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, journal AS $$
    WITH died AS (
        -- Of what Airflow has never spoken a worker may say anything.
        SELECT * FROM task WHERE NOT cancelled AND state_seq >= 0 AND id IN (
            SELECT event.task FROM event
            WHERE event.at > now() - interval '7 days' AND event.kind IN ('lost', 'repaired') AND (
                (event.kind = 'lost' AND event.source = 'worker' AND NOT event.facts ? 'leaving')
                OR (event.source = 'controller' AND event.facts ->> 'action' = 'free'))
        )
    )
    SELECT waiting.id, count(*) FROM died
    JOIN task AS waiting ON (waiting.dag_id, waiting.run_id, waiting.task_id, waiting.map_index) = (died.dag_id, died.run_id, died.task_id, died.map_index)
    WHERE waiting.replaced_by IS NULL AND waiting.status IN ('PENDING', 'QUEUED') AND NOT EXISTS (
        SELECT FROM task AS ended
        WHERE (ended.dag_id, ended.run_id, ended.task_id, ended.map_index) = (died.dag_id, died.run_id, died.task_id, died.map_index)
            AND ended.replaced_by IS NOT NULL AND ended.status <> 'RETRY' AND ended.created_at >= died.created_at
    )
    GROUP BY waiting.id HAVING count(*) >= deaths_at_least
$$;
CREATE INDEX event_of_deaths ON journal.event (at) WHERE kind IN ('lost', 'repaired');

-- What no disk took was counted, and is said afterwards.
CREATE INDEX event_of_gaps ON journal.event (at) WHERE kind = 'gap';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA state FROM PUBLIC;
REVOKE ALL ON FUNCTION journal.killers FROM PUBLIC;
-- Installed alone there is one role, which owns all of it.
DO $$
DECLARE
    given record;
BEGIN
    FOR given IN SELECT * FROM (VALUES
        ('journal_writer', 'USAGE ON SCHEMA state'), ('journal_writer', 'EXECUTE ON FUNCTION state.take, state.finish, state.release'),
        ('kit', 'USAGE ON SCHEMA state'), ('kit', 'EXECUTE ON FUNCTION state.prune, journal.killers')
    ) AS rights (role, what) WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = role) LOOP
        EXECUTE format('GRANT %s TO %I', given.what, given.role);
    END LOOP;
END
$$;
