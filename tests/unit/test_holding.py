"""A slot that is kept for what follows, with a clock of the test's own."""

import pytest
from kombu.transport import redis

from airflow_celery_kit import patching
from airflow_celery_kit.worker import holding
from airflow_celery_kit.worker.holding import HOLD_SECONDS, SHARE, Holds


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def holds(clock):
    return Holds(clock=lambda: clock[0])


def test_nothing_is_kept_before_a_task_has_ended(holds):
    assert holds.limit(4) is None


def test_the_only_free_slot_takes_what_is_more_urgent_than_the_task_was_for_a_share_of_its_time(holds, clock):
    holds.keep(3, ran=2.0)
    assert holds.limit(1) == (3, pytest.approx(2.0 * SHARE))
    clock[0] += 2.0 * SHARE
    assert holds.limit(1) is None


def test_after_a_long_task_it_is_not_kept_long(holds):
    holds.keep(3, ran=3600.0)
    assert holds.limit(1) == (3, pytest.approx(HOLD_SECONDS))


def test_nothing_follows_what_ends_a_workflow_and_a_moment_cannot_be_kept(holds):
    holds.keep(0, ran=2.0)
    holds.keep(1, ran=2.0)
    holds.keep(5, ran=0.02)
    assert holds.limit(1) is None


def test_what_has_run_out_is_forgotten_though_nobody_asks(holds, clock):
    for _ in range(1000):
        holds.keep(3, ran=2.0)
        clock[0] += 1
    assert len(holds.kept) == 1


def test_a_slot_that_nothing_keeps_takes_anything(holds):
    holds.keep(3, ran=2.0)
    assert holds.limit(2) is None


def test_of_several_kept_slots_the_first_that_may_take_all_decides_how_long(holds, clock):
    holds.keep(2, ran=2.0)
    clock[0] += 0.03
    holds.keep(4, ran=2.0)
    assert holds.limit(2) == (4, pytest.approx(2.0 * SHARE - 0.03))
    clock[0] += 0.08
    assert holds.limit(2) is None
    assert holds.limit(1) == (4, pytest.approx(2.0 * SHARE - 0.08))


def test_a_slot_that_was_taken_keeps_nothing(holds, clock):
    holds.keep(2, ran=2.0)
    clock[0] += 0.03
    holds.keep(4, ran=2.0)
    assert holds.limit(1) == (4, pytest.approx(2.0 * SHARE))
    assert holds.limit(0) is None
    assert holds.limit(1) is None


def test_the_transport_is_the_one_that_this_was_written_against():
    assert patching.fits("keeping slots", redis.Channel, holding.WRITTEN_AGAINST)
