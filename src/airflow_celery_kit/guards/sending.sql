-- Who is sent, and who leaves: triggers on task instances, within the transaction that sends or ends a task.
-- The guard that stops a task that was let in: a limit that was suspended since, a breaker that has opened. The lock is shared and short,
-- and nobody waits for it here: whoever opens the breaker waits for this transaction, and then finds what it has sent.
CREATE OR REPLACE FUNCTION kit.guard_stops(ti kit.guard_subject, OUT guard text, OUT token text) LANGUAGE plpgsql AS $$
DECLARE
    b kit.breaker;
BEGIN
    IF EXISTS (SELECT FROM kit.guard_suspended) THEN
        SELECT g.id, kit.guard_token(g.token, ti.dag_id, ti.run_id, ti.task_id, ti.pool, ti.queue) INTO guard, token
        FROM kit.guards_of(ti.dag_id, ti.task_id, ti.pool, ti.queue) AS g JOIN kit.guard_suspended AS s ON s.guard = g.id LIMIT 1;
        IF FOUND THEN
            RETURN;
        END IF;
    END IF;
    FOR guard, token IN SELECT let.guard, let.token FROM kit.admitted AS let WHERE let.task = ti.id AND let.guard LIKE 'breaker %' LOOP
        SELECT * INTO b FROM kit.breaker AS one WHERE one.guard = guard_stops.guard AND one.token = guard_stops.token FOR SHARE SKIP LOCKED;
        CONTINUE WHEN FOUND AND (b.state = 'closed' OR b.probe = ti.id);
        RETURN;
    END LOOP;
    guard := NULL;
END
$$;
CREATE OR REPLACE FUNCTION kit.guard_sent() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    stop record;
    ti kit.guard_subject := (NEW.id, NEW.dag_id, NEW.run_id, NEW.task_id, NEW.map_index, NEW.pool, NEW.queue);
BEGIN
    IF NOT EXISTS (SELECT FROM kit.admitted WHERE task = NEW.id) AND NOT EXISTS (SELECT FROM kit.guard_suspended) THEN
        RETURN NEW;
    END IF;
    BEGIN
        stop := kit.guard_stops(ti);
        IF stop.guard IS NOT NULL THEN
            PERFORM kit.guard_hold(ti, stop.guard, stop.token, 'taken back', NULL);
            IF NEW.external_executor_id IS NOT NULL THEN
                INSERT INTO kit.withdrawal (message, task) VALUES (NEW.external_executor_id, NEW.id) ON CONFLICT DO NOTHING;
            END IF;
            NEW.state := NULL;
            NEW.try_number := greatest(0, NEW.try_number - 1);
        END IF;
    EXCEPTION WHEN OTHERS THEN
        PERFORM kit.guard_wrong(NEW.id, SQLERRM);
    END;
    RETURN NEW;
END
$$;
-- What goes on after a deferral has begun already.
CREATE OR REPLACE TRIGGER kit_hold_sent BEFORE UPDATE OF state ON task_instance FOR EACH ROW
WHEN (NEW.state = 'queued' AND OLD.state = 'scheduled' AND NEW.next_method IS NULL) EXECUTE FUNCTION kit.guard_sent();

-- A task leaves its slot by leaving the states that hold one, whatever the reason.
CREATE OR REPLACE FUNCTION kit.guard_left() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    let kit.admitted;
    became text;
    extra boolean := false;
BEGIN
    IF NOT EXISTS (SELECT FROM kit.admitted WHERE task = OLD.id) THEN
        RETURN NULL;
    END IF;
    IF kit.guard_active(NEW.state) THEN
        UPDATE kit.admitted SET task = NEW.id WHERE task = OLD.id;
        UPDATE kit.breaker SET probe = NEW.id WHERE probe = OLD.id;
        RETURN NULL;
    END IF;
    -- What a person marks as ended says nothing of the service, nor what never ran, nor what is skipped: by a run that took too long, too.
    became := CASE
        WHEN OLD.state NOT IN ('running', 'deferred') OR coalesce(current_setting('kit.by_hand', true), '') <> '' THEN 'left'
        WHEN NEW.state IN ('success', 'up_for_reschedule') THEN 'worked'
        WHEN NEW.state IN ('failed', 'up_for_retry') THEN 'broke'
        ELSE 'left'
    END;
    IF became = 'worked' THEN
        DELETE FROM kit.guard_probe WHERE dag_id = OLD.dag_id AND run_id = OLD.run_id AND task_id = OLD.task_id AND map_index = OLD.map_index;
    END IF;
    -- Breakers are locked in one order by all who end a task.
    FOR let IN WITH gone AS (DELETE FROM kit.admitted WHERE task = OLD.id RETURNING *) SELECT * FROM gone ORDER BY guard, token LOOP
        BEGIN
            extra := extra OR let.extra_try;
            IF let.guard LIKE 'breaker %' THEN
                PERFORM kit.breaker_tell(let.guard, let.token, OLD.id, became, clock_timestamp());
            ELSE
                PERFORM kit.wake_held(let.guard, let.token, 2);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            PERFORM kit.guard_wrong(OLD.id, SQLERRM);
        END;
    END LOOP;
    -- Who was taken back has not tried anything out, and a sensor that looks again has not failed.
    IF extra AND (NEW.try_number < OLD.try_number OR NEW.state = 'up_for_reschedule') THEN
        UPDATE task_instance SET max_tries = max_tries - 1 WHERE id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_hold_left AFTER UPDATE OF state, id ON task_instance FOR EACH ROW
WHEN (kit.guard_active(OLD.state) AND (OLD.id <> NEW.id OR kit.guard_active(NEW.state) IS NOT TRUE))
EXECUTE FUNCTION kit.guard_left();

-- A Dag that is paused keeps what is scheduled so, for as long as it is paused: its slots, and its probes, are for others meanwhile.
CREATE OR REPLACE FUNCTION kit.guard_dag_paused() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE task_instance SET state = NULL, try_number = greatest(0, try_number - 1) WHERE id IN (
        SELECT ti.id FROM kit.admitted JOIN task_instance AS ti ON ti.id = admitted.task
        WHERE ti.dag_id = NEW.dag_id AND ti.state = 'scheduled' AND ti.next_method IS NULL FOR UPDATE OF ti SKIP LOCKED
    );
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    PERFORM kit.guard_wrong(NULL, format('Dag %s paused: %s', NEW.dag_id, SQLERRM));
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_hold_paused AFTER UPDATE OF is_paused ON dag FOR EACH ROW
WHEN (NEW.is_paused AND NOT OLD.is_paused) EXECUTE FUNCTION kit.guard_dag_paused();
