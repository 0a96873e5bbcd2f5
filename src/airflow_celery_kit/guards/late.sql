-- What another transaction let in, or had locked, at the moment when a breaker opened or somebody suspended a limit.
-- Tasks that have not begun and that one guard has not counted: what has nothing of it cannot be taken back.
CREATE OR REPLACE FUNCTION kit.guard_adopt(which text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO kit.admitted (task, guard, token)
    SELECT ti.id, g.id, kit.guard_token(g.token, ti.dag_id, ti.run_id, ti.task_id, ti.pool, ti.queue)
    FROM task_instance AS ti, LATERAL kit.guards_of(ti.dag_id, ti.task_id, ti.pool, ti.queue) AS g
    WHERE g.id = which AND ti.state IN ('scheduled', 'queued') AND NOT EXISTS (
        SELECT FROM kit.admitted AS known WHERE known.task = ti.id AND known.guard = which
    ) ON CONFLICT DO NOTHING
$$;

-- Called before the scheduler sleeps (kit.guards_ring).
CREATE OR REPLACE FUNCTION kit.guards_take_late_back() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    -- A transaction that did not see the limit of a scope has nothing of it; none lasts a minute.
    PERFORM kit.guard_adopt(guard) FROM kit.guard_suspended WHERE at > clock_timestamp() - interval '1 min';
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
