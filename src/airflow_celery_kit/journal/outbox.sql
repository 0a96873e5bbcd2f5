-- Run by airflow-init, or by the scheduler where the journal is installed alone, as the owner of the metadata database: every change of a task's or a run's state leaves an event, in the same transaction.
-- The functions run as that owner, because the controller, which may not write events, changes states too.
CREATE TABLE IF NOT EXISTS kit.change (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    at double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()),
    kind text NOT NULL, source text NOT NULL DEFAULT 'airflow',
    task uuid, dag_id text, run_id text, task_id text, map_index integer, attempt integer,
    message text, worker text, facts jsonb
);

-- Whether somebody carries changes to a journal; they would pile up otherwise.
CREATE OR REPLACE FUNCTION kit.is_told() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'kit_journal' AND tgrelid = to_regclass('task_instance') AND tgenabled = 'O')
$$;

-- No function takes a row of Airflow's: whoever drops the table would have to drop it first.
CREATE OR REPLACE FUNCTION kit.task_facts(queue text, pool text, priority integer, operator text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('queue', queue, 'pool', pool, 'priority', priority, 'operator', operator)
$$;

CREATE OR REPLACE FUNCTION kit.task_changes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- Airflow gives the row of a task instance another id for each attempt, and counts it when it schedules it.
    IF OLD.id <> NEW.id THEN
        INSERT INTO kit.change (kind, task, dag_id, run_id, task_id, map_index, attempt, facts) VALUES
            ('replaced', OLD.id, OLD.dag_id, OLD.run_id, OLD.task_id, OLD.map_index, OLD.try_number, jsonb_build_object('by', NEW.id)),
            ('asked', NEW.id, NEW.dag_id, NEW.run_id, NEW.task_id, NEW.map_index, NEW.try_number + 1, jsonb_build_object('instead_of', OLD.id)
                || kit.task_facts(NEW.queue, NEW.pool, NEW.priority_weight, coalesce(NEW.custom_operator_name, NEW.operator)));
    END IF;
    -- A failed attempt that is tried again has its new state under the old id, a moment before the new id.
    IF OLD.state IS DISTINCT FROM NEW.state OR (OLD.id <> NEW.id AND NEW.state = 'up_for_retry') THEN
        INSERT INTO kit.change (kind, task, dag_id, run_id, task_id, map_index, attempt, message, worker, facts) VALUES
            (coalesce(NEW.state, 'cleared'), NEW.id, NEW.dag_id, NEW.run_id, NEW.task_id, NEW.map_index, NEW.try_number,
            NEW.external_executor_id, nullif(NEW.hostname, ''),
            -- What was said when it was asked for changes until it is sent, and is not said again after that.
            CASE WHEN NEW.state IN ('scheduled', 'queued') THEN
                kit.task_facts(NEW.queue, NEW.pool, NEW.priority_weight, coalesce(NEW.custom_operator_name, NEW.operator)) END);
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_journal AFTER UPDATE OF state, id ON task_instance FOR EACH ROW
WHEN (OLD.state IS DISTINCT FROM NEW.state OR OLD.id <> NEW.id) EXECUTE FUNCTION kit.task_changes();

CREATE OR REPLACE FUNCTION kit.tasks_asked() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO kit.change (kind, task, dag_id, run_id, task_id, map_index, attempt, facts)
    SELECT word.kind, asked.id, asked.dag_id, asked.run_id, asked.task_id, asked.map_index,
        CASE WHEN asked.state IS NULL THEN asked.try_number + 1 ELSE asked.try_number END,
        kit.task_facts(asked.queue, asked.pool, asked.priority_weight, coalesce(asked.custom_operator_name, asked.operator))
    FROM asked, LATERAL (VALUES (1, 'asked'), (2, asked.state)) AS word (number, kind)
    WHERE word.kind IS NOT NULL ORDER BY asked.id, word.number;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_journal_asked AFTER INSERT ON task_instance REFERENCING NEW TABLE AS asked
FOR EACH STATEMENT EXECUTE FUNCTION kit.tasks_asked();

CREATE OR REPLACE FUNCTION kit.json_or_nothing(given text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN given::jsonb;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION kit.run_changes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- Who runs it again does not find it paused.
    IF NEW.state IN ('success', 'failed') THEN
        DELETE FROM kit.paused WHERE dag_id = NEW.dag_id AND run_id = NEW.run_id;
    END IF;
    INSERT INTO kit.change (kind, dag_id, run_id, facts) VALUES ('run_' || coalesce(NEW.state, 'asked'), NEW.dag_id, NEW.run_id, jsonb_build_object(
        'type', NEW.run_type, 'asked_by', NEW.triggered_by, 'user', NEW.triggering_user_name, 'version', NEW.created_dag_version_id,
        'logical_date', NEW.logical_date, 'run_after', NEW.run_after, 'asked_at', NEW.queued_at, 'started_at', NEW.start_date, 'ended_at', NEW.end_date,
        'conf', nullif(kit.json_or_nothing(NEW.conf::text), '{}')
    ));
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_journal AFTER UPDATE OF state ON dag_run FOR EACH ROW
WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION kit.run_changes();
CREATE OR REPLACE TRIGGER kit_journal_asked AFTER INSERT ON dag_run FOR EACH ROW EXECUTE FUNCTION kit.run_changes();

-- What a task was given, as Airflow shows it: rendered, secrets masked. What `jsonb` does not take is no reason to let a task fail.
CREATE OR REPLACE FUNCTION kit.input_given() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO kit.change (kind, source, task, dag_id, run_id, task_id, map_index, attempt, facts)
    SELECT 'input', 'code', ti.id, ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number, jsonb_build_object(
        'fields', NEW.rendered_fields::jsonb, 'hash', encode(sha256(convert_to(NEW.rendered_fields::text, 'utf8')), 'hex'))
    FROM task_instance AS ti
    WHERE ti.dag_id = NEW.dag_id AND ti.task_id = NEW.task_id AND ti.run_id = NEW.run_id AND ti.map_index = NEW.map_index;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_journal AFTER INSERT OR UPDATE ON rendered_task_instance_fields FOR EACH ROW EXECUTE FUNCTION kit.input_given();

-- What workers are to do: people ask, the controller tells them.
CREATE TABLE IF NOT EXISTS kit.worker_order (
    worker text PRIMARY KEY, wanted text NOT NULL, who text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Messages that are to leave the broker: the api-server asks, the controller does it.
CREATE TABLE IF NOT EXISTS kit.withdrawal (
    message text PRIMARY KEY, task uuid NOT NULL, asked_at timestamptz NOT NULL DEFAULT clock_timestamp(), done_at timestamptz
);
DO $$ BEGIN
    IF to_regrole('kit') IS NOT NULL THEN
        GRANT SELECT, UPDATE (done_at), DELETE ON kit.withdrawal TO kit;
        GRANT INSERT ON kit.change TO kit;
        GRANT SELECT, DELETE ON kit.worker_order TO kit;
    END IF;
END $$;

-- Runs that are paused. A task of such a run is not scheduled: the row keeps the state that it had, and the scheduler finds it again when it looks.
CREATE TABLE IF NOT EXISTS kit.paused (
    dag_id text, run_id text, who text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (dag_id, run_id)
);
CREATE OR REPLACE FUNCTION kit.hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF EXISTS (SELECT FROM kit.paused WHERE dag_id = NEW.dag_id AND run_id = NEW.run_id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;
-- A task that was deferred goes on: it had begun, and nobody would schedule it a second time. One that has no work (an empty operator) is
-- counted when it is done; a person who marks a task as done counts nothing.
CREATE OR REPLACE TRIGGER kit_hold BEFORE UPDATE OF state ON task_instance FOR EACH ROW
WHEN (
    (NEW.state = 'scheduled' AND (OLD.state IS NULL OR OLD.state IN ('up_for_retry', 'up_for_reschedule')))
    OR (NEW.state = 'success' AND OLD.state IS NULL AND NEW.try_number > OLD.try_number)
)
EXECUTE FUNCTION kit.hold();

-- Who deletes a run or a task that has not ended leaves its end behind.
CREATE OR REPLACE FUNCTION kit.tasks_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO kit.change (kind, task, dag_id, run_id, task_id, map_index, attempt)
    SELECT 'removed', id, dag_id, run_id, task_id, map_index, try_number FROM gone
    WHERE state IS NULL OR state NOT IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed');
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_journal_deleted AFTER DELETE ON task_instance REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION kit.tasks_deleted();

CREATE OR REPLACE FUNCTION kit.run_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    DELETE FROM kit.paused WHERE dag_id = OLD.dag_id AND run_id = OLD.run_id;
    IF OLD.state IN ('queued', 'running') THEN
        INSERT INTO kit.change (kind, dag_id, run_id, facts) VALUES ('run_removed', OLD.dag_id, OLD.run_id, jsonb_build_object(
            'type', OLD.run_type, 'asked_by', OLD.triggered_by, 'version', OLD.created_dag_version_id, 'logical_date', OLD.logical_date,
            'asked_at', OLD.queued_at, 'started_at', OLD.start_date, 'ended_at', clock_timestamp(),
            'conf', nullif(kit.json_or_nothing(OLD.conf::text), '{}')
        ));
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_journal_deleted AFTER DELETE ON dag_run FOR EACH ROW EXECUTE FUNCTION kit.run_deleted();
