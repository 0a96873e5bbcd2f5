"""When a worker counts as deaf, when its guard ends it, and which messages it drops."""

import pytest
from celery.worker import state

from airflow_celery_kit.worker import cut_off, reports
from airflow_celery_kit.worker.duplicates import REMEMBERED, Started
from airflow_celery_kit.worker.guard import ANSWERS, IDLE_SECONDS, SILENT_SECONDS, Watch
from airflow_celery_kit.worker.hearing import DEAF_SECONDS, Hearing


def test_messages_that_wait_beside_free_slots_mean_deaf_after_a_while():
    hearing = Hearing()
    hearing.is_deaf(0, 4, 10, 0.0)
    assert not hearing.is_deaf(3, 4, 10, 100.0)
    assert not hearing.is_deaf(3, 4, 10, 100.0 + DEAF_SECONDS - 1)
    assert hearing.is_deaf(3, 4, 10, 100.0 + DEAF_SECONDS)
    assert hearing.is_deaf(0, 4, 10, 200.0), "others took what waited"
    assert not hearing.is_deaf(3, 4, 11, 201.0), "it took one itself"


@pytest.mark.parametrize(
    ("waiting", "free", "received"), [(0, 4, 10), (3, 0, 10), (3, 4, 11)], ids=["nothing waits", "no slot is free", "one was received"]
)  # fmt: skip
def test_it_hears_when(waiting, free, received):
    hearing = Hearing()
    for now in (0.0, 1.0):
        hearing.is_deaf(3, 4, 10, now)
    assert not hearing.is_deaf(waiting, free, received, 50.0)
    assert not hearing.is_deaf(3, 4, received, 51.0), "the time begins anew"


def test_what_runs_stays_in_a_workers_hands_when_a_reconnection_forgets_what_is_reserved():
    class Request:
        id = "m1"

    running = Request()
    state.active_requests.add(running)
    assert reports.in_hands() == {running}


def test_a_silent_worker_is_ended_only_for_a_fault_of_its_own_and_while_no_task_runs():
    fault = ANSWERS
    watch = Watch(lambda: fault)
    assert not watch.to_end(20.0, False, 0.0)
    assert watch.to_end(80.0, False, SILENT_SECONDS) == fault
    assert not watch.to_end(80.0, True, SILENT_SECONDS + 1), "a task runs"
    assert not watch.to_end(80.0, False, SILENT_SECONDS + IDLE_SECONDS), "its end may not have been reported"
    assert watch.to_end(80.0, False, SILENT_SECONDS + 1 + IDLE_SECONDS) == fault


def test_a_silent_workers_time_begins_anew_whenever_its_silence_has_another_reason():
    fault = ""
    watch = Watch(lambda: fault)
    assert not watch.to_end(80.0, False, 0.0)
    for begun, fault in ((100.0, cut_off.ALONE), (200.0, ANSWERS)):
        assert not watch.to_end(80.0, False, begun)
        assert not watch.to_end(80.0, False, begun + SILENT_SECONDS - 1)
        assert watch.to_end(80.0, False, begun + SILENT_SECONDS) == fault


@pytest.mark.parametrize("age", [None, 2.0], ids=["never beat", "beats"])
def test_a_worker_that_starts_or_beats_is_left_alone(age):
    watch = Watch(lambda: ANSWERS)
    assert not any(watch.to_end(age, False, now) for now in (0.0, 1000.0))


def test_only_what_started_here_is_dropped_and_every_drop_is_counted():
    started = Started()
    assert not started.drops("a"), "delivered and not started: the second delivery may be the one that runs"
    started.remember("a")
    assert started.drops("a") and started.drops("a")
    assert started.dropped == 2
    started.forget("a")
    assert not started.drops("a"), "what ran under it was killed"


def test_the_last_hundred_are_remembered():
    started = Started()
    for number in range(REMEMBERED + 1):
        started.remember(str(number))
    assert REMEMBERED == 100 == len(started.ids)
    assert not started.drops("0") and started.drops("1") and started.drops("100")
    started.remember("1")
    started.remember("101")
    assert started.drops("1") and not started.drops("2"), "the newest start counts"
