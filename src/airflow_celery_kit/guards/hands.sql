-- What operators do by hand. Each function returns nothing where there is nothing to be done.
-- Who suspends or resumes a limit is alone with it until the end of the transaction, and sees whatever was done before.
CREATE OR REPLACE FUNCTION kit.guard_turn(which text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtext('kit.guard_turn'), hashtext(which))
$$;

CREATE OR REPLACE FUNCTION kit.guard_suspend(which text, by_whom text, why text, made jsonb DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM kit.guard_turn(which);
    IF made IS NOT NULL THEN
        INSERT INTO kit.guard SELECT * FROM jsonb_populate_record(NULL::kit.guard, made) ON CONFLICT (id) DO NOTHING;
    END IF;
    INSERT INTO kit.guard_suspended (guard, who, reason) SELECT id, by_whom, why FROM kit.guard WHERE id = which AND kind = 'limit' ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM kit.guard_tell(which, '', 'warning', 'limit_suspended', why, by_whom);
    PERFORM kit.guard_adopt(which);
    RETURN kit.guard_take_back(which, NULL, NULL);
END
$$;

CREATE OR REPLACE FUNCTION kit.guard_resume(which text, by_whom text, why text) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    waiting integer;
BEGIN
    PERFORM kit.guard_turn(which);
    DELETE FROM kit.guard_suspended WHERE guard = which;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT count(*) INTO waiting FROM kit.held WHERE guard = which;
    PERFORM kit.guard_tell(which, '', 'info', 'limit_resumed', why, by_whom);
    PERFORM kit.wake_held(which, NULL, 50);
    -- One that was made to suspend has nothing else to say.
    DELETE FROM kit.guard WHERE id = which AND origin = 'hand';
    RETURN waiting;
END
$$;

CREATE OR REPLACE FUNCTION kit.breaker_trip(which text, whose text, by_whom text, why text, seconds double precision DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM kit.guard WHERE id = which AND kind = 'breaker') THEN
        RETURN NULL;
    END IF;
    INSERT INTO kit.breaker (guard, token) VALUES (which, whose) ON CONFLICT DO NOTHING;
    PERFORM kit.guard_adopt(which);
    PERFORM kit.breaker_open(which, whose, why, by_whom, clock_timestamp(), seconds);
    RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION kit.breaker_reset(which text, whose text, by_whom text, why text) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM FROM kit.breaker WHERE guard = which AND token = whose AND state <> 'closed' FOR UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM kit.breaker_close(which, whose, why, by_whom, clock_timestamp());
    RETURN true;
END
$$;

-- What changes something is for those who are named here; Airflow itself owns it all.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = 'kit'::regnamespace
            AND proname IN ('guards_apply', 'guards_adopt', 'guards_tidy', 'breaker_verdict', 'guard_suspend', 'guard_resume', 'breaker_trip', 'breaker_reset')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', one.name);
        IF to_regrole('kit') IS NOT NULL AND one.name::text !~ '(suspend|resume|trip|reset)' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO kit', one.name);
        END IF;
    END LOOP;
END $$;

-- What runs with its owner's rights sees Airflow's tables and no temporary ones of its caller's before them.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT oid::regprocedure AS name FROM pg_proc WHERE pronamespace = 'kit'::regnamespace AND prosecdef LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', one.name,
            (SELECT relnamespace::regnamespace::text FROM pg_class WHERE oid = 'task_instance'::regclass));
    END LOOP;
END $$;
