"""Airflow's real tables: what is old and in nobody's use goes, whatever a running or waiting task needs stays."""

import contextlib
from itertools import count

import psycopg2

from airflow_celery_kit.core.housekeeping import LIVE
from tests.contract.housekeeping.conftest import House

NUMBER = count(1)
OLD = 400


def a_dag(house: House, dag: str) -> str:
    """A Dag with one version; return the version's id."""
    if not house.query("SELECT 1 FROM dag_bundle WHERE name = 'dags-folder'"):
        house.add("dag_bundle", name="dags-folder")
    house.add("dag", dag_id=dag, bundle_name="dags-folder")
    return house.add("dag_version", dag_id=dag, version_number=1, days_created_at=OLD)


def a_run(
    house: House,
    dag: str,
    state: str,
    days: float = OLD,
    kind: str = "scheduled",
    tasks: tuple[str, ...] = ("success",),
) -> str:
    """A run that began and ended so many days ago, with tasks in the states given, each with an XCom; return the run's name."""
    number = next(NUMBER)
    run = f"{kind}__{number}"
    ended = {"days_updated_at": days} if state in ("queued", "running") else {"days_end_date": days}
    id_ = house.add(
        "dag_run",
        dag_id=dag,
        run_id=run,
        state=state,
        run_type=kind,
        days_start_date=days,
        days_logical_date=days - number / 1e6,
        **ended,
    )
    (version,) = house.query("SELECT id FROM dag_version WHERE dag_id = %s LIMIT 1", dag)[0]
    for at, word in enumerate(tasks):
        a_task(house, id_, dag, run, f"t{at}", word, version, days)
    return run


def a_task(
    house: House, run_id: str, dag: str, run: str, task: str, state: str | None, version: str, days: float
) -> None:
    """A task of a run, with all that a task leaves."""
    names = {"dag_id": dag, "run_id": run, "task_id": task, "map_index": -1}
    id_ = house.add("task_instance", **names, state=state, dag_version_id=version, try_number=1, days_start_date=days)
    house.add("xcom", dag_run_id=run_id, **names, key="k", days_timestamp=days)
    house.add("task_reschedule", ti_id=id_, days_start_date=days)
    house.add("rendered_task_instance_fields", **names)


def runs(house: House, table: str = "dag_run") -> set[str]:
    """The runs that a table knows."""
    return {run for (run,) in house.query(f"SELECT DISTINCT run_id FROM {table}")}


def test_an_old_run_goes_with_all_that_belongs_to_it_and_a_young_one_stays(house: House):
    a_dag(house, "sales")
    a_run(house, "sales", "success", tasks=("success", "failed", "skipped"))
    young = a_run(house, "sales", "success", days=10)
    found = house.clean("triggerer")
    assert found["errors"] == [] and found["complete"]
    assert (found["dag_run"]["removed"], found["task_instance"]["removed"], found["xcom"]["removed"]) == (1, 3, 3)
    for table in ("dag_run", "task_instance", "xcom", "rendered_task_instance_fields"):
        assert runs(house, table) == {young}
    assert house.query("SELECT count(*) FROM task_reschedule") == [(1,)]
    assert house.query("SELECT count(*) FROM pg_tables WHERE tablename LIKE '_airflow_deleted%%'") == [(0,)]


def test_a_task_that_is_under_way_or_waits_keeps_its_whole_run_however_old(house: House):
    kept = set()
    for state in LIVE:
        a_dag(house, state)
        kept |= {
            a_run(house, state, "running", tasks=("success", state)),
            a_run(house, state, "failed", tasks=("success", state)),
        }
        kept.add(a_run(house, state, "success", days=1))
    found = house.clean("triggerer")
    assert found["errors"] == [] and found["dag_run"]["rows"] == found["task_instance"]["rows"] == 0
    for table in ("dag_run", "task_instance", "xcom", "rendered_task_instance_fields"):
        assert runs(house, table) == kept
    assert house.query("SELECT count(*) FROM task_reschedule") == [(5 * len(LIVE),)]


def test_a_run_that_has_not_ended_keeps_the_tasks_and_xcoms_that_have(house: House):
    a_dag(house, "sales")
    kept = [a_run(house, "sales", state, tasks=("success", "success", None)) for state in ("queued", "running")]
    a_run(house, "sales", "success", days=1)
    assert house.clean("triggerer")["errors"] == []
    for run in kept:
        assert house.query("SELECT count(*) FROM task_instance WHERE run_id = %s", run) == [(3,)]
        assert house.query("SELECT count(*) FROM xcom WHERE run_id = %s", run) == [(3,)]


