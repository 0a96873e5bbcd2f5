"""Runs in: tests; limits, breakers and queues beyond the first ones share a series, whatever they are called."""

from datetime import UTC, datetime
from itertools import chain
from types import SimpleNamespace

from airflow_celery_kit.api.metrics import queues
from airflow_celery_kit.api.metrics.families import bounded
from airflow_celery_kit.api.metrics.guards import of_breaker, of_limit
from airflow_celery_kit.api.snapshot import Snapshot
from airflow_celery_kit.controller.counting import MOST_QUEUES
from airflow_celery_kit.controller.queues import queue_facts
from airflow_celery_kit.controller.waiting import Due


def figures(of, rows, most):
    """What is told of rows, by name and labels."""
    found = bounded(chain.from_iterable(of(SimpleNamespace(**row)) for row in rows), most)
    return {(one.name, one.labels): one.value for one in found}


def test_beyond_the_first_ones_figures_are_added_up():
    rows = [{"name": f"l{n}", "slots": 2, "taken": n, "waiting": 1, "suspended": False} for n in range(5)]
    found = figures(of_limit, rows, 2)
    assert {labels for _, labels in found} == {("l0",), ("l1",), ("other",)}
    assert found["kit_limit_taken_tasks", ("l1",)] == 1
    assert found["kit_limit_taken_tasks", ("other",)] == 2 + 3 + 4
    assert found["kit_limit_waiting_tasks", ("other",)] == 3


def test_each_state_of_the_others_is_added_up_by_itself():
    rows = [{"name": f"b{n}", "closed": 0, "open": 1, "half_open": 0, "trips": 7, "waiting": 1} for n in range(4)]
    found = figures(of_breaker, rows, 1)
    assert found["kit_breaker_state", ("other", "open")] == 3 and found["kit_breaker_state", ("other", "closed")] == 0
    assert found["kit_breaker_trips_total", ("other",)] == 21


def test_one_that_is_called_other_is_among_the_others():
    rows = [{"name": name, "slots": 2, "taken": 1, "waiting": 0, "suspended": False} for name in ("other", "a", "b")]
    found = bounded(chain.from_iterable(of_limit(SimpleNamespace(**row)) for row in rows), 1)
    assert [one.labels for one in found if one.name == "kit_limit_taken_tasks"] == [("a",), ("other",)]


def looked(served=(), waiting=(), left=()):
    """What metrics say of a look at queues that one worker serves, of those in which something waits, and of names that are left over."""
    steps = [{"step": 0, "waiting": 2, "oldest_seconds": 9.0}]
    known = [queue_facts(one, [], 4, Due(0, None)) for one in (*served, *left)]
    facts = {"delivered": 0, "workers": [{"name": "w", "held": 0, "queues": list(served)}]}
    facts["queues"] = sorted(
        [*known, *(queue_facts(one, steps, 0, Due(1, 70.0)) for one in waiting)], key=lambda one: one["queue"]
    )
    samples = list(queues.samples(Snapshot(datetime.now(UTC), 0.0, facts)))
    found = {(one.name, one.labels): one.value for one in samples}
    assert len(found) == len(samples)
    return found


def names(found):
    """Which queues have series."""
    return {labels[0] for _, labels in found if labels}


def test_queues_have_an_end_and_no_figure_is_lost():
    found = looked(served=[f"q{n:02}" for n in range(MOST_QUEUES + 5)])
    assert len(names(found)) == MOST_QUEUES + 1
    assert found["kit_queue_slots", ("other",)] == 20 and found["kit_queue_workers", ("other",)] == 5


def test_names_that_are_left_over_take_no_queue_its_place_and_what_nobody_serves_is_named():
    served = [f"q{n:02}" for n in range(MOST_QUEUES - 1)]
    found = looked(served, waiting=["zzz"], left=[f"a{n:03}" for n in range(300)])
    assert names(found) == {*served, "zzz", "other"}
    assert found["kit_queue_workers", ("zzz",)] == 0 and found["kit_queue_messages", ("zzz", "0")] == 2


def test_of_the_others_the_longest_wait_is_told():
    found = looked(waiting=[f"q{n:02}" for n in range(MOST_QUEUES + 3)])
    assert found["kit_queue_scheduled_oldest_seconds", ("other",)] == 70
    assert found["kit_queue_oldest_seconds", ("other", "0")] == 9
    assert found["kit_queue_messages", ("other", "0")] == 6 and found["kit_queue_scheduled_tasks", ("other",)] == 3
