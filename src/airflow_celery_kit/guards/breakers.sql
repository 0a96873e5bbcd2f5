-- Breakers: the same arithmetic as core/guards/breaker.py. `at` is now, so that tests need not wait.

-- How long one stays open after it has opened `openings` times without having closed.
CREATE OR REPLACE FUNCTION kit.breaker_seconds(base double precision, growth text, most double precision, openings integer)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT least(most, CASE growth WHEN 'linear' THEN base * openings WHEN 'exponential' THEN base * 2 ^ least(openings - 1, 30) ELSE base END)
$$;

-- Tasks that were let in and have not begun wait again, as if they had never been due; what another transaction has locked is left.
-- Those that were sent come first, and no more than 500: the rest cannot be sent any more (kit.guard_stops), and is taken back by and by.
CREATE OR REPLACE FUNCTION kit.guard_take_free_back(which text, whose text, but uuid) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    ti record;
    taken integer := 0;
BEGIN
    FOR ti IN
        SELECT one.id, one.dag_id, one.run_id, one.task_id, one.map_index, one.state, one.external_executor_id, admitted.token
        FROM kit.admitted JOIN task_instance AS one ON one.id = admitted.task
        WHERE admitted.guard = which AND (whose IS NULL OR admitted.token = whose) AND one.id IS DISTINCT FROM but
            AND one.state IN ('scheduled', 'queued') AND one.next_method IS NULL
        ORDER BY one.state LIMIT 500 FOR UPDATE OF one SKIP LOCKED
    LOOP
        IF ti.state = 'queued' AND ti.external_executor_id IS NOT NULL THEN
            INSERT INTO kit.withdrawal (message, task) VALUES (ti.external_executor_id, ti.id) ON CONFLICT DO NOTHING;
        END IF;
        UPDATE task_instance SET state = NULL, try_number = greatest(0, try_number - 1), external_executor_id = NULL, queued_by_job_id = NULL
        WHERE id = ti.id;
        INSERT INTO kit.held (task, dag_id, run_id, task_id, map_index, guard, token, cause)
        VALUES (ti.id, ti.dag_id, ti.run_id, ti.task_id, ti.map_index, which, ti.token, 'taken back') ON CONFLICT DO NOTHING;
        taken := taken + 1;
    END LOOP;
    RETURN taken;
END
$$;

-- The scheduler locks for a moment what it has just sent, too: that is waited for, but not for long, because it may wait for this
-- transaction. What is left then is taken back before the scheduler sleeps (kit.guards_ring).
CREATE OR REPLACE FUNCTION kit.guard_take_back(which text, whose text, but uuid) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    taken integer := kit.guard_take_free_back(which, whose, but);
    before text := current_setting('lock_timeout');
BEGIN
    BEGIN
        PERFORM set_config('lock_timeout', '400ms', true);
        PERFORM FROM task_instance AS one
        WHERE one.state IN ('scheduled', 'queued') AND one.next_method IS NULL AND one.id IS DISTINCT FROM but AND one.id IN (
            SELECT task FROM kit.admitted WHERE guard = which AND (whose IS NULL OR token = whose)
        ) ORDER BY one.id FOR UPDATE;
        PERFORM set_config('lock_timeout', before, true);
        taken := taken + kit.guard_take_free_back(which, whose, but);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        NULL;
    END;
    RETURN taken;
END
$$;

