"""Logs on a real file system; a dry run that finds everything and changes nothing; one round at a time."""

import contextlib
import os
import time

import psycopg2

from tests.contract.housekeeping.conftest import House
from tests.contract.housekeeping.test_results_and_keys import a_result
from tests.contract.housekeeping.test_tables import OLD, a_dag, a_run


def fill(house: House) -> None:
    """Something of each kind that would go."""
    a_dag(house, "sales")
    for _ in range(3):
        run = a_run(house, "sales", "success")
        house.log(f"dag_id=sales/run_id={run}/task_id=t0/attempt=1.log", 60)
    house.add("session", session_id="s", days_expiry=9)
    house.add("job", days_latest_heartbeat=OLD)
    house.add("log", days_dttm=999)
    a_result(house, "old", 9)
    empty = house.logs / "dag_id=sales" / "run_id=gone" / "task_id=x"
    empty.mkdir(parents=True)
    then = time.time() - 2 * 3600
    os.utime(empty, (then, then))


def test_a_dry_run_finds_what_would_go_and_changes_no_row_no_key_and_no_file(house: House):
    fill(house)
    before = house.snapshot()
    found = house.clean("controller", "--dry-run") | house.clean("triggerer", "--dry-run")
    rows = {name: row["rows"] for name, row in found.items() if isinstance(row, dict) and row["rows"]}
    assert rows == {
        "celery_taskmeta": 1, "xcom": 2, "task_reschedule": 2, "task_instance": 2, "dag_run": 2, "log": 1, "job": 1, "session": 1,
        "log files": 3, "empty log folders": 1,
    }  # fmt: skip
    assert all(row["removed"] == 0 for row in found.values() if isinstance(row, dict))
    assert found["log files"]["bytes"] == 30 and 59 * 86400 < found["log files"]["oldest_seconds"] < 61 * 86400
    assert house.snapshot() == before
    # The comparison would have seen it.
    house.clean("controller")
    house.clean("triggerer")
    after = house.snapshot()
    assert len([name for name, value in before.items() if after.get(name) != value]) >= len(rows)


def test_logs_go_by_age_then_by_size_the_oldest_first_and_never_those_of_a_run_that_is_under_way(house: House):
    house.limits.write_text("logs_size: 3MB\ndisk: never\n")
    a_dag(house, "sales")
    live = a_run(house, "sales", "running", tasks=("success", "running"))
    kept = [house.log(f"dag_id=sales/run_id={live}/task_id=t{at}/attempt=1.log", 90, 1_000_000) for at in range(2)]
    aged = house.log("dag_id=sales/run_id=r1/task_id=t0/attempt=1.log", 31, 10)
    second, first = (
        house.log(f"dag_id=sales/run_id=r2/task_id=t0/attempt={days}.log", days, 500_000) for days in (4, 5)
    )
    kept.append(house.log("dag_processor/2026-01-01/dags/sales.py.log", 3, 500_000))
    kept.append(house.log("dag_id=sales/run_id=r3/task_id=t0/attempt=1.log", 0.5, 500_000))
    found = house.clean("triggerer")["log files"]
    assert found["why"] == {"age": 1, "size": 2} and found["removed"] == 3 and found["removed_bytes"] == 1_000_010
    assert not any(path.exists() for path in (aged, first, second)) and all(path.exists() for path in kept)


def test_a_full_disk_takes_logs_sooner_but_not_the_last_day_s(house: House):
    house.limits.write_text("disk: 1%\n")
    week, young = house.log("dag_id=a/run_id=r/task_id=t/attempt=1.log", 7), house.log("scheduler.log", 0.9)
    found = house.clean("triggerer")
    assert found["log files"]["why"] == {"disk": 1} and not week.exists() and young.exists()
    (facts,) = house.query("SELECT facts FROM kit.seen WHERE what = 'housekeeping'")[0]
    assert facts["airflow"]["disk"]["full"] is True and 0.01 < facts["airflow"]["disk"]["used"] < 1


def test_empty_folders_go_when_nobody_can_be_about_to_write_there(house: House):
    a_dag(house, "sales")
    live = a_run(house, "sales", "running", tasks=("running",))
    then = time.time() - 2 * 3600
    made = {
        name: house.logs / name
        for name in (
            "dag_id=sales/run_id=old",
            f"dag_id=sales/run_id={live}/task_id=t0",
            "dag_id=other",
            "dag_id=sales/run_id=new",
        )
    }
    for name, path in made.items():
        path.mkdir(parents=True)
        if "new" not in name:
            os.utime(path, (then, then))
    house.clean("triggerer")
    assert [name for name, path in made.items() if not path.exists()] == ["dag_id=sales/run_id=old"]


def test_two_rounds_are_not_done_at_the_same_time_and_the_second_says_so(house: House):
    settings = house.settings
    with contextlib.closing(
        psycopg2.connect(
            host="127.0.0.1", port=settings["POSTGRES_PORT"], user="airflow", dbname="airflow", password=settings["AIRFLOW_DB_PASSWORD"]
        )
    ) as connection, connection.cursor() as cursor:  # fmt: skip
        cursor.execute("SELECT pg_advisory_lock(hashtext('kit.housekeeping'))")
        old = house.log("old.log", 90)
        assert house.clean("triggerer", fails=True).strip() == "another round is under way: call again in some minutes"
        assert old.exists()
        house.clean("triggerer", "--dry-run")
    house.clean("triggerer")
    assert not old.exists()
