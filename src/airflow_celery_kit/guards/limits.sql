-- Whom a guard is for, what it is counted by, and why a limit keeps a task out.
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
            -- What was let in and found no worker would begin all at once; a second's worth is on its way to one.
            IF (SELECT count(*) FROM kit.admitted JOIN task_instance AS one ON one.id = admitted.task
                WHERE admitted.guard = g.id AND admitted.token = whose AND one.state IN ('scheduled', 'queued') AND one.id <> ti.id)
                >= greatest(g.burst * times, ceil(g.rate * times / g.period))
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
