"""Runs in: airflow-triggerer, in a process of its own; what stays in Airflow's tables however old it is, on top of what `airflow db clean` keeps.

Conditions of SQL on the table that is cleaned, which Airflow calls `base`; `:before` is the moment that old rows are older than.
"""

from airflow_celery_kit.core import housekeeping

LIVE = str(housekeeping.LIVE)
ENDED = "('success', 'failed')"
# A run that has ended long ago, none of whose tasks still does something, and that is not the last of its Dag and kind: the next one
# may look at it (`depends_on_past`, XComs of prior dates), and the scheduler counts on from it.
OLD_RUN = f"""
run.state IN {ENDED} AND coalesce(run.end_date, run.updated_at) < :before
AND NOT EXISTS (SELECT FROM task_instance AS alive WHERE alive.dag_id = run.dag_id AND alive.run_id = run.run_id AND alive.state IN {LIVE})
AND EXISTS (SELECT FROM dag_run AS newer WHERE newer.dag_id = run.dag_id AND newer.run_type = run.run_type AND newer.id > run.id)
AND (run.logical_date IS NULL OR EXISTS (
    SELECT FROM dag_run AS later WHERE later.dag_id = run.dag_id AND later.run_type = run.run_type AND later.logical_date > run.logical_date))
"""
OF_A_RUN = (
    f"EXISTS (SELECT FROM dag_run AS run WHERE run.dag_id = base.dag_id AND run.run_id = base.run_id AND {OLD_RUN})"
)
LIVE_RUN = f"""
EXISTS (SELECT FROM dag_run AS run WHERE {{of}} AND (run.state NOT IN {ENDED} OR EXISTS (
    SELECT FROM task_instance AS alive WHERE alive.dag_id = run.dag_id AND alive.run_id = run.run_id AND alive.state IN {LIVE})))
"""

GONE = {
    "dag_run": f"EXISTS (SELECT FROM dag_run AS run WHERE run.id = base.id AND {OLD_RUN})",
    "task_instance": f"(base.state IS NULL OR base.state NOT IN {LIVE}) AND {OF_A_RUN}",
    "task_instance_history": OF_A_RUN,
    "task_state_store": OF_A_RUN,
    "xcom": OF_A_RUN,
    "task_reschedule": f"""
        EXISTS (SELECT FROM task_instance AS ti JOIN dag_run AS run ON run.dag_id = ti.dag_id AND run.run_id = ti.run_id
                WHERE ti.id = base.ti_id AND {OLD_RUN})""",
    "deadline": f"NOT {LIVE_RUN.format(of='run.id = base.dagrun_id')}",
    "callback": f"""
        NOT EXISTS (SELECT FROM deadline WHERE deadline.callback_id = base.id AND {LIVE_RUN.format(of="run.id = deadline.dagrun_id")})""",
    # Who removes a trigger removes the task that waits for it: the foreign key says so.
    "trigger": """
        NOT EXISTS (SELECT FROM task_instance AS ti WHERE ti.trigger_id = base.id)
        AND NOT EXISTS (SELECT FROM callback WHERE callback.trigger_id = base.id)
        AND NOT EXISTS (SELECT FROM asset_watcher WHERE asset_watcher.trigger_id = base.id)""",
    # The last event of an asset is what a task of tomorrow asks for; others wait for the rest of a Dag's assets.
    "asset_event": f"""
        EXISTS (SELECT FROM asset_event AS newer WHERE newer.asset_id = base.asset_id AND newer.id > base.id)
        AND NOT EXISTS (SELECT FROM asset_dag_run_queue AS waits WHERE waits.asset_id = base.asset_id)
        AND NOT EXISTS (SELECT FROM partitioned_asset_key_log AS waits WHERE waits.asset_event_id = base.id)
        AND NOT EXISTS (SELECT FROM dagrun_asset_event AS used WHERE used.event_id = base.id
                        AND {LIVE_RUN.format(of="run.id = used.dag_run_id")})""",
    # A version is what the picture of each of its runs is drawn from.
    "dag_version": "NOT EXISTS (SELECT FROM dag_run AS run WHERE run.created_dag_version_id = base.id)",
    "job": f"""
        NOT EXISTS (SELECT FROM task_instance AS ti WHERE ti.queued_by_job_id = base.id AND ti.state IN {LIVE})
        AND NOT EXISTS (SELECT FROM trigger WHERE trigger.triggerer_id = base.id)""",
    # How often a task was found stuck in the queue is counted there.
    "log": f"NOT {LIVE_RUN.format(of='run.dag_id = base.dag_id AND run.run_id = base.run_id')}",
}
