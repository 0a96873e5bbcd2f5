-- What guards have missed: tasks that began before a guard was there, and what another transaction let in, or had locked, at the moment when
-- a breaker opened or somebody suspended a limit. All count in the order of tasks, so that two wait for each other in one way alone.

-- Tasks under way that a guard has not counted. Looks for `seconds` at most, 500 tasks at a time; the next call goes on from there.
DROP FUNCTION IF EXISTS kit.guards_adopt();
CREATE OR REPLACE FUNCTION kit.guards_adopt(seconds double precision DEFAULT 0.4) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    until timestamptz := clock_timestamp() + make_interval(secs => seconds);
    begin_of_all uuid := '00000000-0000-0000-0000-000000000000';
    last uuid;
    under_way uuid[];
    batch uuid[];
    number integer;
    adopted integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM kit.guard) THEN
        RETURN 0;
    END IF;
    INSERT INTO kit.guard_sweep (after) SELECT begin_of_all WHERE NOT EXISTS (SELECT FROM kit.guard_sweep) ON CONFLICT DO NOTHING;
    SELECT after INTO last FROM kit.guard_sweep FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    under_way := array(SELECT id FROM task_instance
        WHERE kit.guard_active(state) AND id > last ORDER BY id);
    last := begin_of_all;
    FOR at IN 1 .. cardinality(under_way) BY 500 LOOP
        batch := under_way[at : at + 499];
        INSERT INTO kit.admitted (task, guard, token)
        SELECT ti.id, g.id, CASE WHEN g.token = '' THEN '' ELSE kit.guard_token(g.token, ti.dag_id, ti.run_id, ti.task_id, ti.pool, ti.queue) END
        FROM task_instance AS ti, LATERAL kit.guards_of(ti.dag_id, ti.task_id, ti.pool, ti.queue) AS g
        WHERE ti.id = ANY (batch) AND kit.guard_active(ti.state)
            AND NOT EXISTS (SELECT FROM kit.admitted AS known WHERE known.task = ti.id AND known.guard = g.id)
        ORDER BY ti.id, g.id ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS number = ROW_COUNT;
        adopted := adopted + number;
        IF clock_timestamp() > until AND at + 499 < cardinality(under_way) THEN
            last := under_way[at + 499];
            EXIT;
        END IF;
    END LOOP;
    UPDATE kit.guard_sweep SET after = last WHERE after <> last;
    RETURN adopted;
END
$$;

-- Tasks that have not begun and that one guard has not counted: what has nothing of it cannot be taken back.
CREATE OR REPLACE FUNCTION kit.guard_adopt(which text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO kit.admitted (task, guard, token)
    SELECT ti.id, g.id, CASE WHEN g.token = '' THEN '' ELSE kit.guard_token(g.token, ti.dag_id, ti.run_id, ti.task_id, ti.pool, ti.queue) END
    FROM task_instance AS ti, LATERAL kit.guards_of(ti.dag_id, ti.task_id, ti.pool, ti.queue) AS g
    WHERE g.id = which AND ti.state IN ('scheduled', 'queued') AND NOT EXISTS (
        SELECT FROM kit.admitted AS known WHERE known.task = ti.id AND known.guard = which
    ) ORDER BY ti.id, g.id ON CONFLICT DO NOTHING
$$;

-- Called before the scheduler sleeps (kit.guards_ring).
CREATE OR REPLACE FUNCTION kit.guards_take_late_back() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    -- A transaction that did not see the limit of a scope has nothing of it; none lasts a minute. That is looked for when a suspension is
    -- twice as old as the last time: it costs a look at each task that has not begun.
    FOR one IN
        UPDATE kit.guard_suspended SET looked_at = clock_timestamp() WHERE guard IN (
            SELECT guard FROM kit.guard_suspended
            WHERE at > clock_timestamp() - interval '3 min' AND clock_timestamp() - at >= 2 * (looked_at - at) FOR UPDATE SKIP LOCKED
        ) RETURNING guard
    LOOP
        PERFORM kit.guard_adopt(one.guard);
    END LOOP;
    FOR one IN
        SELECT stop.* FROM (
            SELECT b.guard, b.token, b.probe FROM kit.breaker AS b WHERE b.state <> 'closed'
            UNION ALL SELECT g.id, NULL, NULL FROM kit.guard_suspended AS s JOIN kit.guard AS g ON g.id = s.guard
        ) AS stop WHERE EXISTS (
            SELECT FROM kit.admitted AS a JOIN task_instance AS ti ON ti.id = a.task
            WHERE a.guard = stop.guard AND (stop.token IS NULL OR a.token = stop.token) AND ti.state IN ('scheduled', 'queued')
                AND ti.next_method IS NULL AND ti.id IS DISTINCT FROM stop.probe
        )
    LOOP
        PERFORM kit.guard_take_free_back(one.guard, one.token, one.probe);
    END LOOP;
END
$$;
