"""From a place in a workflow to a step of the broker's lists."""

import pytest

from airflow_celery_kit.core.priorities import STEPS, finish_first, step


@pytest.mark.parametrize(
    ("weight", "expected"),
    [(-5, 9), (0, 9), (1, 9), (2, 8), (3, 8), (4, 7), (100, 3), (511, 1), (512, 0), (10**9, 0)],
)
def test_a_weight_has_its_step(weight, expected):
    assert step(weight) == expected


def test_a_greater_weight_never_waits_behind_a_smaller_one():
    steps = [step(weight) for weight in range(-3, 3000)]
    assert steps == sorted(steps, reverse=True)
    assert set(steps) == set(range(STEPS))


def test_of_a_chain_each_task_is_at_least_as_urgent_as_the_one_before():
    weights = [finish_first(1, remaining) for remaining in range(100, -1, -1)]
    assert weights == sorted(weights)
    following = {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 7: 6, 8: 7, 300: 9}
    assert {remaining: step(finish_first(1, remaining)) for remaining in following} == following


def test_what_an_author_asked_for_counts_twice_is_one_step():
    assert step(finish_first(2, 4)) == step(finish_first(1, 4)) - 1
    assert finish_first(0, 4) == finish_first(-3, 4) == finish_first(1, 4)
    assert finish_first(1, 10**6) >= 1
    assert finish_first(2**31 - 1, 0) == 2**31 - 1
