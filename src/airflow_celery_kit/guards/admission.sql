-- Who is let in: a trigger on task instances, within the transaction that schedules a task.
-- What is asked of a task. No function takes a row of Airflow's: whoever drops the table would have to drop it first.
DO $$ BEGIN
    CREATE TYPE kit.guard_subject AS (id uuid, dag_id text, run_id text, task_id text, map_index integer, pool text, queue text);
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

CREATE OR REPLACE FUNCTION kit.guards_of(of_dag text, of_task text, of_pool text, of_queue text) RETURNS SETOF kit.guard LANGUAGE sql STABLE AS $$
    SELECT guard.* FROM kit.guard LEFT JOIN kit.guard_said AS said ON said.dag_id = of_dag AND said.task_id = of_task
    WHERE (
        NOT named AND (dags IS NULL OR of_dag ~ dags) AND (tasks IS NULL OR of_task ~ tasks) AND (pools IS NULL OR of_pool ~ pools)
        AND (queues IS NULL OR of_queue ~ queues)
        AND (tags IS NULL OR EXISTS (SELECT FROM dag_tag WHERE dag_tag.dag_id = of_dag AND dag_tag.name ~ tags))
    ) OR said.said -> kind ? guard.name
    -- A breaker comes last: its probe is the only one for a while.
    ORDER BY kind DESC, id
$$;