def test_a_run_that_somebody_is_about_to_run_again_is_left_alone_and_nobody_waits(house: House):
    a_dag(house, "sales")
    cleared, _ = a_run(house, "sales", "failed"), a_run(house, "sales", "failed")
    last = a_run(house, "sales", "success", days=1)
    settings = house.settings
    with (
        contextlib.closing(
            psycopg2.connect(
                host="127.0.0.1",
                port=settings["POSTGRES_PORT"],
                user="airflow",
                dbname="airflow",
                password=settings["AIRFLOW_DB_PASSWORD"],
            )
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE dag_run SET state = 'queued' WHERE run_id = %s", (cleared,))
        found = house.clean("triggerer")
        assert found["errors"] == [] and found["task_instance"]["removed"] == 1
        for table in ("dag_run", "task_instance", "xcom"):
            assert runs(house, table) == {cleared, last}
        connection.commit()


def test_the_last_run_of_each_dag_and_kind_stays_with_its_tasks(house: House):
    a_dag(house, "sales")
    a_dag(house, "stock")
    a_run(house, "sales", "success", days=OLD + 1)
    kept = {
        a_run(house, "sales", "success"),
        a_run(house, "sales", "failed", kind="manual"),
        a_run(house, "stock", "success"),
    }
    assert house.clean("triggerer")["dag_run"]["removed"] == 1
    assert runs(house) == runs(house, "task_instance") == runs(house, "xcom") == kept


def test_a_trigger_that_a_deferred_task_waits_for_stays_and_so_does_the_task(house: House):
    a_dag(house, "sales")
    run = a_run(house, "sales", "running", tasks=("deferred",))
    wanted, _ = (house.add("trigger", days_created_date=OLD) for _ in range(2))
    house.query("UPDATE task_instance SET trigger_id = %s", wanted)
    assert house.clean("triggerer")["trigger"]["removed"] == 1
    assert house.query("SELECT id FROM trigger") == [(wanted,)]
    assert runs(house, "task_instance") == {run}


def test_sessions_jobs_and_the_audit_log_go_by_ages_of_their_own(house: House):
    house.limits.write_text("sessions: 2h\njobs: 2d\naudit: 3d\n")
    a_dag(house, "sales")
    live = a_run(house, "sales", "running", tasks=("running",))
    for days in (-1, 0.05, 1):
        house.add("session", session_id=str(days), days_expiry=days)
    old, queuing = (house.add("job", days_latest_heartbeat=5) for _ in range(2))
    house.add("job", days_latest_heartbeat=1)
    house.query("UPDATE task_instance SET queued_by_job_id = %s", queuing)
    for run, days in ((None, 5), (None, 1), (live, 5), ("gone", 5)):
        house.add("log", dag_id="sales", run_id=run, days_dttm=days)
    found = house.clean("triggerer")
    assert [found[name]["removed"] for name in ("session", "job", "log")] == [1, 1, 2]
    assert house.query("SELECT count(*) FROM job WHERE id = %s", old) == [(0,)]
    assert house.query("SELECT run_id FROM log WHERE event = 'x' ORDER BY dttm") == [(live,), (None,)]


def test_an_asset_keeps_its_last_event_and_those_that_a_run_may_ask_for(house: House):
    a_dag(house, "sales")
    live = a_run(house, "sales", "running", tasks=("running",))
    assets = [house.add("asset", name=f"a{at}", uri=f"a{at}", group="g") for at in range(3)]
    events = [house.add("asset_event", asset_id=asset, days_timestamp=OLD) for asset in assets for _ in range(3)]
    house.add("asset_dag_run_queue", asset_id=assets[1], target_dag_id="sales")
    (run,) = house.query("SELECT id FROM dag_run WHERE run_id = %s", live)[0]
    house.query("INSERT INTO dagrun_asset_event (dag_run_id, event_id) VALUES (%s, %s)", run, events[6])
    house.clean("triggerer")
    left = {event for (event,) in house.query("SELECT id FROM asset_event")}
    assert left == {events[2], events[3], events[4], events[5], events[6], events[8]}


def test_a_version_stays_as_long_as_a_run_was_made_with_it(house: House):
    a_dag(house, "sales")
    used, unused, _ = (
        house.add("dag_version", dag_id="sales", version_number=number, days_created_at=OLD - number)
        for number in (2, 3, 4)
    )
    run = a_run(house, "sales", "success", days=1)
    house.query("UPDATE dag_run SET created_dag_version_id = %s WHERE run_id = %s", used, run)
    house.query("UPDATE task_instance SET dag_version_id = (SELECT id FROM dag_version WHERE version_number = 4)")
    house.clean("triggerer")
    left = {version for (version,) in house.query("SELECT id FROM dag_version")}
    assert used in left and unused not in left


def test_many_rows_go_in_batches_and_never_says_that_all_stay(house: House):
    house.limits.write_text("audit: 1d\nruns: never\nxcoms: never\n")
    house.query("INSERT INTO log (dttm, event) SELECT now() - interval '9 days', 'x' FROM generate_series(1, 1700)")
    a_dag(house, "sales")
    kept = {a_run(house, "sales", "success") for _ in range(3)}
    found = house.clean("triggerer")
    assert found["log"]["removed"] == 1700 and found["log"]["removed_bytes"] >= found["log"]["bytes"] > 1700
    assert "dag_run" not in found and runs(house) == kept
    (facts,) = house.query("SELECT facts FROM kit.seen WHERE what = 'housekeeping'")[0]
    assert facts["airflow"]["totals"]["log"]["rows"] == 1700
    house.add("log", days_dttm=9)
    house.clean("triggerer")
    (facts,) = house.query("SELECT facts FROM kit.seen WHERE what = 'housekeeping'")[0]
    assert facts["airflow"]["totals"]["log"]["rows"] == 1701
