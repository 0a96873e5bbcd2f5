"""Which running Dag runs a loop of the scheduler looks at, with a clock and rings of the test's own."""

from dataclasses import dataclass

import pytest

from airflow_celery_kit.scheduler import looks
from airflow_celery_kit.scheduler.looks import FEW, FORGET_SECONDS, LATE, WINDOW, Looks, name_of

INTERVAL, SHARE, LOOP = 1.0, 20, 0.05


@dataclass(frozen=True)
class Run:
    id: int

    @property
    def dag_id(self) -> str:
        return "sales"

    @property
    def run_id(self) -> str:
        return f"r{self.id}"


class Scheduler:
    """Loops over running Dag runs as Airflow does: first what it did not look at for longest."""

    def __init__(self, number: int) -> None:
        self.now, self.rung = 100.0, set()
        self.looks = Looks(self.heard, INTERVAL, SHARE, clock=lambda: self.now)
        self.runs = {number: 0.0 for number in range(number)}

    def heard(self) -> set[str] | None:
        names, self.rung = self.rung, set()
        return names

    def ring(self, *runs: int) -> None:
        self.rung = None if self.rung is None else self.rung | {name_of(Run(one)) for one in runs}

    def loop(self, after: float = LOOP, backfill: bool = False) -> list[int]:
        self.now += after
        ordered = sorted(self.runs, key=None if backfill else self.runs.__getitem__)
        there = [Run(one) for one in ordered[: self.looks.window]]
        chosen = [run.id for run in self.looks.due(there)]
        self.runs |= dict.fromkeys(chosen, self.now)
        return chosen


@pytest.fixture
def scheduler():
    made = Scheduler(20)
    made.loop()
    return made


def test_what_was_never_looked_at_is_at_once():
    scheduler = Scheduler(20)
    assert sorted(scheduler.loop()) == list(range(20))
    scheduler.runs[20] = 0.0
    assert scheduler.loop() == [20]


def test_what_rang_is_looked_at_and_nothing_else_that_was_a_moment_ago(scheduler):
    scheduler.ring(7, 12)
    assert sorted(scheduler.loop()) == [7, 12]
    assert scheduler.loop() == [], "each ring counts once"


def test_after_a_sleep_that_nothing_ended_all_are_looked_at(scheduler):
    assert sorted(scheduler.loop(INTERVAL)) == list(range(20))


def test_while_it_rings_in_every_loop_the_others_wait_but_none_for_ever(scheduler):
    """Also those that Airflow puts last, such as runs of a backfill: it orders them before it asks when they were looked at."""
    scheduler.runs |= dict.fromkeys(range(20, 40), 0.0)
    scheduler.loop()
    begun, last = scheduler.now, dict.fromkeys(range(40), scheduler.now)
    waited: list[float] = []
    while scheduler.now < begun + 60 * INTERVAL:
        scheduler.ring(3)
        chosen = scheduler.loop(0.1, backfill=True)
        assert chosen[0] == 3
        assert len(chosen) <= 1 + FEW
        waited += [scheduler.now - last[one] for one in chosen if one != 3]
        last |= dict.fromkeys(chosen, scheduler.now)
    assert min(waited) == pytest.approx(LATE * INTERVAL)
    assert max([*waited, scheduler.now - min(last.values())]) < 2 * LATE * INTERVAL


def test_between_rings_the_others_come_a_few_at_a_time(scheduler):
    scheduler.now += INTERVAL
    scheduler.ring(3)
    assert scheduler.loop() == [3]
    assert len(scheduler.loop()) == FEW
    scheduler.ring(5)
    assert scheduler.loop() == [5]


def test_once_nothing_has_rung_for_a_sleep_all_come_that_are_due(scheduler):
    scheduler.now += INTERVAL
    scheduler.ring(3)
    scheduler.loop()
    assert sorted(scheduler.loop(INTERVAL)) == list(range(20))


def test_at_most_as_many_that_did_not_ring_come_in_the_time_of_a_sleep_as_airflow_looks_at(scheduler):
    scheduler.runs |= dict.fromkeys(range(20, 60), 0.0)
    scheduler.loop()
    scheduler.loop(2 * INTERVAL)
    seconds = 4
    looked = sum(len(scheduler.loop(0.1)) for _ in range(int(seconds * INTERVAL / 0.1)))
    assert looked == pytest.approx(seconds * SHARE, abs=2)


def test_the_others_come_however_short_the_loops_are(scheduler):
    scheduler.loop(INTERVAL)
    seen = {one for _ in range(int(2.5 * INTERVAL / 0.01)) for one in scheduler.loop(0.01)}
    assert len(seen) == 20


def test_where_any_may_have_changed_it_is_as_airflow_does_it(scheduler):
    scheduler.runs |= dict.fromkeys(range(20, 40), 0.0)
    scheduler.rung = None
    assert scheduler.loop() == list(range(20, 40))


def test_where_not_all_are_seen_it_is_as_many_as_airflow_looks_at_besides_those_that_rang():
    scheduler = Scheduler(3 * WINDOW)
    seen = set()
    for _ in range(3 * WINDOW // SHARE + 1):
        chosen = scheduler.loop()
        assert len(chosen) == SHARE
        seen |= set(chosen)
    assert len(seen) == 3 * WINDOW, "nothing is left out for ever"
    waits = sorted(scheduler.runs, key=scheduler.runs.__getitem__)[SHARE + 5]
    scheduler.ring(waits)
    assert waits in scheduler.loop()


def test_what_ended_is_forgotten(scheduler):
    scheduler.runs = {5: 0.0}
    scheduler.loop()
    assert set(scheduler.looks.seen) == set(range(20)), "another scheduler may have them"
    scheduler.loop(FORGET_SECONDS)
    assert set(scheduler.looks.seen) == {5}


def test_airflow_is_the_one_that_this_was_written_against(monkeypatch):
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dagrun import DagRun

    monkeypatch.setattr(SchedulerJobRunner, "_schedule_all_dag_runs", SchedulerJobRunner._schedule_all_dag_runs)
    monkeypatch.setattr(DagRun, "DEFAULT_DAGRUNS_TO_EXAMINE", SHARE)
    before = SchedulerJobRunner._schedule_all_dag_runs
    looks.install(lambda: None)
    assert SchedulerJobRunner._schedule_all_dag_runs is not before
    assert DagRun.DEFAULT_DAGRUNS_TO_EXAMINE == WINDOW


def test_another_airflow_is_left_as_it_is(monkeypatch):
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    before = SchedulerJobRunner._schedule_all_dag_runs
    monkeypatch.setitem(looks.WRITTEN_AGAINST, "_do_scheduling", "000000000000")
    looks.install(lambda: None)
    assert SchedulerJobRunner._schedule_all_dag_runs is before
