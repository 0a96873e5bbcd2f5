"""Runs in: tests; limits and breakers beyond the first ones share a series, whatever they are called."""

from itertools import chain
from types import SimpleNamespace

from airflow_celery_kit.api.metrics.guards import bounded, of_breaker, of_limit


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
