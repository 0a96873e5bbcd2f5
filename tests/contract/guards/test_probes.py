"""The one more try of a task that tries a breaker out, on a real PostgreSQL: it has it while it does, and costs or gains none by waiting."""

import contextlib

import pytest

from tests.contract.guards.conftest import SCHEDULE, breaker, limit
from tests.contract.guards.test_admission import fails

ON_WHEELS_ALONE = True
SUSPEND = "SELECT kit.guard_suspend('limit db', 'anna', 'maintenance')"
RESUME = "SELECT kit.guard_resume('limit db', 'anna', 'done')"
# As in guards/admission.sql.
FREE_PROBES = 100
TRIES = "SELECT try_number, max_tries FROM task_instance WHERE id = %s"


@pytest.fixture
def probe(airflow):
    """A task that is to try out whether a breaker may close, beside a limit that does not stop it, and is not sent yet."""
    airflow.query("INSERT INTO dag (dag_id, is_paused) VALUES ('sales', false) ON CONFLICT DO NOTHING")
    airflow.query("UPDATE dag SET is_paused = false")
    airflow.guards(breaker(failures=1), limit("db", slots=5))
    first, second = airflow.tasks(2)
    airflow.schedule([first])
    fails(airflow, [first])
    airflow.later(31)
    assert airflow.schedule([second]) == 1 and airflow.breaker()[2] == second and tries(airflow, second) == (1, 1)
    return second


def tries(airflow, id):
    """How many tries a task has had, and how many it may have after the first."""
    (found,) = airflow.query(TRIES, id)
    return found


def by_a_suspension(airflow, probe):
    """What is let in waits again."""
    assert airflow.one(SUSPEND) == 1
    airflow.one(RESUME)


def by_a_suspension_when_sent(airflow, probe):
    """A suspension takes back what it finds in its scheduler's hands."""
    airflow.becomes("queued", probe)
    assert airflow.one(SUSPEND) == 1
    airflow.one(RESUME)


def by_a_paused_dag(airflow, probe):
    """What is scheduled gives its slots back."""
    airflow.query("UPDATE dag SET is_paused = true WHERE dag_id = 'sales'")


def when_it_is_sent(airflow, probe):
    """The limit was suspended while another transaction had the task."""
    with contextlib.closing(airflow.connect()) as scheduler, scheduler, scheduler.cursor() as cursor:
        cursor.execute("SELECT FROM task_instance WHERE id = %s FOR UPDATE", (probe,))
        assert airflow.one(SUSPEND) == 0
        cursor.execute("UPDATE task_instance SET state = 'queued' WHERE id = %s", (probe,))
    airflow.one(RESUME)


def after_another_one_took_its_place(airflow, probe):
    """One that finds no worker for minutes tries nothing out."""
    airflow.later(121)
    assert airflow.schedule(airflow.tasks(1, run="r2")) == 1 and airflow.breaker()[2] != probe
    airflow.becomes("queued", probe)
    airflow.query("UPDATE kit.breaker SET probe = NULL")


@pytest.mark.parametrize(
    "taken_back",
    [by_a_suspension, by_a_suspension_when_sent, by_a_paused_dag, when_it_is_sent, after_another_one_took_its_place],
)
def test_one_that_is_taken_back_gives_back_its_try_and_has_one_when_it_tries_again(airflow, probe, taken_back):
    taken_back(airflow, probe)
    assert airflow.states([probe]) == [None] and tries(airflow, probe) == (0, 0)
    airflow.query("UPDATE dag SET is_paused = false")
    airflow.query("DELETE FROM kit.withdrawal")
    assert airflow.schedule([probe]) == 1 and tries(airflow, probe) == (1, 1)


def test_one_that_fails_has_used_none_of_its_own(airflow, probe):
    for state in ("queued", "running", "up_for_retry"):
        airflow.becomes(state, probe)
    assert tries(airflow, probe) == (1, 1) and airflow.breaker()[0] == "open"


def test_a_sensor_that_works_and_looks_again_gathers_none(airflow, probe):
    for state in ("queued", "running", "up_for_reschedule"):
        airflow.becomes(state, probe)
    assert tries(airflow, probe) == (1, 0) and airflow.breaker()[0] == "closed"


def test_one_that_airflow_puts_back_has_used_none_of_its_own(airflow, probe):
    """It does so for a scheduler that died, and counts the try."""
    airflow.becomes("queued", probe)
    airflow.becomes(None, probe)
    assert tries(airflow, probe) == (1, 1)


def test_who_tries_nothing_out_gives_nothing_back(airflow):
    airflow.guards(breaker(), limit("db", slots=5))
    (id,) = airflow.tasks(1)
    with contextlib.closing(airflow.connect()) as scheduler, scheduler, scheduler.cursor() as cursor:
        cursor.execute("UPDATE task_instance SET max_tries = 2")
        cursor.execute(SCHEDULE, ([id],))
    assert airflow.one(SUSPEND) == 1 and tries(airflow, id) == (0, 2)


@pytest.mark.parametrize(
    ("before", "state", "by_hand"),
    [
        ("running", "skipped", ""),
        ("queued", "skipped", ""),
        ("scheduled", "success", ""),
        ("queued", "success", ""),
        ("running", "success", "anna"),
    ],
)
def test_one_that_ends_without_having_tried_it_out_closes_nothing(airflow, probe, before, state, by_hand):
    """Airflow skips what a run that takes too long has, a branch what another one chose; a person marks what runs as done."""
    if before != "scheduled":
        airflow.becomes(before, probe)
    with contextlib.closing(airflow.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('kit.by_hand', %s, true)", (by_hand,))
        cursor.execute("UPDATE task_instance SET state = %s WHERE id = %s", (state, probe))
    assert airflow.breaker()[0] == "half-open" and airflow.breaker()[2] is None
    another = airflow.tasks(1)
    assert airflow.schedule(another) == 1 and airflow.breaker()[2] == another[0]


def test_one_that_never_works_has_an_end(airflow, probe):
    """What is wrong with itself, and not with the service, no waiting cures."""
    for _ in range(FREE_PROBES + 2):
        for state in ("queued", "running", "up_for_retry"):
            airflow.becomes(state, probe)
        airflow.later(31)
        assert airflow.schedule([probe]) == 1 and airflow.breaker()[2] == probe
    had, may = tries(airflow, probe)
    assert may == FREE_PROBES and had == FREE_PROBES + 3
    airflow.becomes("running", probe)
    airflow.becomes("success", probe)
    assert airflow.query("SELECT * FROM kit.guard_probe") == []