CREATE OR REPLACE FUNCTION kit.breaker_open(which text, whose text, why text, by_whom text, at timestamptz, seconds double precision DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    b kit.breaker;
    rule kit.guard;
    lately timestamptz[];
    loud timestamptz;
BEGIN
    SELECT * INTO rule FROM kit.guard WHERE id = which;
    SELECT * INTO b FROM kit.breaker WHERE guard = which AND token = whose FOR UPDATE;
    lately := array(SELECT one FROM unnest(b.trips) AS one WHERE one > at - interval '5 min') || at;
    loud := CASE WHEN cardinality(lately) >= 3 THEN at + interval '30 min' ELSE b.loud_until END;
    UPDATE kit.breaker SET state = 'open', failed_at = '{}', verdicts = '{}', reason = why, who = by_whom, since = at, probe = NULL,
        openings = b.openings + 1, trips = lately, trips_ever = b.trips_ever + 1, loud_until = loud,
        until = at + make_interval(secs => least(coalesce(seconds, kit.breaker_seconds(rule.open_for, rule.growth, rule.open_most, b.openings + 1)), 1e9))
    WHERE guard = which AND token = whose;
    PERFORM kit.guard_tell(which, whose, CASE WHEN loud > at THEN 'error' ELSE 'warning' END, 'breaker_open', why, by_whom);
    PERFORM kit.guard_take_back(which, whose, NULL);
END
$$;

CREATE OR REPLACE FUNCTION kit.breaker_close(which text, whose text, why text, by_whom text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE kit.breaker SET state = 'closed', failed_at = '{}', verdicts = '{}', reason = why, who = by_whom, since = at, until = NULL, openings = 0, probe = NULL
    WHERE guard = which AND token = whose;
    PERFORM kit.guard_tell(which, whose, 'info', 'breaker_closed', why, by_whom);
    PERFORM kit.wake_held(which, whose, 50);
END
$$;

-- What became of a task that was let in: it worked, it broke, or it never got that far.
CREATE OR REPLACE FUNCTION kit.breaker_heard(which text, whose text, task uuid, became text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    b kit.breaker;
    rule kit.guard;
    lately timestamptz[];
BEGIN
    SELECT * INTO rule FROM kit.guard WHERE id = which;
    -- What works changes a breaker only where it is the probe: nobody waits for the row otherwise.
    IF rule.id IS NULL OR (became <> 'broke' AND NOT EXISTS (SELECT FROM kit.breaker WHERE guard = which AND token = whose AND probe = task)) THEN
        RETURN;
    END IF;
    SELECT * INTO b FROM kit.breaker WHERE guard = which AND token = whose FOR UPDATE;
    IF b.probe = task THEN
        IF became = 'worked' THEN
            PERFORM kit.breaker_close(which, whose, 'a probe has worked', NULL, at);
        ELSIF became = 'broke' THEN
            PERFORM kit.breaker_open(which, whose, 'a probe has failed', NULL, at);
        ELSE
            UPDATE kit.breaker SET probe = NULL WHERE guard = which AND token = whose;
            PERFORM kit.wake_held(which, whose, 1);
        END IF;
    ELSIF b.state = 'closed' AND became = 'broke' AND rule.failures > 0 THEN
        lately := array(SELECT one FROM unnest(b.failed_at) AS one WHERE one > at - make_interval(secs => rule.failures_within)) || at;
        UPDATE kit.breaker SET failed_at = lately WHERE guard = which AND token = whose;
        IF cardinality(lately) >= rule.failures THEN
            PERFORM kit.breaker_open(which, whose, format('%s failures in %s s', cardinality(lately), rule.failures_within::numeric), NULL, at);
        END IF;
    END IF;
END
$$;

-- Who ends a task waits for its breaker, but not for long: the one who has it locked may wait for that task. What the breaker has not heard then
-- it hears before the scheduler sleeps, or after a second of work (kit.breakers_hear); who leaves without an end waits for nobody.
CREATE OR REPLACE FUNCTION kit.breaker_tell(which text, whose text, task uuid, became text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before text := current_setting('lock_timeout');
BEGIN
    -- What works changes a breaker only where it is the probe.
    IF became <> 'broke' AND NOT EXISTS (SELECT FROM kit.breaker WHERE guard = which AND token = whose AND probe = task) THEN
        RETURN;
    END IF;
    BEGIN
        IF became = 'left' THEN
            PERFORM FROM kit.breaker WHERE guard = which AND token = whose FOR UPDATE NOWAIT;
        ELSE
            PERFORM set_config('lock_timeout', '400ms', true);
            PERFORM FROM kit.breaker WHERE guard = which AND token = whose FOR UPDATE;
            PERFORM set_config('lock_timeout', before, true);
        END IF;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
        INSERT INTO kit.breaker_news (guard, token, task, became, at) VALUES (which, whose, task, became, at);
        RETURN;
    END;
    PERFORM kit.breaker_heard(which, whose, task, became, at);
END
$$;
CREATE OR REPLACE FUNCTION kit.breakers_hear() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT news.* FROM kit.breaker_news AS news JOIN kit.breaker AS b USING (guard, token) ORDER BY seq LIMIT 500 FOR UPDATE SKIP LOCKED
    LOOP
        DELETE FROM kit.breaker_news WHERE seq = one.seq;
        PERFORM kit.breaker_heard(one.guard, one.token, one.task, one.became, one.at);
    END LOOP;
END
$$;

-- Whether a task may begin: 'closed', 'probe' where it is to try out whether it works again, else why not.
CREATE OR REPLACE FUNCTION kit.breaker_ask(which text, whose text, task uuid, at timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    b kit.breaker;
BEGIN
    SELECT * INTO b FROM kit.breaker WHERE guard = which AND token = whose;
    IF NOT FOUND OR b.state = 'closed' THEN
        RETURN 'closed';
    ELSIF b.state = 'open' AND b.until > at THEN
        RETURN 'open';
    END IF;
    -- Who has it locked changes it: the next look says how.
    SELECT * INTO b FROM kit.breaker WHERE guard = which AND token = whose FOR UPDATE SKIP LOCKED;
    RETURN CASE
        WHEN NOT FOUND THEN 'busy'
        WHEN b.state = 'closed' THEN 'closed'
        WHEN b.state = 'open' AND b.until > at THEN 'open'
        -- One that finds no worker for minutes tries nothing out.
        WHEN b.probe <> task AND EXISTS (
            SELECT FROM task_instance WHERE id = b.probe AND kit.guard_active(state)
                AND (state NOT IN ('scheduled', 'queued') OR b.since > at - interval '2 min')
        ) THEN 'probing'
        ELSE 'probe'
    END;
END
$$;

CREATE OR REPLACE FUNCTION kit.breaker_probe(which text, whose text, task uuid, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE kit.breaker SET state = 'half-open', probe = task, since = at WHERE guard = which AND token = whose;
    PERFORM kit.guard_tell(which, whose, 'info', 'breaker_half_open', format('task %s tries it out', task), NULL);
END
$$;

-- Health checks tell what they found: every breaker that goes by the check counts it. Called for each look that one counts (health/breakers.py).
CREATE OR REPLACE FUNCTION kit.breaker_verdict(name text, state text, at timestamptz DEFAULT clock_timestamp()) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    rule kit.guard;
    b kit.breaker;
    word text := replace(lower(state), ' ', '_');
    seen jsonb;
    tripped integer := 0;
BEGIN
    FOR rule IN SELECT * FROM kit.guard WHERE kind = 'breaker' AND check_name = breaker_verdict.name AND health ? word ORDER BY id LOOP
        INSERT INTO kit.breaker (guard, token) VALUES (rule.id, '') ON CONFLICT DO NOTHING;
        SELECT * INTO b FROM kit.breaker WHERE guard = rule.id AND token = '' FOR UPDATE;
        CONTINUE WHEN b.state <> 'closed';
        SELECT coalesce(jsonb_agg(one), '[]') || to_jsonb(extract(epoch FROM at)) INTO seen
        FROM jsonb_array_elements(coalesce(b.verdicts -> word, '[]')) AS one
        WHERE one::double precision > extract(epoch FROM at) - (rule.health ->> 'within')::double precision;
        UPDATE kit.breaker SET verdicts = verdicts || jsonb_build_object(word, seen) WHERE guard = rule.id AND token = '';
        IF jsonb_array_length(seen) >= (rule.health ->> word)::integer THEN
            PERFORM kit.breaker_open(rule.id, '', format('health check %s: %s %s in %s s', name, jsonb_array_length(seen), state,
                (rule.health ->> 'within')::numeric), NULL, at);
            tripped := tripped + 1;
        END IF;
    END LOOP;
    RETURN tripped;
END
$$;
