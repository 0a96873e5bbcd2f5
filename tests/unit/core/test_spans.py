"""The hops of an attempt as spans of the trace that Airflow gave it."""

from itertools import pairwise

import pytest

from airflow_celery_kit.core.journal.spans import Parent, nanoseconds, parent_of, spans

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = Parent(int(TRACE, 16), int(SPAN, 16))
TASK = {
    "id": "a", "dag_id": "sales", "run_id": "r1", "task_id": "load", "map_index": -1, "attempt": 2, "queue": "default", "worker": None,
    "status": "SUCCESS", "created_at": "2026-01-31T12:00:00+00:00", "due_at": "2026-01-31T12:00:01.5+00:00",
    "queued_at": "2026-01-31T12:00:02+00:00", "published_at": None, "received_at": "2026-01-31T12:00:03.000001+00:00",
    "started_at": "2026-01-31T12:00:02.999+00:00", "completed_at": "2026-01-31T12:00:10+00:00",
}  # fmt: skip


@pytest.mark.parametrize(
    ("carrier", "expected"),
    [
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, PARENT),
        ({"traceparent": f"00-{TRACE}-{SPAN}-03", "tracestate": "a=b"}, PARENT),
        ({"traceparent": f"00-{TRACE}-{SPAN}-00"}, None),
        ({"traceparent": f"00-{'0' * 32}-{SPAN}-01"}, None),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01; DROP"}, None),
        ({"__var": {"traceparent": f"00-{TRACE}-{SPAN}-01"}, "__type": "dict"}, PARENT),
        ({"traceparent": None}, None), ({}, None), (None, None),
    ],
)  # fmt: skip
def test_a_task_is_traced_where_airflow_says_so(carrier, expected):
    assert parent_of(carrier) == expected


def test_each_hop_that_is_known_is_a_span_below_the_task_s_own():
    found = spans(TASK, PARENT)
    assert [one.name for one in found] == [
        "until it was due", "waiting in Airflow", "waiting in the broker", "starting", "running"
    ]  # fmt: skip
    assert {(one.trace, one.parent) for one in found} == {(PARENT.trace, PARENT.span)}
    assert [one.begun for one in found][1:3] == [nanoseconds(TASK["due_at"]), nanoseconds(TASK["queued_at"])]
    assert found[2].ended - found[2].begun == 1_000_001_000
    assert all(one.ended >= one.begun for one in found)
    assert found[0].attributes["airflow.dag_id"] == "sales" and "kit.worker" not in found[0].attributes


def test_told_again_a_span_is_the_same_and_another_attempt_s_is_another():
    first, again, other = (spans(TASK | {"id": id}, PARENT) for id in "aab")
    assert first == again
    assert not {one.id for one in first} & {one.id for one in other}
    assert len({one.id for one in first}) == len(first) and all(0 < one.id < 2**64 for one in first)


@pytest.mark.parametrize(
    ("status", "failed"), [("SUCCESS", False), ("FAILURE", True), ("TIMEOUT", True), ("RETRY", True)]
)
def test_only_the_run_of_what_failed_has_failed(status, failed):
    found = spans(TASK | {"status": status}, PARENT)
    assert [one.failed for one in found] == [False, False, False, False, failed]


def test_a_time_before_the_one_before_makes_no_hop_overlap():
    found = spans(TASK | {"received_at": "2026-01-01T00:00:00+00:00"}, PARENT)
    assert all(before.ended == after.begun and before.begun <= before.ended for before, after in pairwise(found))
