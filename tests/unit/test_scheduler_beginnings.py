"""In which loops the scheduler creates and starts Dag runs, with a clock and a bell of the test's own."""

from types import SimpleNamespace

import pytest

from airflow_celery_kit.scheduler.beginnings import Beginnings

INTERVAL = 1.0


class Scheduler:
    """Loops as Airflow's, which search for runs and then look at those given; `searched` is when each search was."""

    def __init__(self) -> None:
        self.now, self.only_tasks, self.searched = 100.0, False, []
        chooser = Beginnings(lambda: self.only_tasks, INTERVAL, lambda: self.now)
        self.search = chooser.where_due(lambda: self.searched.append(self.now))
        self.look = chooser.noticing_ends(lambda runner, run, session: run.state)
        self.decide = chooser.at_each(self.decide)

    def decide(self, states: tuple[str, ...]) -> list[str]:
        self.search()
        return [self.look(self, SimpleNamespace(state=state), None) for state in states]

    def loop(self, *states: str, only_tasks: bool = False, later: float = 0.1) -> list[str]:
        self.now, self.only_tasks = self.now + later, only_tasks
        return self.decide(states)


@pytest.fixture
def scheduler():
    found = Scheduler()
    found.loop()
    assert found.searched == [pytest.approx(100.1)], "the first loop searches"
    found.searched.clear()
    return found


def test_where_only_tasks_rang_no_run_is_searched_for_and_the_looks_are_airflows(scheduler):
    assert scheduler.loop("running", "running", only_tasks=True) == ["running", "running"]
    assert scheduler.searched == []


def test_where_nothing_or_something_else_rang_it_is(scheduler):
    scheduler.loop("running")
    assert len(scheduler.searched) == 1


def test_however_often_tasks_ring_it_is_once_in_an_interval(scheduler):
    for _ in range(100):
        scheduler.loop("running", only_tasks=True)
    assert len(scheduler.searched) == pytest.approx(100 * 0.1 / INTERVAL, abs=1)


@pytest.mark.parametrize("state", ["success", "failed"])
def test_after_a_run_has_ended_there_is_room_for_another(scheduler, state):
    scheduler.loop("running", state, "running", only_tasks=True)
    assert scheduler.searched == [], "the search came before"
    scheduler.loop("running", only_tasks=True)
    assert len(scheduler.searched) == 1
    scheduler.loop("running", only_tasks=True)
    assert len(scheduler.searched) == 1, "once for each"
