"""Tasks that kill what runs them are found in the journal and failed in Airflow's database, by the role that the controller has (A4, A6)."""

import contextlib
import uuid

import psycopg2
import pytest

from airflow_celery_kit.controller import database, quarantine
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True
MAKE = """
INSERT INTO task_instance (id, dag_id, run_id, task_id, map_index, try_number, state) VALUES (%s, 'sales', 'r1', 'load', -1, 3, %s)
"""


def dies(life, *, by="worker", names=None, at=None, **facts):
    """What is said of an attempt that begins, whose process is killed, and which another one follows."""
    one = life()
    one.names |= names or {}
    one.at = at or one.at
    word = one.says("worker", "lost", **facts) if by == "worker" else one.says("controller", "repaired", action="free")
    begins = one.airflow("asked", "scheduled", "queued", "running")
    return [*begins, word, one.says("airflow", "replaced", by=str(uuid.uuid4()))]


@pytest.fixture
def task(journal, life):
    """Writes so many deaths of one task, each at another time, and returns the attempt that waits."""
    now = journal.query("SELECT extract(epoch FROM now())::float8")[0][0] - 3600

    def die(times, by="worker", **names):
        for number in range(times):
            said = dies(life, by=by, names=names | {"attempt": number + 1}, at=now + 10 * number)
            journal.write(*said)
        waiting = life(at=now + 10 * times)
        waiting.names |= names | {"attempt": times + 1}
        journal.write(*waiting.airflow("asked", "up_for_retry"))
        return waiting

    return die


def killers(journal, least=3):
    """What the controller is told."""
    return journal.query("SELECT task::text, deaths FROM journal.killers(%s)", least, role="kit")


def test_what_died_often_enough_and_waits_is_found(journal, task):
    task(2, task_id="twice")
    thrice = task(3, task_id="thrice")
    task(3, task_id="mapped", map_index=0)
    assert sorted(deaths for _, deaths in killers(journal)) == [3, 3]
    assert (thrice.id, 3) in killers(journal)
    assert killers(journal, 4) == []


def test_a_worker_that_is_gone_counts_as_a_death(journal, task):
    gone = task(3, by="controller")
    assert killers(journal) == [(gone.id, 3)]


def test_whom_a_worker_that_leaves_has_ended_is_not_to_blame(journal, life):
    now = journal.query("SELECT extract(epoch FROM now())::float8")[0][0] - 60
    for number in range(3):
        journal.write(*dies(life, names={"attempt": number + 1}, at=now + number, leaving=True))
    waiting = life(at=now + 9)
    journal.write(*waiting.airflow("asked", "up_for_retry"))
    assert killers(journal) == []


def test_of_what_airflow_has_never_spoken_a_worker_may_say_anything(journal, life):
    made_up, waiting = [life() for _ in range(3)], life()
    journal.write(*waiting.airflow("asked", "scheduled"))
    journal.write(*(one.says("worker", "lost") for one in made_up), as_role="journal_writer")
    assert killers(journal) == []


def test_what_runs_or_has_ended_is_left(journal, task):
    one = task(3)
    journal.write(*one.airflow("scheduled", "queued", "running"))
    assert killers(journal) == []
    journal.write(*one.airflow("failed"))
    assert killers(journal) == []


def test_who_has_it_run_again_by_hand_begins_the_count_anew(journal, task, life):
    aside = task(3)
    again = life(at=aside.at + 10)
    again.names |= {"attempt": 5}
    journal.write(*aside.airflow("failed"))
    assert killers(journal) == []
    journal.write(aside.says("airflow", "replaced", by=again.id), *again.airflow("asked", "scheduled"))
    assert killers(journal) == []
    for number in range(3):
        said = dies(life, names={"attempt": 6 + number}, at=aside.at + 20 + number)
        journal.write(*said)
    assert killers(journal) == [(again.id, 3)]


def test_a_cancelled_task_s_death_is_none_of_its_own(journal, task):
    one = task(3)
    dead = journal.query("SELECT id::text FROM journal.task WHERE status = 'RETRY' LIMIT 1")[0][0]
    one.id, kept = dead, one.id
    journal.write(one.says("operator", "cancelled"))
    one.id = kept
    assert killers(journal) == []


@pytest.fixture
def set_aside(ready, journal):
    """What the controller does."""
    with contextlib.ExitStack() as opened:
        connect = lambda name: opened.enter_context(contextlib.closing(psycopg2.connect(journal.address("kit", name))))  # noqa: E731
        metadata, events = connect("airflow"), connect("kit")
        yield lambda: quarantine.set_aside(events, lambda: database.transaction(metadata), 3)
    for table in ("task_instance", "kit.change"):
        ready.query(f"DELETE FROM {table}", **METADATA)


@pytest.mark.parametrize("state", ["up_for_retry", "scheduled", "queued"])
def test_what_waits_is_failed_and_the_reason_is_told(ready, set_aside, task, state):
    killer = task(3)
    ready.query(MAKE, killer.id, state, **METADATA)
    ready.query("DELETE FROM kit.change", **METADATA)
    assert set_aside() == 1 and set_aside() == 0
    assert ready.query("SELECT state, end_date IS NOT NULL FROM task_instance", **METADATA) == [("failed", True)]
    told = "SELECT kind, source, facts ->> 'error' FROM kit.change WHERE task = %s ORDER BY seq"
    failed, why = ready.query(told, killer.id, **METADATA)
    assert failed[:2] == ("failed", "airflow") and why[:2] == ("error", "controller")
    assert "killed 3 times" in why[2] and "kit tasks retry" in why[2]


@pytest.mark.parametrize("state", ["running", "success", "failed", "deferred"])
def test_what_has_changed_meanwhile_is_left(ready, set_aside, task, state):
    ready.query(MAKE, task(3).id, state, **METADATA)
    assert set_aside() == 0
    assert ready.query("SELECT state FROM task_instance", **METADATA) == [(state,)]
