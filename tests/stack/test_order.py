"""Runs in: stack tests; what runs first when there is more work than slots (F9, F14, A13)."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext

import pytest

from airflow_celery_kit.controller.durations import UNKNOWN_SECONDS
from airflow_celery_kit.worker.reports import EVERY_SECONDS as REPORT_SECONDS
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

STARTS = """
SELECT dag_id, run_id, extract(epoch FROM start_date)::float8, extract(epoch FROM end_date)::float8
FROM task_instance WHERE run_id = ANY(%s) AND start_date IS NOT NULL AND task_id IN ('work', 'later')
ORDER BY start_date
"""
WAITING = """
SELECT task_id FROM task_instance WHERE dag_id = %s AND run_id = %s AND state IN ('scheduled', 'queued')
"""
SENT = """
SELECT count(*) FROM task_instance WHERE run_id = ANY(%s) AND state IN ('queued', 'running') AND task_id = 'work'
"""


def starts(stack: Stack, *runs: str) -> list[tuple[str, str, float, float]]:
    """Dag, run, start and end of the tasks of these runs that have started, the first one first."""
    rows = stack.sql(STARTS, list(runs), database="airflow")
    return [(dag, run, float(begun), float(ended or 0)) for dag, run, begun, ended in rows]


def waiting(stack: Stack, dag: str, run: str) -> list[str]:
    """The tasks of a run that have not started; asked of the database, which answers on a busy machine too."""
    return [task for (task,) in stack.sql(WAITING, dag, run, database="airflow")]


@pytest.mark.once
def test_of_equal_work_the_older_run_goes_first(stack: Stack) -> None:
    stack.wait_ready()
    older = stack.start_dag("wide", {"tasks": 24, "seconds": 1})
    wait_for("more tasks than slots", lambda: len(waiting(stack, "wide", older)) > 12, 60)
    newer = stack.start_dag("wide", {"tasks": 12, "seconds": 0})
    assert {stack.wait_run("wide", older), stack.wait_run("wide", newer)} == {"success"}
    order = [run for _, run, _, _ in starts(stack, older, newer)]
    assert order == [older] * 24 + [newer] * 12


@pytest.mark.parametrize("stack", ["embedded"], indirect=True)
def test_under_aging_nothing_waits_longer_than_the_bound_while_urgent_work_has_no_end(stack: Stack) -> None:
    stack.wait_ready()
    for dag in ("urgent", "aged", "forgotten"):
        stack.wait_dag(dag, 60)
    bound = stack.settings.number("LONGEST_WAIT")
    endless = stack.start_dag("urgent", {"seconds": 2})
    wait_for("more urgent work than slots", lambda: len(waiting(stack, "urgent", endless)) > 40, 60)
    forgotten, aged = stack.start_dag("forgotten", {"seconds": 0}), stack.start_dag("aged", {"seconds": 0})
    assert stack.wait_run("aged", aged) == "success"
    assert waiting(stack, "urgent", endless), "urgent work waited all the time"
    assert waiting(stack, "forgotten", forgotten), "without aging it is still the last"
    waits = waited(stack, aged)
    assert bound / 2 - 2 < min(waits) and max(waits) < bound, waits
    assert {stack.wait_run("urgent", endless), stack.wait_run("forgotten", forgotten)} == {"success"}


def waited(stack: Stack, run: str) -> list[float]:
    """How long each task of a run could have run before it did, in seconds."""
    query = "SELECT extract(epoch FROM start_date - scheduled_dttm) FROM task_instance WHERE run_id = %s"
    return [float(found) for (found,) in stack.sql(query, run, database="airflow")]


@pytest.mark.parametrize("stack", ["embedded"], indirect=True)
@pytest.mark.parametrize(("many", "few"), [("relaxed", "pressing"), ("heavy", "fast"), ("computing", "reading")])
def test_what_came_later_passes_where_its_policy_says_so(stack: Stack, many: str, few: str) -> None:
    stack.wait_ready()
    for dag, seconds in ((many, 1.5), (few, 0.1)):
        stack.wait_dag(dag, 60)
        # What a task takes is known from its last runs, some seconds later.
        assert stack.wait_run(dag, stack.start_dag(dag, {"seconds": seconds})) == "success"
    time.sleep(UNKNOWN_SECONDS)
    with busy_machine() if many == "computing" else nullcontext():
        first = stack.start_dag(many, {"seconds": 1.5})
        wait_for("more work than slots", lambda: len(waiting(stack, many, first)) > 16, 60)
        later = stack.start_dag(few, {"seconds": 0.1})
        assert stack.wait_run(few, later) == "success"
        left = waiting(stack, many, first)
    assert len(left) >= 4, "what came first was done first"
    assert stack.wait_run(many, first) == "success"


@contextmanager
def busy_machine() -> Iterator[None]:
    """Keep every core at work that nobody else wants, from so long before that the workers have said so twice."""
    with ExitStack() as cleanup:
        for _ in range(os.cpu_count() or 1):
            burner = subprocess.Popen(["nice", "-n", "19", sys.executable, "-c", "while True: pass"])
            cleanup.callback(burner.wait)
            cleanup.callback(burner.kill)
        time.sleep(2 * REPORT_SECONDS)
        yield


@pytest.mark.parametrize("stack", ["embedded"], indirect=True)
def test_classes_share_the_starts_and_what_waits_beyond_the_next_task_waits_in_airflow(stack: Stack) -> None:
    ready = stack.wait_ready()
    for dag in ("class_gold", "class_bronze"):
        stack.wait_dag(dag, 60)
    slots = sum(worker["slots"] for worker in ready["workers"] if "default" in worker["queues"])
    pool = "SELECT slots FROM slot_pool WHERE pool = 'queue_default'"
    wait_for("the pool's size", lambda: stack.sql(pool, database="airflow") == [(2 * slots,)], 60)
    # What is sent between two looks of the controller is not yet in order: tasks are long beside the time between looks.
    bronze, gold = stack.start_dag("class_bronze", {"seconds": 2}), stack.start_dag("class_gold", {"seconds": 2})
    wait_for(
        "both to work", lambda: {dag for dag, *_ in starts(stack, bronze, gold)} == {"class_bronze", "class_gold"}, 60
    )
    sent: list[int] = []

    def half() -> bool:
        sent.append(stack.sql(SENT, [bronze, gold], database="airflow")[0][0])
        return len(starts(stack, bronze, gold)) >= 40

    wait_for("half of all starts", half, 120)
    assert slots < max(sent) <= 2 * slots, "of new work one task is sent ahead for each slot"
    first = [dag for dag, *_ in starts(stack, bronze, gold)][:40]
    assert 0.65 < first[8:].count("class_gold") / len(first[8:]) < 0.97, first
    assert {stack.wait_run("class_gold", gold), stack.wait_run("class_bronze", bronze)} == {"success"}


@pytest.mark.once
def test_rules_that_cannot_be_used_stop_the_start_and_touch_nothing(stack: Stack) -> None:
    before = {one["instance"]: one["pid"] for one in stack.wait_ready()["services"]}
    path = stack.root / "config" / "routing.yaml"
    good = path.read_text()
    path.write_text("queues: [default, heavy]\nrules:\n  - when: {dag: sales}\n    queue: gpu\n")
    try:
        refused = stack.kit("up", check=False)
    finally:
        path.write_text(good)
    assert refused.returncode == 3, refused.stderr
    assert "routing.yaml, line 4: rules.0.queue: 'gpu' is none of default, heavy" in " ".join(refused.stderr.split())
    assert {one["instance"]: one["pid"] for one in stack.wait_ready()["services"]} == before
