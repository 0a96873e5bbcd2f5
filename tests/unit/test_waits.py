"""How long work without urgency waits, on tasks made by hand."""

from tests.benchmarks import waits


def task(dag, index, due, start):
    return {"dag": dag, "index": index, "due": due, "start": start, "end": start + 1}


TASKS = (
    task(waits.URGENT, -1, 0, 0),
    task(waits.URGENT, 0, 1, 1),
    task(waits.AGED, -1, 0, 2),
    task(waits.AGED, 0, 4, 10),
    task(waits.AGED, 1, 4, 19),
    *(task(waits.URGENT, number, 1, 20) for number in (1, 2)),
)


def test_the_longest_wait_is_compared_with_the_bound_and_urgent_work_is_left_then():
    assert waits.figures(TASKS) == {
        "longest wait": 15,
        "longest wait / bound": 15 / waits.BOUND_SECONDS,
        "urgent tasks left then": 2,
    }


def test_of_mapped_tasks_the_chart_is_given_when_they_ran_and_since_when_they_could():
    assert waits.spans(TASKS) == [[1, 2, 1, 1], [10, 11, 4, 0], [19, 20, 4, 0], [20, 21, 1, 1], [20, 21, 1, 1]]
