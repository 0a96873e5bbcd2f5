"""Runs in: airflow-controller; at each look the leader weighs waiting tasks again, where a policy changes with time, and moves messages."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import mean
from typing import Any

from airflow_celery_kit import rules
from airflow_celery_kit.controller import moves, pools, waiting
from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.core.ordering import table
from airflow_celery_kit.core.ordering.policy import Policy, Situation, Waiting
from airflow_celery_kit.core.priorities import step
from airflow_celery_kit.core.routing import Routing

# What tasks take changes slowly.
DURATIONS_SECONDS = 60.0

Say = Callable[..., None]


@dataclass
class Ordering:
    """What the loop keeps between two looks. `policy` is the deployment's, `bound` the longest wait in seconds, `ahead` messages per slot."""

    routing: Routing
    policy: str
    bound: float
    ahead: float | None
    say: Say
    policies: dict[str, Policy | None] = field(default_factory=dict)
    durations: dict[tuple[str, str], float | None] = field(default_factory=dict)
    durations_at: float = 0.0
    failed: set[str] = field(default_factory=set)

    def look(self, connections: Connections, fence: Fence, now: float) -> None:
        """Weigh and move once. `now` is steady, in seconds. Raises LeaseLostError, psycopg2.Error, valkey.ValkeyError."""
        reports = list(connections.broker.reports().values())
        if self.ahead is not None and (changed := pools.resize(pools.slots_of(reports), self.ahead, fence)):
            self.say("pools", **changed)
        if not self._changes(connections):
            return
        tasks = waiting.read(connections.metadata)
        weights = self._weights(tasks, connections, busy_of(reports), now)
        current = {task.id: task for task in tasks}
        wanted = {one: weight for one, weight in weights.items() if weight != current[one].weight}
        if wanted:
            done = waiting.write(wanted, {one: current[one].base for one in wanted}, fence)
            self._move({one: weights[one] for one in done}, current, connections)

    def _changes(self, connections: Connections) -> bool:
        ruled = {self.policy, *(rule.policy for rule in self.routing.rules if rule.policy)}
        return not ruled <= set(table.STATIC) or waiting.are_tagged(connections.metadata)

    def _weights(
        self, tasks: list[Waiting], connections: Connections, busy: Mapping[str, float], now: float
    ) -> dict[str, int]:
        situation = Situation(dict(self.routing.classes), dict(busy), self.bound)
        weights: dict[str, int] = {}
        for name, group in waiting.chosen(tasks, self.routing, self.policy).items():
            if policy := self._policy(name):
                weights |= self._ask(name, policy, self._with_durations(group, connections, now), situation)
        return weights

    def _with_durations(self, tasks: list[Waiting], connections: Connections, now: float) -> list[Waiting]:
        unknown = any((task.dag_id, task.task_id) not in self.durations for task in tasks)
        if unknown or now - self.durations_at > DURATIONS_SECONDS:
            self.durations = waiting.expected(connections.metadata, tasks)
            self.durations_at = now
        return [replace(task, expected=self.durations.get((task.dag_id, task.task_id))) for task in tasks]

    def _ask(self, name: str, policy: Policy, tasks: list[Waiting], situation: Situation) -> dict[str, int]:
        try:
            given = policy.weigh_all(tasks, situation)
        except Exception as problem:
            self._fails(name, problem)
            return {}
        self.failed.discard(name)
        return given

    def _policy(self, name: str) -> Policy | None:
        if name not in self.policies:
            try:
                self.policies[name] = table.policy(name)
            except Exception as problem:
                self.policies[name] = None
                self._fails(name, problem)
        return self.policies[name]

    def _fails(self, name: str, problem: Exception) -> None:
        if name not in self.failed:
            self.failed.add(name)
            self.say("policy fails", policy=name, reason=f"{type(problem).__name__}: {problem}")

    def _move(self, weights: Mapping[str, int], tasks: Mapping[str, Waiting], connections: Connections) -> None:
        queued = [task for one, task in tasks.items() if one in weights and task.state == "queued"]
        steps = {task.message: step(weights[task.id]) for task in queued}
        if moved := moves.move(connections.broker.client, {task.queue for task in queued}, steps):
            self.say("moved", messages=moved)


def busy_of(reports: list[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean share of CPU in use, 0 to 1, on the machines of each queue's workers."""
    found: dict[str, list[float]] = {}
    for report in reports:
        for queue in report.get("queues", ()):
            if (busy := report.get("busy")) is not None:
                found.setdefault(queue, []).append(busy)
    return {queue: mean(shares) for queue, shares in found.items()}


def from_environment(environment: Mapping[str, str], say: Say) -> Ordering:
    """Return the loop as a deployment is configured; policies of its own are found in the folder of plugins.

    Raises ConfigurationError for rules that cannot be used.
    """
    if folder := environment.get("AIRFLOW__CORE__PLUGINS_FOLDER"):
        sys.path.append(folder)
    ahead = environment.get("KIT_BACKLOG")
    return Ordering(
        routing=rules.from_environment(environment),
        policy=environment.get("KIT_PRIORITY_POLICY") or "airflow",
        bound=float(environment.get("KIT_LONGEST_WAIT", "600s").rstrip("s")),
        ahead=float(ahead) if ahead else None,
        say=say,
    )
