"""Work that is done once for each key (F1), by functions of a real PostgreSQL, as the role that workers have."""

import threading
import uuid

import psycopg2
import pytest

from airflow_celery_kit.core.journal.events import Subject
from airflow_celery_kit.journal.keys import Keys
from airflow_celery_kit.task import TakenError, context, deduplicate, once

ON_WHEELS_ALONE = True


@pytest.fixture
def keys(journal):
    """The keys, as a task's process reaches them."""
    return Keys(journal.address("journal_writer"))


@pytest.fixture
def run_as(journal, monkeypatch):
    """Makes this process a task's, of any attempt."""
    monkeypatch.setenv("KIT_JOURNAL_CONN", journal.address("journal_writer"))
    monkeypatch.setattr(once, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(context, "say", lambda kind, facts: None)
    here = threading.local()
    monkeypatch.setattr(context, "subject", lambda: here.subject)

    def become(id=None, task="load"):
        here.subject = Subject(id or str(uuid.uuid4()), "sales", "r1", task, -1, 1)
        return here.subject.task

    return become


def test_the_second_one_gets_the_first_one_s_result(run_as):
    made = []
    work = lambda: made.append(1) or {"rows": 17}  # noqa: E731
    for _ in range(3):
        run_as()
        assert deduplicate({"day": "2026-01-01", "part": [1]}, work) == {"rows": 17}
    assert len(made) == 1


def test_another_key_and_another_task_are_other_work(run_as):
    run_as()
    assert [deduplicate(1, lambda: "a"), deduplicate(2, lambda: "b"), deduplicate("1", lambda: "c")] == ["a", "b", "c"]
    run_as(task="other")
    assert deduplicate(1, lambda: "d") == "d"


def test_work_that_fails_leaves_the_key_to_the_next_one(run_as):
    run_as()
    with pytest.raises(ZeroDivisionError):
        deduplicate(1, lambda: 1 // 0)
    with pytest.raises(ValueError, match="what JSON can hold"):
        deduplicate(1, object)
    run_as()
    assert deduplicate(1, lambda: "done") == "done"


def test_two_at_once_do_the_work_once(run_as):
    begun, go, found = threading.Event(), threading.Event(), []

    def slowly():
        begun.set()
        go.wait(10)
        return "the first one's"

    def one(work):
        run_as()
        found.append(deduplicate(1, work, wait=10))

    threads = [threading.Thread(target=one, args=(work,)) for work in (slowly, lambda: "the second one's")]
    threads[0].start()
    assert begun.wait(10)
    threads[1].start()
    threads[1].join(0.3)
    assert threads[1].is_alive(), "it waits for the first one"
    go.set()
    for thread in threads:
        thread.join(10)
    assert found == ["the first one's", "the first one's"]


def test_a_key_is_free_once_the_journal_knows_that_its_holder_is_over(journal, life, keys, run_as):
    dead = life()
    journal.write(*dead.airflow("asked", "scheduled", "queued", "running"))
    held = once.hashlib.sha256(b"sales\0load\0001").hexdigest()
    assert keys.take(held, dead.id) == {"is": "mine"}
    assert keys.take(held, dead.id) == {"is": "mine"}, "it may ask again"
    other = run_as()
    with pytest.raises(TakenError, match=dead.id):
        deduplicate(1, lambda: "too early", wait=0)
    journal.write(dead.says("airflow", "replaced", by=other))
    assert deduplicate(1, lambda: "now") == "now"
    assert not keys.finish(held, dead.id, "late"), "who comes back late changes nothing"
    assert keys.take(held, dead.id)["result"] == "now"


def test_a_holder_that_nobody_knows_is_waited_for_a_day(journal, keys):
    keys.take("k", str(uuid.uuid4()))
    assert keys.take("k", str(uuid.uuid4()))["is"] == "taken"
    journal.query("UPDATE state.once SET begun_at = now() - interval '25 hours'")
    assert keys.take("k", str(uuid.uuid4()))["is"] == "mine"


def test_workers_reach_keys_by_functions_alone_and_readers_not_at_all(journal, keys):
    keys.take("k", str(uuid.uuid4()))
    for statement in ("SELECT * FROM state.once", "DELETE FROM state.once", "SELECT state.prune(1)"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            journal.query(statement, role="journal_writer")
    for role in ("journal_reader", "journal_scheduler"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            journal.query("SELECT state.take('k', gen_random_uuid())", role=role)


def test_what_is_old_goes(journal, keys):
    keys.take("old", str(uuid.uuid4()))
    keys.take("new", str(uuid.uuid4()))
    journal.query("UPDATE state.once SET begun_at = now() - interval '40 days' WHERE key = 'old'")
    assert journal.query("SELECT state.prune(30)", role="kit") == [(1,)]
    assert journal.query("SELECT key FROM state.once") == [("new",)]
