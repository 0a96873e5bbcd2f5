"""What operators do where no journal is kept, on a real Airflow: it is done, and nothing is told that nobody would carry away."""

from collections.abc import Iterator

import pytest

from airflow_celery_kit.journal.install import TRIGGERS

TOLD = "SELECT kind FROM kit.change WHERE source = 'operator'"


@pytest.fixture
def unheard(server) -> Iterator[str]:
    """A run of before the journal was switched off."""
    run = server.start()
    for table, trigger in TRIGGERS:
        server.query(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
    yield run
    for table, trigger in TRIGGERS:
        server.query(f"ALTER TABLE {table} ENABLE TRIGGER {trigger}")
    server.query("DELETE FROM kit.change")


def test_nothing_is_told(server, unheard):
    run = f"/workflows/sales/{unheard}"
    ((task,),) = server.query("SELECT id::text FROM task_instance WHERE run_id = %s AND task_id = 'extract'", unheard)
    for path in (
        f"{run}/pause",
        f"{run}/resume",
        f"/tasks/{task}/cancel",
        f"/tasks/{task}/retry",
        f"{run}/cancel",
        f"{run}/retry",
    ):
        assert server.kit(path, "POST").status_code == 200, path
    assert server.query(TOLD) == []


def test_everything_is_told_where_one_is_kept(server):
    run = server.start()
    server.kit(f"/workflows/sales/{run}/pause", "POST").raise_for_status()
    assert server.query(TOLD) == [("run_paused",)]
    server.carry()