-- What somebody may make as long as they like, short enough for an index.
CREATE OR REPLACE FUNCTION kit.guard_short(given text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN length(given) > 200 THEN left(given, 100) || ' ' || md5(given) ELSE given END
$$;

CREATE OR REPLACE FUNCTION kit.guard_token(kind text, of_dag text, of_run text, of_task text, of_pool text, of_queue text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN CASE kind
        WHEN '' THEN '' WHEN 'dag' THEN of_dag WHEN 'task' THEN of_dag || '.' || of_task WHEN 'run' THEN of_dag || ' ' || of_run
        WHEN 'pool' THEN of_pool WHEN 'queue' THEN of_queue
        ELSE coalesce((
            SELECT kit.guard_short(CASE kind WHEN 'user' THEN triggering_user_name ELSE conf::jsonb ->> substr(kind, 6) END)
            FROM dag_run WHERE dag_id = of_dag AND run_id = of_run
        ), '')
    END;
END
$$;

CREATE OR REPLACE FUNCTION kit.limit_slots(g kit.guard) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN g.low IS NULL THEN g.slots
        ELSE least(g.high, greatest(g.low, coalesce((SELECT slots FROM kit.guard_value WHERE guard = g.id), g.low))) END
$$;

-- Slots that are taken, by Airflow's own states; counted no further than `most`.
CREATE OR REPLACE FUNCTION kit.limit_taken(which text, whose text, but uuid, most integer) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT count(*)::integer FROM (
        SELECT FROM kit.admitted JOIN task_instance AS ti ON ti.id = admitted.task
        WHERE admitted.guard = which AND admitted.token = whose AND ti.id IS DISTINCT FROM but AND kit.guard_active(ti.state) LIMIT most
    ) AS taken
$$;

-- How many times a rate counts: once, or for each live worker of a queue, where it is one of each worker.
CREATE OR REPLACE FUNCTION kit.rate_times(g kit.guard, of_queue text) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN g.per_worker THEN greatest(1, coalesce((SELECT workers FROM kit.guard_workers WHERE queue = of_queue), 1)) ELSE 1 END
$$;

-- The generic cell rate algorithm. `number` in each `period` seconds, `burst` of them at once: never more than `number` in any period.
CREATE OR REPLACE FUNCTION kit.rate_gap(number integer, period double precision, burst integer) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT period / (number - burst + 1)
$$;
-- When the next one may begin, and what is to be kept when one begins now.
CREATE OR REPLACE FUNCTION kit.rate_due(next timestamptz, gap double precision, burst integer) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT next - make_interval(secs => gap * (burst - 1))
$$;
CREATE OR REPLACE FUNCTION kit.rate_take(next timestamptz, gap double precision, at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(next, at) + make_interval(secs => gap)
$$;

CREATE OR REPLACE FUNCTION kit.guard_alone(which text, whose text) RETURNS boolean LANGUAGE sql AS $$
    SELECT pg_try_advisory_xact_lock(hashtext('kit.guard'), hashtext(which || E'\n' || whose))
$$;

-- Why a limit keeps a task out, and until when as far as that is known; nothing where it does not.
CREATE OR REPLACE FUNCTION kit.limit_ask(g kit.guard, whose text, ti kit.guard_subject, at timestamptz, OUT cause text, OUT until timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    most integer := kit.limit_slots(g);
    times integer;
BEGIN
    IF EXISTS (SELECT FROM kit.guard_suspended WHERE guard = g.id) OR most = 0 THEN
        cause := 'suspended';
        RETURN;
    END IF;
    IF g.start_conf IS NOT NULL OR g.id = 'limit start' THEN
        until := kit.guard_start(g, ti.dag_id, ti.task_id, ti.run_id);
        IF until = 'infinity' THEN
            until := NULL;
            cause := 'no start';
            RETURN;
        ELSIF until > at THEN
            cause := 'start';
            RETURN;
        END IF;
        until := NULL;
    END IF;
    IF (most IS NOT NULL OR g.rate IS NOT NULL) AND NOT kit.guard_alone(g.id, whose) THEN
        cause := 'busy';
    ELSIF most IS NOT NULL AND kit.limit_taken(g.id, whose, ti.id, most) >= most THEN
        cause := 'slots';
    ELSIF g.rate IS NOT NULL THEN
        times := kit.rate_times(g, ti.queue);
        SELECT kit.rate_due(next, kit.rate_gap(g.rate * times, g.period, g.burst * times), g.burst * times) INTO until
        FROM kit.rate WHERE guard = g.id AND token = whose;
        IF until > at THEN
            cause := 'rate';
        ELSE
            until := NULL;
            -- What was let in and found no worker would begin all at once.
            IF (SELECT count(*) FROM kit.admitted JOIN task_instance AS one ON one.id = admitted.task
                WHERE admitted.guard = g.id AND admitted.token = whose AND one.state IN ('scheduled', 'queued') AND one.id <> ti.id) >= g.burst * times
            THEN
                cause := 'starts';
            END IF;
        END IF;
    END IF;
END
$$;

-- A time as ISO 8601 has it, `infinity` for what is none: `tomorrow` would never come.
CREATE OR REPLACE FUNCTION kit.guard_time(given text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF given !~ '^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.]\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?$' THEN
        RETURN 'infinity';
    END IF;
    RETURN given::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN 'infinity';
END
$$;

CREATE OR REPLACE FUNCTION kit.guard_start(g kit.guard, of_dag text, of_task text, of_run text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        kit.guard_time((SELECT conf::jsonb ->> coalesce(g.start_conf, said.said ->> 'start_conf') FROM dag_run WHERE dag_run.dag_id = of_dag AND run_id = of_run)),
        kit.guard_time(said.said ->> 'start')
    ) FROM (SELECT 1) AS one LEFT JOIN kit.guard_said AS said ON said.dag_id = of_dag AND said.task_id = of_task
$$;

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

-- Asks every guard of a task, and only then takes what they give. Returns the guard that keeps it out.
CREATE OR REPLACE FUNCTION kit.guard_ask(ti kit.guard_subject, at timestamptz, OUT guard kit.guard, OUT token text, OUT cause text, OUT until timestamptz, OUT probes boolean)
LANGUAGE plpgsql AS $$
DECLARE
    g kit.guard;
    found kit.guard[] := '{}';
    tokens text[] := '{}';
    asked text[] := '{}';
    said text;
BEGIN
    probes := false;
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
            IF asked.probes THEN
                -- Whether the service is back is nothing that a task should lose a try for.
                NEW.max_tries := NEW.max_tries + 1;
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
