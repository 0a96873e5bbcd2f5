"""The tables of Airflow and Celery that the controller touches, with their types."""

METADATA = {"role": "airflow", "database": "airflow"}
RESULTS = {"role": "celery", "database": "celery"}
TABLE = """
CREATE TABLE task_instance (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), dag_id varchar(250), run_id varchar(250), task_id varchar(250), map_index int,
    try_number int, state varchar(20), external_executor_id text, hostname varchar(1000), queued_dttm timestamptz,
    last_heartbeat_at timestamptz, queued_by_job_id int, updated_at timestamptz, priority_weight int,
    operator varchar(1000), custom_operator_name varchar(1000), queue varchar(256), scheduled_dttm timestamptz, duration float8,
    start_date timestamptz, end_date timestamptz, pool varchar(256), context_carrier json, max_tries int DEFAULT 0, next_method varchar(1000)
);
CREATE INDEX ON task_instance (state);
CREATE TABLE task_instance_history (task_instance_id uuid PRIMARY KEY, context_carrier json);
CREATE TABLE dag_run (
    id serial PRIMARY KEY, state varchar(50), dag_id varchar(250), run_id varchar(250), start_date timestamptz, queued_at timestamptz,
    end_date timestamptz, run_type varchar(50), triggered_by varchar(50), triggering_user_name varchar(512), created_dag_version_id uuid,
    logical_date timestamptz, run_after timestamptz, conf json
);
CREATE TABLE rendered_task_instance_fields (
    dag_id varchar(250), task_id varchar(250), run_id varchar(250), map_index int, rendered_fields json,
    PRIMARY KEY (dag_id, task_id, run_id, map_index)
);
CREATE TABLE dag (
    dag_id varchar(250) PRIMARY KEY, is_paused boolean, is_stale boolean NOT NULL DEFAULT false,
    has_import_errors boolean NOT NULL DEFAULT false, next_dagrun_create_after timestamptz
);
CREATE TABLE asset_dag_run_queue (asset_id int, target_dag_id varchar(250), PRIMARY KEY (asset_id, target_dag_id));
CREATE TABLE partitioned_asset_key_log (id serial PRIMARY KEY);
CREATE TABLE callback (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), state varchar(10), type varchar(20));
CREATE TABLE connection_test_request (id uuid PRIMARY KEY DEFAULT gen_random_uuid());
CREATE TABLE dag_tag (name varchar(100), dag_id varchar(250), PRIMARY KEY (name, dag_id));
CREATE TABLE serialized_dag (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), dag_id varchar(250), data jsonb, last_updated timestamptz);
CREATE TABLE deadline (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), dagrun_id int, deadline_time timestamptz, missed boolean NOT NULL DEFAULT false
);
CREATE TABLE job (
    id serial PRIMARY KEY, job_type varchar(30), hostname varchar(500), state varchar(20), latest_heartbeat timestamptz, end_date timestamptz
);
CREATE TABLE slot_pool (id serial PRIMARY KEY, pool varchar(256) UNIQUE, slots int, description text, include_deferred boolean NOT NULL)
"""
DROP = """
DROP SCHEMA kit CASCADE; DROP TABLE task_instance, task_instance_history, dag, dag_run, dag_tag, deadline, slot_pool, serialized_dag, job;
DROP TABLE rendered_task_instance_fields, asset_dag_run_queue, partitioned_asset_key_log, callback, connection_test_request
"""
ROW = """
INSERT INTO task_instance (dag_id, run_id, task_id, map_index, try_number, state, external_executor_id, hostname, queued_dttm,
                           last_heartbeat_at, queued_by_job_id)
VALUES ('sales', 'r1', 'load', 3, 2, %s, %s, 'worker-1', now() - interval '1 min', now() - interval '1 min', 7)
"""


RESULTS_TABLE = """
CREATE SEQUENCE task_id_sequence;
CREATE TABLE celery_taskmeta (id int PRIMARY KEY, task_id varchar(155) UNIQUE, status varchar(50), result bytea, date_done timestamp)
"""
