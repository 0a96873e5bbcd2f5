-- Run by airflow-init as the owner of the metadata database, after outbox.sql: limits and breakers, and what is known of them.
-- What is to be kept: written by core/guards/rules.py from config/limits.yaml (`file`), from Dags (`dag`), by operators (`hand`).
CREATE TABLE IF NOT EXISTS kit.guard (
    id text PRIMARY KEY, kind text NOT NULL CHECK (kind IN ('limit', 'breaker')), name text NOT NULL, origin text NOT NULL, rule jsonb NOT NULL,
    -- Whom it is for, as regular expressions, where nothing is everybody. One that is `named` is for those that name it alone.
    named boolean NOT NULL, dags text, tasks text, pools text, queues text, tags text,
    -- What it is counted by: nothing, `user`, `dag`, `task`, `run`, `pool`, `queue`, or `conf:` and a key.
    token text NOT NULL DEFAULT '',
    slots integer, low integer, high integer, source text, rate integer, period double precision, burst integer, per_worker boolean, start_conf text,
    failures integer, failures_within double precision, check_name text, health jsonb, open_for double precision, growth text,
    open_most double precision, on_open text
);
-- What tasks say of themselves: `executor_config={"kit": ...}` in the Dag as it is stored.
CREATE TABLE IF NOT EXISTS kit.guard_said (dag_id text, task_id text, said jsonb NOT NULL, PRIMARY KEY (dag_id, task_id));
CREATE TABLE IF NOT EXISTS kit.guard_suspended (
    guard text PRIMARY KEY, who text NOT NULL, reason text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- When it was last looked whether a transaction of before has let something in (kit.guards_take_late_back).
ALTER TABLE kit.guard_suspended ADD COLUMN IF NOT EXISTS looked_at timestamptz NOT NULL DEFAULT clock_timestamp();
CREATE TABLE IF NOT EXISTS kit.guard_value (guard text PRIMARY KEY, slots integer, problem text, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE IF NOT EXISTS kit.guard_workers (queue text PRIMARY KEY, workers integer NOT NULL);
-- How far tasks under way were looked at, for guards that have not counted them (kit.guards_adopt).
CREATE TABLE IF NOT EXISTS kit.guard_sweep (one boolean PRIMARY KEY DEFAULT true CHECK (one), after uuid NOT NULL);
CREATE TABLE IF NOT EXISTS kit.guard_file (what text PRIMARY KEY, problem text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
ALTER TABLE kit.guard_file DROP COLUMN IF EXISTS digest;

-- Who was let in. A row says by which guard; whether its slot is taken is said by Airflow's own state of the task.
CREATE TABLE IF NOT EXISTS kit.admitted (
    task uuid, guard text, token text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (task, guard)
);
-- Whether it got one try more, to try a breaker out.
ALTER TABLE kit.admitted ADD COLUMN IF NOT EXISTS extra_try boolean NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS kit_admitted_guard ON kit.admitted (guard, token);
-- Who was not let in, and why when it was last looked at.
CREATE TABLE IF NOT EXISTS kit.held (
    task uuid PRIMARY KEY, dag_id text NOT NULL, run_id text NOT NULL, task_id text NOT NULL, map_index integer NOT NULL,
    guard text NOT NULL, token text NOT NULL, cause text NOT NULL, until timestamptz, since timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS kit_held_guard ON kit.held (guard, token, since);
CREATE INDEX IF NOT EXISTS kit_held_until ON kit.held (until) WHERE until IS NOT NULL;
CREATE TABLE IF NOT EXISTS kit.rate (guard text, token text, next timestamptz NOT NULL, rung timestamptz, PRIMARY KEY (guard, token));
CREATE TABLE IF NOT EXISTS kit.breaker (
    guard text, token text, state text NOT NULL DEFAULT 'closed', failed_at timestamptz[] NOT NULL DEFAULT '{}', verdicts jsonb NOT NULL DEFAULT '{}',
    reason text NOT NULL DEFAULT '', who text, since timestamptz NOT NULL DEFAULT clock_timestamp(), until timestamptz, openings integer NOT NULL DEFAULT 0,
    probe uuid, trips timestamptz[] NOT NULL DEFAULT '{}', loud_until timestamptz NOT NULL DEFAULT '-infinity', PRIMARY KEY (guard, token)
);
-- How often it has opened: for those that count. What a row that is cleared away has counted is kept for its guard.
ALTER TABLE kit.breaker ADD COLUMN IF NOT EXISTS trips_ever bigint NOT NULL DEFAULT 0;
CREATE TABLE IF NOT EXISTS kit.guard_trip (guard text PRIMARY KEY, trips bigint NOT NULL);
-- How often a task tried a breaker out, over all its attempts.
CREATE TABLE IF NOT EXISTS kit.guard_probe (
    dag_id text, run_id text, task_id text, map_index integer, number integer NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (dag_id, run_id, task_id, map_index)
);
CREATE INDEX IF NOT EXISTS kit_withdrawal_task ON kit.withdrawal (task);
-- What a breaker has not heard yet, because another transaction had it locked.
CREATE TABLE IF NOT EXISTS kit.breaker_news (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, guard text NOT NULL, token text NOT NULL, task uuid NOT NULL, became text NOT NULL, at timestamptz NOT NULL
);
-- What the controller has to say in its log.
CREATE TABLE IF NOT EXISTS kit.guard_event (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), level text NOT NULL, guard text NOT NULL,
    token text NOT NULL, what text NOT NULL, reason text NOT NULL, who text
);
-- A mistake in here stops no task: it is let in, and this is kept.
CREATE TABLE IF NOT EXISTS kit.guard_fault (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), task uuid, what text NOT NULL
);

-- The states of Airflow that hold a slot. PostgreSQL puts these words where the function stands, so that plans go by the index on states.
CREATE OR REPLACE FUNCTION kit.guard_active(state text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT state IN ('scheduled', 'queued', 'running', 'restarting', 'deferred', 'awaiting_input')
$$;

-- Runs of tasks that wait, the longest wait first; of thousands that wait the first few hundred are looked at, because it is done at each end of a task.
CREATE OR REPLACE FUNCTION kit.wake_held(which text, whose text, most integer) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('kit_wake', dag_id || E'\n' || run_id) FROM (
        SELECT dag_id, run_id FROM (
            SELECT dag_id, run_id, since FROM kit.held WHERE guard = which AND (whose IS NULL OR token = whose) ORDER BY since LIMIT 500
        ) AS first GROUP BY dag_id, run_id ORDER BY min(since) LIMIT most
    ) AS waiting
$$;

CREATE OR REPLACE FUNCTION kit.guard_tell(which text, whose text, level text, what text, reason text, who text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO kit.guard_event (level, guard, token, what, reason, who) VALUES (level, which, whose, what, reason, who);
    IF kit.is_told() THEN
        INSERT INTO kit.change (kind, source, facts) VALUES (what, CASE WHEN who IS NULL THEN 'controller' ELSE 'operator' END,
            jsonb_strip_nulls(jsonb_build_object('guard', which, 'token', nullif(whose, ''), 'reason', reason, 'who', who, 'level', level)));
    END IF;
END
$$;
