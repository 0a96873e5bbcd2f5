"""The kit's result backend beside Celery's own, on a real database: the same rows, by fewer statements and connections."""

import os
import uuid

import pytest
from celery import Celery
from celery.backends.database import DatabaseBackend
from celery.backends.database.models import ResultModelBase
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from airflow_celery_kit.worker import result_backend
from airflow_celery_kit.worker.result_backend import OneStatement
from tests.contract.tables import RESULTS

ON_WHEELS_ALONE = True
COLUMNS = "status, result, traceback, date_done IS NULL, coalesce(now() AT TIME ZONE 'utc' - date_done < interval '1 min', true)"


@pytest.fixture
def app(prepared):
    """A Celery app as Airflow's, whose results are in the prepared database."""
    settings = prepared.settings
    address = f"postgresql://celery:{settings['CELERY_DB_PASSWORD']}@127.0.0.1:{settings['POSTGRES_PORT']}/celery"
    engine = create_engine(address, poolclass=NullPool)
    ResultModelBase.metadata.create_all(engine)
    source = {
        "result_backend": f"db+{address}",
        "override_backends": {"db": "airflow_celery_kit.worker.result_backend:chosen"},
    }
    made = Celery("airflow", config_source=source, set_as_current=False)
    yield made
    made.close()
    prepared.query("DELETE FROM celery_taskmeta", **RESULTS)
    ResultModelBase.metadata.drop_all(engine)
    engine.dispose()


def own(app) -> DatabaseBackend:
    """Celery's own backend on the same database."""
    return DatabaseBackend(app=app, url=app.conf.result_backend.removeprefix("db+"))


def ours(app) -> OneStatement:
    """The kit's."""
    return OneStatement(app=app, url=app.conf.result_backend.removeprefix("db+"))


STORIES = (
    [("STARTED", {"pid": 7})],
    [("STARTED", {"pid": 7}), ("SUCCESS", None)],
    [("STARTED", {"pid": 7}), ("FAILURE", ValueError("no"), "Traceback: no")],
    [("FAILURE", ValueError("no"), "Traceback: no"), ("SUCCESS", 3)],
)


def test_celerys_own_stays_where_celery_is_another_one(app, monkeypatch, caplog):
    monkeypatch.setitem(result_backend.WRITTEN_AGAINST, "SessionManager.invalidate", "000000000000")
    assert type(app.backend) is DatabaseBackend
    assert "one statement for a result is left out" in caplog.text


@pytest.mark.parametrize("story", STORIES, ids=lambda story: "-".join(state for state, *_ in story))
def test_a_task_leaves_the_same_row(prepared, app, story):
    rows = []
    for backend in (own(app), ours(app)):
        task = str(uuid.uuid4())
        for state, result, *traceback in story:
            backend.store_result(task, result, state, *traceback)
        rows += prepared.query(f"SELECT {COLUMNS} FROM celery_taskmeta WHERE task_id = %s", task, **RESULTS)
        assert backend.get_task_meta(task)["status"] == story[-1][0]
    rows = [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in rows]
    assert len(rows) == 2 and rows[0] == rows[1]
    assert rows[0][0] == story[-1][0] and rows[0][-1] is True


def test_the_setting_makes_celery_take_it(app):
    assert type(app.backend) is OneStatement


def connections(prepared) -> int:
    """How many connections the server has accepted to the results since it started."""
    prepared.query("SELECT pg_stat_force_next_flush()", **RESULTS)
    return prepared.query("SELECT sessions FROM pg_stat_database WHERE datname = 'celery'")[0][0]


def test_a_process_that_was_not_forked_keeps_its_connection(prepared, app):
    def made(backend) -> int:
        backend.get_task_meta("nobody")
        before = connections(prepared)
        for _ in range(10):
            backend.get_task_meta("nobody")
        return connections(prepared) - before

    assert made(own(app)) >= 10, "Celery alone connects each time"
    assert made(ours(app)) <= 2, "the test's own look is one"


def backend_process(backend) -> int:
    """The process of the server that a backend talks to."""
    session = backend.ResultSession()
    try:
        return session.scalar(text("SELECT pg_backend_pid()"))
    finally:
        session.close()


def test_a_forked_process_has_a_connection_of_its_own(prepared, app):
    backend = ours(app)
    before, (reads, writes) = backend_process(backend), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            backend.store_result("child", 2, "SUCCESS")
            os.write(writes, str(backend_process(backend)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(reads, 20)) != before
    assert backend_process(backend) == before, "the parent's connection is as it was"
    assert backend.get_task_meta("child")["result"] == 2


CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'celery' AND pid <> pg_backend_pid()"
)


def test_a_connection_that_was_cut_is_made_again(prepared, app):
    backend = ours(app)
    for number in range(3):
        backend.store_result(f"result {number}", number, "SUCCESS")
        assert prepared.query(CUT)[0][0] >= 1
    backend.store_result("last", "result", "SUCCESS")
    assert backend.get_task_meta("last")["result"] == "result"
    assert prepared.query(CUT)[0][0] >= 2, "one that writes and one that reads"
    assert [backend.get_task_meta(f"result {number}")["result"] for number in range(3)] == [0, 1, 2]


def pings(engine) -> list:
    """Return a list that grows with each question whether a connection of an engine is alive."""
    asked, stock = [], engine.dialect.do_ping
    engine.dialect.do_ping = lambda connection: asked.append("ping") or stock(connection)
    return asked


def test_a_write_asks_nothing_before_and_a_read_does(app):
    backend = ours(app)
    backend.store_result("first", 1, "SUCCESS")
    backend.get_task_meta("first")
    writing, reading = pings(backend.engine), pings(backend.session_manager.get_engine(backend.url))
    backend.store_result("second", 2, "SUCCESS")
    assert backend.get_task_meta("second")["result"] == 2
    assert (writing, reading) == ([], ["ping"])


READ_ONLY = "ALTER DATABASE celery SET default_transaction_read_only = {}"


@pytest.fixture
def read_only_at_first(prepared):
    """The results are in a database that takes no writes from sessions that begin now, as a standby's; returns what lets it take them."""
    prepared.query(READ_ONLY.format("on"))
    yield lambda: prepared.query(READ_ONLY.format("off"))
    prepared.query(READ_ONLY.format("off"))


def test_a_write_that_failed_is_repeated_on_a_new_connection(app, read_only_at_first):
    backend = ours(app)
    with pytest.raises(DatabaseError, match="read-only"):
        backend._store_result("first", 1, "SUCCESS")
    read_only_at_first()
    backend._store_result("first", 1, "SUCCESS")
    assert backend.get_task_meta("first")["result"] == 1


def test_a_write_that_fails_in_a_fork_leaves_the_parents_connection_alone(prepared, app):
    backend = ours(app)
    before = backend_process(backend)
    child = os.fork()
    if child == 0:
        backend.on_backend_retryable_error(DatabaseError("", None, Exception()))
        os._exit(0)
    os.waitpid(child, 0)
    assert backend_process(backend) == before
