"""Runs in: stack tests; one trace holds what a task waited for, that it ran, and its own code's spans (F6)."""

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.otlp import Collector
from tests.stack.harness.stack import Stack
from tests.stack.harness.wait import wait_for

# A container does not reach the collector, which is on loopback.
pytestmark = pytest.mark.parametrize("stack", ["embedded"], indirect=True)
HOPS = [
    "until it was due",
    "waiting in Airflow",
    "on its way to the broker",
    "waiting in the broker",
    "starting",
    "running",
]
# Written where this names a file: what scripts/draw_trace.py draws.
KEEP = "KIT_TRACE"


@pytest.fixture(scope="module")
def trace(stack: Stack, collector: Collector) -> list[dict[str, Any]]:
    """The spans of one run, once all of them came."""
    stack.wait_ready()
    run = stack.start_dag("traced")
    assert stack.wait_run("traced", run) == "success"

    def whole() -> list[dict[str, Any]]:
        ours = [one for one in list(collector.spans) if one["attributes"].get("airflow.dag_run.run_id") == run]
        same = [one for one in list(collector.spans) if one["trace"] in {other["trace"] for other in ours}]
        names = [one["name"] for one in same]
        done = names.count("running") == 2 and {"dag_run.traced", "task_run.load", "parse"} <= set(names)
        return same if done else []

    def seen() -> object:
        return sorted({one["name"] for one in collector.spans}), stack.kit(
            "logs", "airflow-controller", check=False
        ).stdout[-3000:]

    found = wait_for("every span of the run", whole, 60, seen)
    if os.environ.get(KEEP):
        Path(os.environ[KEEP]).write_text(json.dumps(sorted(found, key=lambda one: one["begun"]), indent=1) + "\n")
    return found


def test_a_run_is_one_trace(trace: list[dict[str, Any]]) -> None:
    assert len({one["trace"] for one in trace}) == 1
    (root,) = [one for one in trace if not one["parent"]]
    assert root["name"] == "dag_run.traced"
    known = {one["id"] for one in trace}
    assert {one["name"] for one in trace if one["parent"] and one["parent"] not in known} == set()


def test_each_task_has_all_its_hops_where_the_code_s_own_spans_are(trace: list[dict[str, Any]]) -> None:
    by_id = {one["id"]: one for one in trace}
    for task in ("extract", "load"):
        (own,) = [one for one in trace if one["name"] == f"task_run.{task}"]
        hops = sorted(
            (one for one in trace if one["parent"] == own["id"] and "kit.hop" in one["attributes"]),
            key=lambda one: (one["begun"], one["ended"], HOPS.index(one["name"])),
        )
        assert [one["name"] for one in hops] == HOPS
        assert all(before["ended"] == after["begun"] for before, after in pairwise(hops))
        assert (
            hops[-1]["attributes"]["kit.worker"] == "airflow-worker-1"
            and hops[-1]["attributes"]["kit.status"] == "SUCCESS"
        )
    (fetch,) = [one for one in trace if one["name"] == "fetch orders"]
    (parse,) = [one for one in trace if one["name"] == "parse"]
    worker = by_id[fetch["parent"]]
    assert (by_id[parse["parent"]], worker["name"]) == (fetch, "worker.extract")
    assert by_id[worker["parent"]]["name"] == "task_run.extract" and fetch["attributes"]["orders"] == 17
    (running,) = [
        one for one in trace if one["name"] == "running" and one["attributes"]["airflow.task_id"] == "extract"
    ]
    assert running["begun"] <= fetch["begun"] and fetch["ended"] <= running["ended"]


def test_each_span_is_told_once(trace: list[dict[str, Any]], collector: Collector) -> None:
    assert len({one["id"] for one in trace}) == len(trace)
