-- Run by airflow-init as the owner of the metadata database: notifies the scheduler of what it need not look for.
CREATE OR REPLACE FUNCTION kit.wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('kit_wake', '');
    RETURN NULL;
END
$$;

-- A task has ended, was cleared, or may go on after a deferral; what the scheduler itself sets does not wake it.
CREATE OR REPLACE TRIGGER kit_wake AFTER UPDATE OF state ON task_instance FOR EACH ROW
WHEN (OLD.state IS DISTINCT FROM NEW.state AND (
    NEW.state IS NULL
    OR NEW.state IN ('success', 'failed', 'skipped', 'up_for_retry', 'up_for_reschedule')
    OR (NEW.state = 'scheduled' AND OLD.state IN ('deferred', 'queued', 'awaiting_input'))
))
EXECUTE FUNCTION kit.wake();

-- A run was asked for.
CREATE OR REPLACE TRIGGER kit_wake AFTER INSERT OR UPDATE OF state ON dag_run FOR EACH ROW
WHEN (NEW.state = 'queued')
EXECUTE FUNCTION kit.wake();
