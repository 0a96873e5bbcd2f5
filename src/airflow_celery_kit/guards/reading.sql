-- What people and programs are told of guards, and what the scheduler and the controller call.
CREATE OR REPLACE FUNCTION kit.held_because(which text, whose text, cause text, until timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
    g kit.guard;
    b kit.breaker;
    most integer;
    name text := substr(which, strpos(which, ' ') + 1) || CASE WHEN whose <> '' THEN ' of ' || whose ELSE '' END;
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
-- What is of no use any more, but what somebody else is at: `most` rows of each kind at a time. Returns whether more may be left.
-- A row that is left over takes no slot; it only takes room.
DROP FUNCTION IF EXISTS kit.guards_tidy();
CREATE OR REPLACE FUNCTION kit.guards_tidy(most integer DEFAULT 2000) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    gone bigint[];
BEGIN
    WITH one AS (
        DELETE FROM kit.admitted WHERE (task, guard) IN (
            SELECT task, guard FROM kit.admitted WHERE at < clock_timestamp() - interval '1 min' AND NOT EXISTS (
                SELECT FROM task_instance AS ti WHERE ti.id = admitted.task AND kit.guard_active(ti.state)
            ) LIMIT most FOR UPDATE SKIP LOCKED) RETURNING 1
    ), two AS (
        DELETE FROM kit.held WHERE task IN (
            SELECT task FROM kit.held WHERE NOT EXISTS (
                SELECT FROM task_instance AS ti WHERE ti.id = held.task AND (ti.state IS NULL OR ti.state IN ('up_for_retry', 'up_for_reschedule'))
            ) LIMIT most FOR UPDATE SKIP LOCKED) RETURNING 1
    ), three AS (
        DELETE FROM kit.rate WHERE (guard, token) IN (
            SELECT guard, token FROM kit.rate WHERE next < clock_timestamp() - interval '1 day' LIMIT most FOR UPDATE SKIP LOCKED) RETURNING 1
    ), four AS (
        DELETE FROM kit.breaker_news WHERE seq IN (
            SELECT seq FROM kit.breaker_news WHERE at < clock_timestamp() - interval '1 hour' LIMIT most FOR UPDATE SKIP LOCKED) RETURNING 1
    ), five AS (
        DELETE FROM kit.guard_event WHERE seq IN (
            SELECT seq FROM kit.guard_event WHERE at < clock_timestamp() - interval '7 days' LIMIT most) RETURNING 1
    ), six AS (
        DELETE FROM kit.guard_fault WHERE id IN (
            SELECT id FROM kit.guard_fault WHERE at < clock_timestamp() - interval '7 days' LIMIT most) RETURNING 1
    ), seven AS (
        DELETE FROM kit.guard_probe WHERE (dag_id, run_id, task_id, map_index) IN (
            SELECT dag_id, run_id, task_id, map_index FROM kit.guard_probe WHERE at < clock_timestamp() - interval '7 days'
            LIMIT most FOR UPDATE SKIP LOCKED) RETURNING 1
    )
    SELECT array[(SELECT count(*) FROM one), (SELECT count(*) FROM two), (SELECT count(*) FROM three), (SELECT count(*) FROM four),
        (SELECT count(*) FROM five), (SELECT count(*) FROM six), (SELECT count(*) FROM seven)] INTO gone;
    WITH closed AS (
        DELETE FROM kit.breaker WHERE (guard, token) IN (
            SELECT guard, token FROM kit.breaker WHERE NOT EXISTS (SELECT FROM kit.guard WHERE id = breaker.guard)
                OR (since < clock_timestamp() - interval '1 day' AND coalesce(until, since) < clock_timestamp() - interval '1 day'
                    AND NOT EXISTS (SELECT FROM kit.admitted WHERE admitted.guard = breaker.guard AND admitted.token = breaker.token)
                    AND NOT EXISTS (SELECT FROM kit.held WHERE held.guard = breaker.guard AND held.token = breaker.token))
            LIMIT most FOR UPDATE SKIP LOCKED
        ) RETURNING guard, trips_ever
    ), kept AS (
        INSERT INTO kit.guard_trip AS known SELECT guard, sum(trips_ever) FROM closed WHERE trips_ever > 0 GROUP BY guard
        ON CONFLICT (guard) DO UPDATE SET trips = known.trips + excluded.trips
    )
    SELECT gone || count(*) INTO gone FROM closed;
    -- A Dag processor may be about to name what nobody names.
    IF pg_try_advisory_xact_lock(hashtext('kit.guards_apply')) THEN
        gone := gone || kit.guards_tidy_said(most);
    END IF;
    RETURN most <= ANY (gone);
END
$$;
CREATE OR REPLACE FUNCTION kit.guards_tidy_said(most integer) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    tasks bigint;
    guards bigint;
BEGIN
    DELETE FROM kit.guard_trip WHERE NOT EXISTS (SELECT FROM kit.guard WHERE id = guard_trip.guard);
    DELETE FROM kit.guard_said WHERE (dag_id, task_id) IN (
        SELECT dag_id, task_id FROM kit.guard_said AS one WHERE NOT EXISTS (SELECT FROM serialized_dag WHERE serialized_dag.dag_id = one.dag_id) LIMIT most);
    GET DIAGNOSTICS tasks = ROW_COUNT;
    WITH named AS (
        SELECT DISTINCT kind, name FROM (VALUES ('limit'), ('breaker')) AS one (kind), kit.guard_said,
            LATERAL jsonb_array_elements_text(coalesce(said -> kind, '[]')) AS name
    )
    DELETE FROM kit.guard WHERE id IN (
        SELECT id FROM kit.guard AS one WHERE origin = 'dag'
            AND NOT EXISTS (SELECT FROM named WHERE named.kind = one.kind AND named.name = one.name) LIMIT most);
    GET DIAGNOSTICS guards = ROW_COUNT;
    RETURN array[tasks, guards];
END
$$;

DO $$ BEGIN
    IF to_regrole('kit') IS NOT NULL THEN
        GRANT SELECT ON kit.guard, kit.guard_said, kit.guard_suspended, kit.guard_value, kit.guard_workers, kit.guard_file, kit.admitted, kit.held,
            kit.rate, kit.breaker, kit.guard_event, kit.guard_fault TO kit;
        GRANT INSERT, UPDATE, DELETE ON kit.guard_value, kit.guard_workers, kit.guard_file TO kit;
    END IF;
END $$;
