-- Run by airflow-init as the owner of the metadata database: notifies the scheduler of what it need not look for.
CREATE OR REPLACE FUNCTION kit.wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('kit_wake', '');
    RETURN NULL;
END
$$;

-- As above, with the Dag run whose task it was (scheduler/looks.py reads it).
CREATE OR REPLACE FUNCTION kit.wake_for_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('kit_wake', NEW.dag_id || E'\n' || NEW.run_id);
    RETURN NULL;
END
$$;

-- A task has ended or was left out, was cleared, or may go on after a deferral; that it is scheduled and sent needs no look.
CREATE OR REPLACE TRIGGER kit_wake AFTER UPDATE OF state ON task_instance FOR EACH ROW
WHEN (OLD.state IS DISTINCT FROM NEW.state AND (
    NEW.state IS NULL
    OR NEW.state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed', 'up_for_retry', 'up_for_reschedule')
    OR (NEW.state = 'scheduled' AND OLD.state IN ('deferred', 'queued', 'awaiting_input'))
))
EXECUTE FUNCTION kit.wake_for_task();

-- A run was asked for.
CREATE OR REPLACE TRIGGER kit_wake AFTER INSERT OR UPDATE OF state ON dag_run FOR EACH ROW
WHEN (NEW.state = 'queued')
EXECUTE FUNCTION kit.wake();

-- A Dag is new, was unpaused or put right, or its next run comes sooner; the scheduler itself only puts it off.
CREATE OR REPLACE FUNCTION kit.wake_for_dag() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR OLD.is_paused OR OLD.is_stale OR OLD.has_import_errors
        OR NEW.next_dagrun_create_after < coalesce(OLD.next_dagrun_create_after, 'infinity')
    THEN
        PERFORM pg_notify('kit_wake', '');
    END IF;
    RETURN NULL;
END
$$;
CREATE OR REPLACE TRIGGER kit_wake
AFTER INSERT OR UPDATE OF is_paused, is_stale, has_import_errors, next_dagrun_create_after ON dag FOR EACH ROW
WHEN (NEW.is_paused IS NOT TRUE AND NEW.is_stale IS NOT TRUE AND NEW.has_import_errors IS NOT TRUE)
EXECUTE FUNCTION kit.wake_for_dag();

-- An asset was updated, and Dags wait for it; somebody wants a connection tested.
CREATE OR REPLACE TRIGGER kit_wake AFTER INSERT ON asset_dag_run_queue FOR EACH ROW EXECUTE FUNCTION kit.wake();
CREATE OR REPLACE TRIGGER kit_wake AFTER INSERT ON partitioned_asset_key_log FOR EACH ROW EXECUTE FUNCTION kit.wake();
CREATE OR REPLACE TRIGGER kit_wake AFTER INSERT ON connection_test_request FOR EACH ROW EXECUTE FUNCTION kit.wake();
