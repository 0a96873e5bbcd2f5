"""Runs in: airflow-init; the controller's tables and rights in Airflow's and Celery's databases, given by the owner of each."""

from importlib.resources import files

METADATA_GRANTS = """
CREATE SCHEMA IF NOT EXISTS kit;
CREATE TABLE IF NOT EXISTS kit.lease (
    name text PRIMARY KEY, holder text NOT NULL, token bigint NOT NULL, expires_at timestamptz NOT NULL
);
-- Since when its holder leads, and who led before without giving it back.
ALTER TABLE kit.lease ADD COLUMN IF NOT EXISTS taken_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN IF NOT EXISTS follows text NOT NULL DEFAULT '';
INSERT INTO kit.lease (name, holder, token, expires_at) VALUES ('repair', '', 0, now()), ('health', '', 0, now()) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS kit.base_weight (
    dag_id text, run_id text, task_id text, map_index integer, base integer NOT NULL, given integer NOT NULL,
    PRIMARY KEY (dag_id, run_id, task_id, map_index)
);
CREATE TABLE IF NOT EXISTS kit.seen (what text PRIMARY KEY, at timestamptz NOT NULL, facts jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS kit.service (
    service text, instance text, at timestamptz NOT NULL DEFAULT clock_timestamp(), facts jsonb NOT NULL, PRIMARY KEY (service, instance)
);
INSERT INTO kit.service (service, instance, facts) VALUES ('salt', '', to_jsonb(gen_random_uuid()::text)) ON CONFLICT DO NOTHING;
GRANT USAGE ON SCHEMA kit TO kit;
GRANT SELECT ON kit.service TO kit;
GRANT SELECT (id, job_type, hostname, state, latest_heartbeat) ON job TO kit;
GRANT SELECT, UPDATE ON kit.lease TO kit;
GRANT SELECT, INSERT, UPDATE, DELETE ON kit.base_weight TO kit;
GRANT SELECT, INSERT, UPDATE ON kit.seen TO kit;
GRANT SELECT ON task_instance, dag, dag_run, dag_tag, deadline, slot_pool TO kit;
GRANT SELECT (task_instance_id, context_carrier) ON task_instance_history TO kit;
GRANT UPDATE (state, queued_by_job_id, external_executor_id, queued_dttm, last_heartbeat_at, end_date, updated_at, priority_weight)
    ON task_instance TO kit;
GRANT UPDATE (slots), INSERT ON slot_pool TO kit;
GRANT USAGE ON SEQUENCE slot_pool_id_seq TO kit;
"""
# By the server's superuser, in a schema that nobody else can change: it runs one program, without any word of the caller's.
DISK = files("airflow_celery_kit.runtimes").joinpath("disk.sql").read_text
RESULTS_GRANTS = """
GRANT SELECT, INSERT, UPDATE ON celery_taskmeta TO kit;
GRANT USAGE ON SEQUENCE task_id_sequence TO kit;
CREATE INDEX IF NOT EXISTS kit_started ON celery_taskmeta (task_id) WHERE status = 'STARTED';
-- The controller may remove results that are old, and no others: the executor still asks for a young one.
CREATE OR REPLACE FUNCTION kit_forget_results(ids bigint[], age interval) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH gone AS (
        DELETE FROM celery_taskmeta
        WHERE id = ANY(ids) AND date_done < now() AT TIME ZONE 'utc' - greatest(age, interval '1 hour') RETURNING id
    )
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION kit_forget_results FROM PUBLIC;
GRANT EXECUTE ON FUNCTION kit_forget_results TO kit;
"""
