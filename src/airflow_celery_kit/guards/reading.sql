-- What people and programs are told of guards, what the scheduler and the controller call, and how guards come here.
CREATE OR REPLACE FUNCTION kit.held_because(which text, whose text, cause text, until timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    g kit.guard;
    b kit.breaker;
    most integer;
    name text := split_part(which, ' ', 2) || CASE WHEN whose <> '' THEN ' of ' || whose ELSE '' END;
BEGIN
    SELECT * INTO g FROM kit.guard WHERE id = which;
    IF g.id IS NULL THEN
        RETURN format('waited for %s, which is gone: the next look lets it in', which);
    ELSIF g.kind = 'breaker' THEN
        SELECT * INTO b FROM kit.breaker WHERE guard = which AND token = whose;
        RETURN format('waits for breaker %s: ', name) || CASE
            WHEN b.state = 'open' AND b.until = 'infinity' THEN format('open until it is reset, %s', b.reason)
            WHEN b.state = 'open' AND b.until > clock_timestamp() THEN format('open until %s, %s', kit.clock(b.until), b.reason)
            WHEN b.state = 'closed' THEN 'closed again, the next look lets it in'
            WHEN b.probe IS NOT NULL THEN format('half-open, one task tries it out since %s, %s', kit.clock(b.since), b.reason)
            ELSE format('half-open, one task is to try it out, %s', b.reason) END;
    END IF;
    IF EXISTS (SELECT FROM kit.guard_suspended WHERE guard = which) THEN
        RETURN (SELECT format('waits for limit %s: suspended by %s, %s', name, who, reason) FROM kit.guard_suspended WHERE guard = which);
    END IF;
    most := kit.limit_slots(g);
    RETURN format('waits for limit %s', name) || CASE cause
        WHEN 'suspended' THEN ' (no slots)'
        WHEN 'start' THEN format(': starts at %s', kit.clock(until))
        WHEN 'no start' THEN ': its start is no time of ISO 8601, such as 2027-01-31T08:00Z'
        WHEN 'rate' THEN format(' (%s in %s s%s)', g.rate, g.period::numeric, CASE WHEN g.per_worker THEN ' for each worker' ELSE '' END)
        WHEN 'starts' THEN ' (those let in before have not begun)'
        WHEN 'busy' THEN ' (another scheduler lets one in at this moment)'
        ELSE format(' (%s of %s in use)', kit.limit_taken(which, whose, NULL, 1000000), most) END;
END
$$;
CREATE OR REPLACE FUNCTION kit.clock(at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC'
$$;

-- Tasks that wait now: what has gone on since, or was cleared away, is left out.
CREATE OR REPLACE FUNCTION kit.waiting_now(most integer DEFAULT NULL) RETURNS TABLE (
    task uuid, dag_id text, run_id text, task_id text, map_index integer, guard text, token text, since timestamptz, because text
) LANGUAGE sql STABLE AS $$
    SELECT held.task, held.dag_id, held.run_id, held.task_id, held.map_index, held.guard, held.token, held.since,
        kit.held_because(held.guard, held.token, held.cause, held.until)
    FROM kit.held JOIN task_instance AS ti ON ti.id = held.task
    WHERE ti.state IS NULL OR ti.state IN ('up_for_retry', 'up_for_reschedule') ORDER BY held.since LIMIT most
$$;
CREATE OR REPLACE FUNCTION kit.waits(which uuid) RETURNS TABLE (because text, since timestamptz) LANGUAGE sql STABLE AS $$
    SELECT kit.held_because(held.guard, held.token, held.cause, held.until), held.since
    FROM kit.held JOIN task_instance AS ti ON ti.id = held.task
    WHERE held.task = which AND (ti.state IS NULL OR ti.state IN ('up_for_retry', 'up_for_reschedule'))
$$;

-- How many tasks each guard has let in and keeps out now, by token.
CREATE OR REPLACE FUNCTION kit.guard_now() RETURNS TABLE (guard text, token text, taken bigint, waiting bigint) LANGUAGE sql STABLE AS $$
    SELECT one.guard, one.token, sum(one.taken)::bigint, sum(one.waiting)::bigint FROM (
        SELECT a.guard, a.token, 1 AS taken, 0 AS waiting FROM kit.admitted AS a JOIN task_instance AS ti ON ti.id = a.task
        WHERE kit.guard_active(ti.state)
        UNION ALL
        SELECT h.guard, h.token, 0, 1 FROM kit.held AS h JOIN task_instance AS ti ON ti.id = h.task
        WHERE ti.state IS NULL OR ti.state IN ('up_for_retry', 'up_for_reschedule')
    ) AS one GROUP BY one.guard, one.token
$$;

CREATE OR REPLACE VIEW kit.rates_due AS
SELECT rate.guard, rate.token, kit.rate_due(rate.next, kit.rate_gap(g.rate * times.n, g.period, g.burst * times.n), g.burst * times.n) AS due
FROM kit.rate JOIN kit.guard AS g ON g.id = rate.guard, LATERAL (SELECT kit.rate_times(g, rate.token) AS n) AS times
WHERE g.rate IS NOT NULL AND EXISTS (SELECT FROM kit.held WHERE held.guard = rate.guard AND held.token = rate.token);

-- Rings for the runs whose time has come, each once; returns the seconds until the next time. For the scheduler's sleep.
CREATE OR REPLACE FUNCTION kit.guards_ring(at timestamptz DEFAULT clock_timestamp()) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
    one record;
    due timestamptz;
BEGIN
    PERFORM kit.breakers_hear();
    PERFORM kit.guards_take_late_back();
    IF NOT EXISTS (SELECT FROM kit.held) THEN
        RETURN NULL;
    END IF;
    FOR one IN
        UPDATE kit.held SET until = NULL WHERE task IN (SELECT task FROM kit.held WHERE until <= at FOR UPDATE SKIP LOCKED) RETURNING dag_id, run_id
    LOOP
        PERFORM pg_notify('kit_wake', one.dag_id || E'\n' || one.run_id);
    END LOOP;
    FOR one IN
        UPDATE kit.breaker SET state = 'half-open', since = at WHERE (guard, token) IN (
            SELECT guard, token FROM kit.breaker WHERE state = 'open' AND until <= at FOR UPDATE SKIP LOCKED
        ) RETURNING guard, token
    LOOP
        PERFORM kit.wake_held(one.guard, one.token, 3);
    END LOOP;
    FOR one IN
        UPDATE kit.rate SET rung = next WHERE (guard, token) IN (
            SELECT rate.guard, rate.token FROM kit.rate JOIN kit.rates_due AS soon USING (guard, token)
            WHERE soon.due <= at AND rung IS DISTINCT FROM next FOR UPDATE OF rate SKIP LOCKED
        ) RETURNING guard, token
    LOOP
        PERFORM kit.wake_held(one.guard, one.token, 3);
    END LOOP;
    SELECT least(
        (SELECT min(until) FROM kit.held WHERE until > at),
        (SELECT min(until) FROM kit.breaker AS b WHERE state = 'open' AND until > at AND until < 'infinity'
            AND EXISTS (SELECT FROM kit.held WHERE held.guard = b.guard AND held.token = b.token)),
        (SELECT min(soon.due) FROM kit.rates_due AS soon WHERE soon.due > at)
    ) INTO due;
    RETURN extract(epoch FROM due - at);
END
$$;
-- What is of no use any more, but what somebody else is at. A row that is left over takes no slot; it only takes room.
CREATE OR REPLACE FUNCTION kit.guards_tidy() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM kit.admitted WHERE (task, guard) IN (
        SELECT task, guard FROM kit.admitted WHERE at < clock_timestamp() - interval '1 min' AND NOT EXISTS (
            SELECT FROM task_instance AS ti WHERE ti.id = admitted.task AND kit.guard_active(ti.state)
        ) FOR UPDATE SKIP LOCKED);
    DELETE FROM kit.held WHERE task IN (
        SELECT task FROM kit.held WHERE NOT EXISTS (
            SELECT FROM task_instance AS ti WHERE ti.id = held.task AND (ti.state IS NULL OR ti.state IN ('up_for_retry', 'up_for_reschedule'))
        ) FOR UPDATE SKIP LOCKED);
    WITH gone AS (
        DELETE FROM kit.breaker WHERE (guard, token) IN (
            SELECT guard, token FROM kit.breaker WHERE NOT EXISTS (SELECT FROM kit.guard WHERE id = breaker.guard)
                OR (since < clock_timestamp() - interval '1 day' AND coalesce(until, since) < clock_timestamp() - interval '1 day'
                    AND NOT EXISTS (SELECT FROM kit.admitted WHERE admitted.guard = breaker.guard AND admitted.token = breaker.token)
                    AND NOT EXISTS (SELECT FROM kit.held WHERE held.guard = breaker.guard AND held.token = breaker.token))
            FOR UPDATE SKIP LOCKED
        ) RETURNING guard, trips_ever
    )
    INSERT INTO kit.guard_trip AS known SELECT guard, sum(trips_ever) FROM gone WHERE trips_ever > 0 GROUP BY guard
    ON CONFLICT (guard) DO UPDATE SET trips = known.trips + excluded.trips;
    DELETE FROM kit.guard_trip WHERE NOT EXISTS (SELECT FROM kit.guard WHERE id = guard_trip.guard);
    DELETE FROM kit.guard_said WHERE NOT EXISTS (SELECT FROM serialized_dag WHERE serialized_dag.dag_id = guard_said.dag_id);
    DELETE FROM kit.guard WHERE origin = 'dag' AND NOT EXISTS (
        SELECT FROM kit.guard_said WHERE said -> guard.kind ? guard.name);
    DELETE FROM kit.rate WHERE (guard, token) IN (SELECT guard, token FROM kit.rate WHERE next < clock_timestamp() - interval '1 day' FOR UPDATE SKIP LOCKED);
    DELETE FROM kit.breaker_news WHERE at < clock_timestamp() - interval '1 hour';
    DELETE FROM kit.guard_event WHERE at < clock_timestamp() - interval '7 days';
    DELETE FROM kit.guard_fault WHERE at < clock_timestamp() - interval '7 days';
END
$$;

-- The guards of config/limits.yaml, all of them; those that Dags define stay where the file does not name them too.
CREATE OR REPLACE FUNCTION kit.guards_apply(given jsonb) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    wanted kit.guard[] := array(SELECT row(one.*)::kit.guard FROM jsonb_populate_recordset(NULL::kit.guard, given) AS one ORDER BY id);
    now_there kit.guard[];
    one record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('kit.guards_apply'));
    SELECT coalesce(array_agg(g ORDER BY g.id), '{}') INTO now_there FROM kit.guard AS g WHERE origin = 'file';
    IF now_there = wanted THEN
        RETURN false;
    END IF;
    DELETE FROM kit.guard WHERE origin = 'file' OR id IN (SELECT id FROM unnest(wanted));
    INSERT INTO kit.guard SELECT * FROM unnest(wanted);
    PERFORM kit.guards_define(dag_id, task_id, said) FROM kit.guard_said;
    PERFORM kit.guards_adopt();
    FOR one IN SELECT dag_id, run_id FROM kit.held GROUP BY dag_id, run_id ORDER BY min(since) LIMIT 50 LOOP
        PERFORM pg_notify('kit_wake', one.dag_id || E'\n' || one.run_id);
    END LOOP;
    RETURN true;
END
$$;

-- Whatever a task says of them: guards of a Dag are for those that name them, and can be told from all others.
CREATE OR REPLACE FUNCTION kit.guards_defined(said jsonb) RETURNS SETOF kit.guard LANGUAGE sql STABLE AS $$
    SELECT row.* FROM jsonb_array_elements(coalesce(said -> 'define', '[]')) AS one, LATERAL jsonb_populate_record(NULL::kit.guard, one || jsonb_build_object(
        'id', (one ->> 'kind') || ' ' || (one ->> 'name'), 'origin', 'dag', 'named', true,
        'dags', NULL, 'tasks', NULL, 'pools', NULL, 'queues', NULL, 'tags', NULL
    )) AS row
$$;

-- Guards that a task defines by the way: the file and operators come first.
CREATE OR REPLACE FUNCTION kit.guards_define(of_dag text, of_task text, said jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM kit.guard WHERE origin = 'dag' AND id IN (SELECT id FROM kit.guards_defined(said));
    INSERT INTO kit.guard AS known SELECT * FROM kit.guards_defined(said) ON CONFLICT (id) DO NOTHING;
    -- A breaker that nobody describes has the usual values.
    INSERT INTO kit.guard (id, kind, name, origin, rule, named, failures, failures_within, open_for, growth, open_most, on_open)
    SELECT 'breaker ' || name, 'breaker', name, 'dag', '{}', true, 3, 60, 30, 'constant', 30, 'wait'
    FROM jsonb_array_elements_text(coalesce(said -> 'breaker', '[]')) AS name ON CONFLICT (id) DO NOTHING;
    IF said ?| '{start,start_conf}' THEN
        INSERT INTO kit.guard (id, kind, name, origin, rule, named) VALUES ('limit start', 'limit', 'start', 'dag', '{}', true) ON CONFLICT (id) DO NOTHING;
    END IF;
END
$$;

-- Airflow's encoding of dictionaries, undone.
CREATE OR REPLACE FUNCTION kit.plain(given jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE
        WHEN jsonb_typeof(given) = 'array' THEN (SELECT coalesce(jsonb_agg(kit.plain(one)), '[]') FROM jsonb_array_elements(given) AS one)
        WHEN jsonb_typeof(given) <> 'object' THEN given
        WHEN given ? '__var' THEN kit.plain(given -> '__var')
        ELSE (SELECT coalesce(jsonb_object_agg(key, kit.plain(value)), '{}') FROM jsonb_each(given)) END;
END
$$;
CREATE OR REPLACE FUNCTION kit.listed(given jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN given IS NULL THEN '[]' WHEN jsonb_typeof(given) = 'array' THEN given ELSE jsonb_build_array(given) END
$$;

-- A Dag is stored before any task of it can be scheduled, and what its tasks say of guards in the same transaction.
CREATE OR REPLACE FUNCTION kit.guards_read_dag(of_dag text, tasks jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    DELETE FROM kit.guard_said WHERE dag_id = of_dag;
    FOR one IN
        SELECT var ->> 'task_id' AS task_id, kit.plain(coalesce(var -> 'executor_config', var -> 'partial_kwargs' -> 'executor_config')) -> 'kit' AS said
        FROM (SELECT task -> '__var' AS var FROM jsonb_array_elements(tasks) AS task) AS decoded
        WHERE coalesce(var -> 'executor_config', var -> 'partial_kwargs' -> 'executor_config') IS NOT NULL
    LOOP
        CONTINUE WHEN one.said IS NULL OR jsonb_typeof(one.said) <> 'object';
        one.said := one.said || jsonb_build_object('limit', kit.listed(one.said -> 'limit')
            || CASE WHEN one.said ?| '{start,start_conf}' THEN '["start"]'::jsonb ELSE '[]' END, 'breaker', kit.listed(one.said -> 'breaker'));
        INSERT INTO kit.guard_said (dag_id, task_id, said) VALUES (of_dag, one.task_id, one.said)
        ON CONFLICT (dag_id, task_id) DO UPDATE SET said = excluded.said;
        PERFORM kit.guards_define(of_dag, one.task_id, one.said);
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    PERFORM kit.guard_wrong(NULL, format('Dag %s: %s', of_dag, SQLERRM));
END
$$;
CREATE OR REPLACE FUNCTION kit.dag_stored() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NEW.data IS NULL THEN
        PERFORM kit.guard_wrong(NULL, format('Dag %s is stored compressed (compress_serialized_dags): what it says of guards cannot be read', NEW.dag_id));
        RETURN NULL;
    END IF;
    PERFORM kit.guards_read_dag(NEW.dag_id, coalesce(NEW.data -> 'dag' -> 'tasks', '[]'));
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_hold_dag AFTER INSERT OR UPDATE OF data ON serialized_dag FOR EACH ROW EXECUTE FUNCTION kit.dag_stored();
SELECT kit.guards_read_dag(dag_id, coalesce(data -> 'dag' -> 'tasks', '[]')) FROM (
    SELECT DISTINCT ON (dag_id) dag_id, data FROM serialized_dag WHERE data::text LIKE '%"kit"%' ORDER BY dag_id, last_updated DESC
) AS newest;

DO $$ BEGIN
    IF to_regrole('kit') IS NOT NULL THEN
        GRANT SELECT ON kit.guard, kit.guard_said, kit.guard_suspended, kit.guard_value, kit.guard_workers, kit.guard_file, kit.admitted, kit.held,
            kit.rate, kit.breaker, kit.guard_event, kit.guard_fault TO kit;
        GRANT INSERT, UPDATE, DELETE ON kit.guard_value, kit.guard_workers, kit.guard_file TO kit;
    END IF;
END $$;
