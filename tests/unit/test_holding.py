"""A slot that is kept for what follows, with a clock of the test's own."""

import pytest
from kombu.transport import redis

from airflow_celery_kit import patching
from airflow_celery_kit.worker import holding
from airflow_celery_kit.worker.holding import HOLD_SECONDS, PROBE, SHARE, VAIN, Experience, Holds

KIND = "sales/3"


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def holds(clock):
    return Holds(clock=lambda: clock[0])


def test_nothing_is_kept_before_a_task_has_ended(holds):
    assert holds.limit(4) is None


def test_the_only_free_slot_takes_what_is_more_urgent_than_the_task_was_for_a_share_of_its_time(holds, clock):
    holds.keep(3, 2.0, KIND)
    assert holds.limit(1) == (3, pytest.approx(2.0 * SHARE))
    clock[0] += 2.0 * SHARE
    assert holds.limit(1) is None


def test_after_a_long_task_it_is_not_kept_long(holds):
    holds.keep(3, 3600.0, KIND)
    assert holds.limit(1) == (3, pytest.approx(HOLD_SECONDS))


def test_nothing_follows_what_ends_a_workflow_and_a_moment_cannot_be_kept(holds):
    holds.keep(0, 2.0, KIND)
    holds.keep(1, 2.0, KIND)
    holds.keep(5, 0.02, KIND)
    assert holds.limit(1) is None


def test_what_has_run_out_is_forgotten_though_nobody_asks(holds, clock):
    for _ in range(1000):
        holds.keep(3, 2.0, KIND)
        clock[0] += 1
    assert len(holds.kept) == 1


def test_a_slot_that_nothing_keeps_takes_anything(holds):
    holds.keep(3, 2.0, KIND)
    assert holds.limit(2) is None


def test_of_several_kept_slots_the_first_that_may_take_all_decides_how_long(holds, clock):
    holds.keep(2, 1.0, KIND)
    clock[0] += 0.03
    holds.keep(4, 1.0, KIND)
    assert holds.limit(2) == (4, pytest.approx(SHARE - 0.03))
    clock[0] += SHARE - 0.02
    assert holds.limit(2) is None
    assert holds.limit(1) == (4, pytest.approx(0.02))


def test_a_slot_that_was_taken_keeps_nothing(holds, clock):
    holds.keep(2, 1.0, KIND)
    clock[0] += 0.03
    holds.keep(4, 1.0, KIND)
    assert holds.limit(1) == (4, pytest.approx(SHARE))
    assert holds.limit(0) is None
    assert holds.limit(1) is None


def kept(holds, clock, kind: str, times: int, successor: bool = False) -> list[bool]:
    """Whether a slot was kept after each of so many tasks of a kind, whose successor comes in time or not at all."""
    found = []
    for _ in range(times):
        holds.keep(3, 2.0, kind)
        found.append(holds.limit(1) is not None)
        if successor:
            holds.took(step=2)
            assert holds.limit(1) is None, "the message has come"
        clock[0] += 1.0
        holds.limit(1)
    return found


def test_where_nothing_came_in_time_twice_it_is_kept_now_and_then_only(holds, clock):
    found = kept(holds, clock, "fan-in/3", 100)
    assert found[: VAIN + 1] == [True] * VAIN + [False]
    assert VAIN + 100 // PROBE - 2 <= sum(found) <= VAIN + 100 // PROBE + 1
    assert all(kept(holds, clock, "chain/3", 100, successor=True)), "one kind has no bearing on another"


def test_one_that_comes_after_all_is_waited_for_again(holds, clock):
    kept(holds, clock, KIND, 50)
    while not kept(holds, clock, KIND, 1, successor=True)[0]:
        pass
    assert all(kept(holds, clock, KIND, 50, successor=True))
    assert kept(holds, clock, KIND, VAIN) == [True] * VAIN, "once late is not late for ever"


def test_a_slot_for_which_nothing_was_turned_down_was_not_kept_in_vain(holds, clock):
    for _ in range(10):
        holds.keep(3, 2.0, KIND)
        assert holds.limit(2) is None, "another slot took what there was"
        holds.took(step=9)
        clock[0] += 1.0
    holds.keep(3, 2.0, KIND)
    assert holds.limit(1) is not None


def test_what_another_slot_took_because_it_was_not_kept_ends_no_hold(holds):
    holds.keep(3, 2.0, KIND)
    assert holds.limit(1)
    assert holds.limit(2) is None, "a second slot takes anything"
    holds.took(step=3)
    assert holds.limit(1) == (3, pytest.approx(2.0 * SHARE))
    assert KIND not in holds.experience.score


def test_experience_is_bounded():
    experience = Experience()
    for number in range(5000):
        experience.in_vain(f"dag_{number}/3")
    assert len(experience.score) == holding.REMEMBERED


def test_the_transport_is_the_one_that_this_was_written_against():
    assert patching.fits("keeping slots", redis.Channel, holding.WRITTEN_AGAINST)
