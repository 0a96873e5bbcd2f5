"""Runs in: the scheduler; what is kept of a Dag as Airflow has serialized it: its tasks, and which come after which. Pure.

Nothing else of it is looked at: arguments may hold secrets.
"""

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

Facts = dict[str, Any]
# What Airflow leaves out where it is so.
USUAL = "all_success"


def opened(data: Any, compressed: Any) -> Any:
    """Return a serialized Dag of the one or the other column of `serialized_dag`."""
    return data if data is not None else json.loads(zlib.decompress(bytes(compressed)))


def tasks_of(data: Mapping[str, Any]) -> list[Facts]:
    """Return each task of a serialized Dag, by name. Raises LookupError, TypeError or AttributeError for what is none."""
    tasks = [one["__var"] for one in data["dag"]["tasks"]]
    upstream: dict[str, list[str]] = {task["task_id"]: [] for task in tasks}
    for task in tasks:
        for name in task.get("downstream_task_ids", ()):
            upstream[name].append(task["task_id"])
    groups = {name: (group, mapped) for name, group, mapped in members(data["dag"]["task_group"], None, False)}
    return sorted(
        (task_facts(task, upstream[task["task_id"]], *groups.get(task["task_id"], (None, False))) for task in tasks),
        key=lambda one: one["task_id"],
    )


def task_facts(task: Mapping[str, Any], upstream: list[str], group: str | None, mapped: bool) -> Facts:
    """Return one task; what a mapped one is given stands apart from what it is mapped over."""
    rule = task.get("trigger_rule") or task.get("partial_kwargs", {}).get("trigger_rule") or USUAL
    return {
        "task_id": task["task_id"],
        "operator": task.get("_operator_name") or task.get("task_type"),
        "upstream": sorted(upstream),
        "mapped": mapped or bool(task.get("_is_mapped")),
        "trigger_rule": str(rule),
        "group": group,
    }


def members(group: Mapping[str, Any], name: str | None, mapped: bool) -> Iterator[tuple[str, str | None, bool]]:
    """Yield every task of a group with its innermost group, and whether one of its groups is mapped."""
    mapped = mapped or bool(group.get("is_mapped"))
    for label, (kind, what) in group["children"].items():
        if kind == "operator":
            yield label, name, mapped
        else:
            yield from members(what, what["_group_id"], mapped)
