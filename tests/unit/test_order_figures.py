"""The figures of the order of work, on schedules made by hand: three chains of two tasks of 2 s on one slot."""

import pytest

from tests.benchmarks.order import Step, completions, figures, inversions, lower_bound, steps_of


def schedule(*order: str) -> list[Step]:
    """One slot works through `a1 a2 b1 ...`; each task is queued when the one before it ends, first ones at once."""
    steps, ends = [], {}
    for place, (chain, number) in enumerate(order):
        start = 2.0 * place
        queued = ends.get((chain, int(number) - 1), -1.0)
        ends[chain, int(number)] = start + 2
        steps.append(Step(chain, int(number), queued, start, start + 2))
    return steps


BEST = schedule("a1", "a2", "b1", "b2", "c1", "c2")
WORST = schedule("a1", "b1", "c1", "a2", "b2", "c2")


def test_the_best_order_reaches_the_bound_and_the_worst_does_not():
    assert completions(BEST) == [4, 8, 12]
    assert figures(BEST, 1)["mean completion / lower bound"] == pytest.approx(1.0)
    assert figures(WORST, 1)["mean completion / lower bound"] == pytest.approx(10 / 8)
    assert figures(WORST, 1)["first chain done / makespan"] == pytest.approx(8 / 12)


def test_the_bound_counts_a_chain_s_own_length_and_the_slots():
    assert lower_bound(20, 5, 4, 50.0) == pytest.approx(2.0 * 13.5)


def test_a_task_that_is_taken_while_a_later_step_waits_is_an_inversion():
    assert inversions(BEST) == (0, 0)
    assert inversions(WORST) == (1, 1), "c1 while a2 waits; b1 while a2 has just become due"


def test_names_of_tasks_become_steps():
    task = {"run": "r", "task": "step_07", "queued": 0.0, "start": 1.0, "end": 2.0}
    assert steps_of([task]) == [Step("r", 7, pytest.approx(0.1), 1.0, 2.0)]


def test_what_events_say_is_better_known():
    task = {"run": "r", "task": "step_07", "queued": 0.0, "start": 1.0, "end": 2.0, "sent": 0.02, "taken": 0.9}
    assert steps_of([task]) == [Step("r", 7, 0.02, pytest.approx(0.89), 2.0)]
