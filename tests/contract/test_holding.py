"""A real worker keeps its slot a moment for what follows a task, where something less urgent waits."""

import time

import pytest

from tests.contract.test_duplicates import GUARD

LONG_SECONDS = 5.0
KEPT, NOT_KEPT = {"KIT_PRIORITY_POLICY": "finish-first"}, {"KIT_PRIORITY_POLICY": "airflow"}


def order_after_a_long_task(bench, number: int) -> list[str]:
    """Send something less urgent while a task runs, and its successor at the moment it ends; return which ran first."""
    long, other, following = (f"{name}{number}" for name in ("long", "other", "following"))
    bench.sender.send_task("hold", args=[long], priority=5)
    bench.wait("start", long)
    bench.send("note", other, priority=5)
    time.sleep(LONG_SECONDS)
    bench.open(long)
    bench.wait("end", long)
    bench.send("note", following, priority=2)
    bench.wait("end", other, following)
    names = [line.split()[1] for line in (bench.folder / "receipts").read_text().splitlines()]
    return sorted((other, following), key=names.index)


def test_what_follows_goes_first_though_it_is_sent_after_the_task_s_end(bench):
    bench.begin(environment=KEPT, task_annotations={"hold": GUARD, "note": GUARD}).is_ready()
    # The test may be too slow to send it in time on a busy machine; once is enough to show it.
    assert any(
        order_after_a_long_task(bench, number) == [f"following{number}", f"other{number}"] for number in range(3)
    )


def test_under_airflow_s_own_weights_no_slot_is_kept(bench):
    bench.begin(environment=NOT_KEPT, task_annotations={"hold": GUARD, "note": GUARD}).is_ready()
    assert order_after_a_long_task(bench, 0) == ["other0", "following0"]


@pytest.mark.parametrize("policy", [KEPT, NOT_KEPT])
def test_what_nothing_follows_is_taken_all_the_same(bench, policy):
    bench.begin(environment=policy, task_annotations={"hold": GUARD, "note": GUARD}).is_ready()
    for number in range(20):
        bench.send("note", f"n{number}", priority=5)
    bench.wait("end", *(f"n{number}" for number in range(20)))
    bench.drained()
