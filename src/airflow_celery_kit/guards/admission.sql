-- Who is let in: a trigger on task instances, within the transaction that schedules a task.
CREATE OR REPLACE FUNCTION kit.guard_let_in(g kit.guard, whose text, ti kit.guard_subject, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    times integer;
    gap double precision;
BEGIN
    INSERT INTO kit.admitted AS known (task, guard, token) VALUES (ti.id, g.id, whose)
    ON CONFLICT (task, guard) DO UPDATE SET token = excluded.token WHERE known.token <> excluded.token;
    IF g.rate IS NOT NULL THEN
        times := kit.rate_times(g, ti.queue);
        gap := kit.rate_gap(g.rate * times, g.period, g.burst * times);
        INSERT INTO kit.rate AS known (guard, token, next) VALUES (g.id, whose, kit.rate_take(at, gap, at))
        ON CONFLICT (guard, token) DO UPDATE SET next = kit.rate_take(known.next, gap, at);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION kit.guard_wrong(task uuid, problem text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM kit.guard_fault WHERE what = problem AND guard_fault.task = guard_wrong.task AND at > clock_timestamp() - interval '10 s') THEN
        INSERT INTO kit.guard_fault (task, what) VALUES (task, problem);
    END IF;
EXCEPTION WHEN OTHERS THEN
    RETURN;
END
$$;

-- The breaker at which a task fails rather than waits, where it would meet it closed no more.
CREATE OR REPLACE FUNCTION kit.guard_fails(ti kit.guard_subject, at timestamptz, OUT guard kit.guard, OUT token text, OUT cause text, OUT until timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    b kit.breaker;
BEGIN
    FOR guard IN SELECT * FROM kit.guards_of(ti.dag_id, ti.task_id, ti.pool, ti.queue) AS g WHERE g.on_open = 'fail' LOOP
        token := kit.guard_token(guard.token, ti.dag_id, ti.run_id, ti.task_id, ti.pool, ti.queue);
        SELECT * INTO b FROM kit.breaker AS one WHERE one.guard = (guard_fails.guard).id AND one.token = guard_fails.token;
        IF b.state = 'open' AND b.until > at THEN
            cause := 'open';
            until := b.until;
            RETURN;
        ELSIF b.state = 'half-open' AND b.probe <> ti.id AND EXISTS (
            SELECT FROM task_instance AS one WHERE one.id = b.probe AND kit.guard_active(one.state)
                AND (one.state NOT IN ('scheduled', 'queued') OR b.since > at - interval '2 min')
        ) THEN
            cause := 'probing';
            RETURN;
        END IF;
    END LOOP;
END
$$;

-- Asks every guard of a task, and only then takes what they give. Returns the guard that keeps it out.
CREATE OR REPLACE FUNCTION kit.guard_ask(ti kit.guard_subject, at timestamptz, OUT guard kit.guard, OUT token text, OUT cause text, OUT until timestamptz, OUT probes boolean)
LANGUAGE plpgsql AS $$
DECLARE
    g kit.guard;
    found kit.guard[] := '{}';
    tokens text[] := '{}';
    asked text[] := '{}';
    said text;
    fails record;
BEGIN
    probes := false;
    -- No limit may have it wait for what it will not be given.
    IF EXISTS (SELECT FROM kit.guard AS one WHERE one.on_open = 'fail') THEN
        fails := kit.guard_fails(ti, at);
        IF fails.cause IS NOT NULL THEN
            guard := fails.guard;
            token := fails.token;
            cause := fails.cause;
            until := fails.until;
            RETURN;
        END IF;
    END IF;
    FOR g IN SELECT * FROM kit.guards_of(ti.dag_id, ti.task_id, ti.pool, ti.queue) LOOP
        token := kit.guard_token(g.token, ti.dag_id, ti.run_id, ti.task_id, ti.pool, ti.queue);
        said := NULL;
        IF g.kind = 'limit' THEN
            SELECT one.cause, one.until INTO cause, until FROM kit.limit_ask(g, token, ti, at) AS one;
        ELSE
            said := kit.breaker_ask(g.id, token, ti.id, at);
            IF said = 'closed' AND NOT EXISTS (SELECT FROM kit.breaker AS b WHERE b.guard = g.id AND b.token = guard_ask.token) THEN
                -- Without a row nobody could tell that one is being changed.
                said := CASE WHEN kit.guard_alone(g.id, token) THEN 'new' ELSE 'busy' END;
            END IF;
            cause := CASE WHEN said NOT IN ('closed', 'new', 'probe') THEN said END;
            until := CASE WHEN said = 'open' THEN (SELECT b.until FROM kit.breaker AS b WHERE b.guard = g.id AND b.token = guard_ask.token) END;
        END IF;
        IF cause IS NOT NULL THEN
            guard := g;
            RETURN;
        END IF;
        found := found || g;
        tokens := tokens || token;
        asked := asked || coalesce(said, '');
    END LOOP;
    FOR number IN 1 .. cardinality(found) LOOP
        g := found[number];
        PERFORM kit.guard_let_in(g, tokens[number], ti, at);
        IF asked[number] = 'new' THEN
            INSERT INTO kit.breaker (guard, token) VALUES (g.id, tokens[number]) ON CONFLICT DO NOTHING;
        ELSIF asked[number] = 'probe' THEN
            PERFORM kit.breaker_probe(g.id, tokens[number], ti.id, at);
            probes := true;
        END IF;
    END LOOP;
END
$$;

-- Whether the service is back is nothing that a task should lose a try for. But one that fails a hundred times may be at fault itself.
CREATE OR REPLACE FUNCTION kit.guard_probe_is_free(ti kit.guard_subject) RETURNS boolean LANGUAGE sql AS $$
    INSERT INTO kit.guard_probe AS known (dag_id, run_id, task_id, map_index, number) VALUES (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, 1)
    ON CONFLICT (dag_id, run_id, task_id, map_index) DO UPDATE SET number = known.number + 1, at = excluded.at RETURNING number <= 100
$$;

CREATE OR REPLACE FUNCTION kit.guard_hold(ti kit.guard_subject, which text, whose text, why text, to_be timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- A task that still waits for the same is not written again at each look.
    IF NOT EXISTS (
        SELECT FROM kit.held WHERE task = ti.id AND guard = which AND token = whose AND (cause = why OR why = 'busy') AND until IS NOT DISTINCT FROM to_be
    ) THEN
        INSERT INTO kit.held AS known (task, dag_id, run_id, task_id, map_index, guard, token, cause, until)
        VALUES (ti.id, ti.dag_id, ti.run_id, ti.task_id, ti.map_index, which, whose, why, to_be)
        ON CONFLICT (task) DO UPDATE SET guard = excluded.guard, token = excluded.token, cause = excluded.cause, until = excluded.until;
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION kit.hold_guarded() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    asked record;
    why text;
    ti kit.guard_subject := (NEW.id, NEW.dag_id, NEW.run_id, NEW.task_id, NEW.map_index, NEW.pool, NEW.queue);
BEGIN
    IF NOT EXISTS (SELECT FROM kit.guard) THEN
        RETURN NEW;
    END IF;
    BEGIN
        -- The executor has not heard yet that its message of before is gone, and would take that for the end of this one.
        IF EXISTS (
            SELECT FROM kit.withdrawal WHERE task = NEW.id AND asked_at > clock_timestamp() - interval '1 min'
                AND coalesce(done_at, 'infinity') > clock_timestamp() - interval '3 s'
        ) THEN
            RETURN NULL;
        END IF;
        asked := kit.guard_ask(ti, clock_timestamp());
        IF asked.cause IS NULL THEN
            DELETE FROM kit.held WHERE task = NEW.id;
            IF asked.probes AND kit.guard_probe_is_free(ti) THEN
                NEW.max_tries := NEW.max_tries + 1;
                UPDATE kit.admitted SET extra_try = true WHERE task = NEW.id;
            END IF;
            RETURN NEW;
        END IF;
        IF (asked.guard).on_open = 'fail' AND asked.cause IN ('open', 'probing') AND NEW.next_method IS NULL THEN
            why := kit.held_because((asked.guard).id, asked.token, asked.cause, asked.until);
            INSERT INTO kit.change (kind, source, task, dag_id, run_id, task_id, map_index, attempt, facts)
            SELECT 'error', 'controller', NEW.id, NEW.dag_id, NEW.run_id, NEW.task_id, NEW.map_index, NEW.try_number, jsonb_build_object('error', why)
            WHERE kit.is_told();
            DELETE FROM kit.held WHERE task = NEW.id;
            NEW.state := 'failed';
            NEW.start_date := clock_timestamp();
            NEW.end_date := NEW.start_date;
            NEW.duration := 0;
            RETURN NEW;
        END IF;
        PERFORM kit.guard_hold(ti, (asked.guard).id, asked.token, asked.cause, CASE WHEN asked.cause <> 'rate' THEN asked.until END);
        RETURN NULL;
    EXCEPTION
        -- Somebody else was at the same rows: not asked is not let in.
        WHEN deadlock_detected OR lock_not_available OR serialization_failure THEN
            RETURN NULL;
        WHEN OTHERS THEN
            PERFORM kit.guard_wrong(NEW.id, SQLERRM);
            RETURN NEW;
    END;
END
$$;
-- After kit_hold by its name: who pauses a run takes no slot of a limit.
CREATE OR REPLACE TRIGGER kit_hold_guarded BEFORE UPDATE OF state ON task_instance FOR EACH ROW
WHEN (NEW.state = 'scheduled' AND (OLD.state IS NULL OR OLD.state IN ('up_for_retry', 'up_for_reschedule')))
EXECUTE FUNCTION kit.hold_guarded();
