"""How soon the scheduler's next loop decides, with a clock of the test's own."""

import pytest

from airflow_celery_kit.scheduler import pace
from airflow_celery_kit.scheduler.pace import MOST_SECONDS, Pace


class Scheduler:
    """Loops whose decisions take the given time; `at` is when each began."""

    def __init__(self) -> None:
        self.now, self.at = 100.0, []
        self.pace = Pace(clock=lambda: self.now, sleep=self.pass_by)

    def pass_by(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds

    def loop(self, takes: float) -> int:
        def decide() -> int:
            self.at.append(self.now)
            self.now += takes
            return len(self.at)

        return self.pace.keep(decide)


@pytest.fixture
def scheduler():
    return Scheduler()


def test_the_first_loop_and_what_it_returns_are_airflows(scheduler):
    assert [scheduler.loop(0.1), scheduler.at] == [1, [100.0]]


def test_a_loop_that_follows_at_once_waits_as_long_as_the_one_before_took(scheduler):
    scheduler.loop(0.1)
    scheduler.loop(0.2)
    scheduler.loop(0.1)
    assert scheduler.at == pytest.approx([100.0, 100.2, 100.6])


def test_after_a_sleep_it_does_not_wait(scheduler):
    scheduler.loop(0.1)
    scheduler.now = 101.0
    scheduler.loop(0.1)
    assert scheduler.at == [100.0, 101.0]


def test_what_is_left_of_the_rest_is_waited_for(scheduler):
    scheduler.loop(0.2)
    scheduler.now += 0.15
    scheduler.loop(0.1)
    assert scheduler.at == pytest.approx([100.0, 100.4])


def test_a_long_loop_is_followed_by_a_short_rest(scheduler):
    scheduler.loop(8.0)
    scheduler.loop(0.1)
    assert scheduler.at == pytest.approx([100.0, 108.0 + MOST_SECONDS])


def test_a_loop_that_fails_fails_and_is_not_rested_from(scheduler):
    def fail() -> None:
        raise RuntimeError("the database went away")

    with pytest.raises(RuntimeError, match="went away"):
        scheduler.pace.keep(fail)
    scheduler.loop(0.1)
    assert scheduler.at == [100.0]


def test_the_scheduler_of_airflow_keeps_it(monkeypatch):
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

    monkeypatch.setattr(SchedulerJobRunner, "_do_scheduling", own := SchedulerJobRunner._do_scheduling)
    kept, before = [], []
    monkeypatch.setattr(Pace, "keep", lambda _, decide: kept.append(decide) or 7)
    pace.install(lambda: before.append(len(kept)))
    assert SchedulerJobRunner._do_scheduling is not own
    assert SchedulerJobRunner._do_scheduling(object(), None) == 7
    assert len(kept) == 1 and before == [0], "what comes first comes first"
