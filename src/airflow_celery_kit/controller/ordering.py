"""Runs in: airflow-controller; at each look the leader weighs waiting tasks again, where a policy changes with time, and moves messages."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean
from typing import Any

import psycopg2

from airflow_celery_kit import rules
from airflow_celery_kit.controller import moves, pools, waiting
from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.controller.durations import Durations
from airflow_celery_kit.controller.sight import Connections
from airflow_celery_kit.core.ordering import table
from airflow_celery_kit.core.ordering.policy import Policy, Situation, Waiting, whole
from airflow_celery_kit.core.priorities import step
from airflow_celery_kit.core.routing import BUILT_IN, Routing

Say = Callable[..., None]
# Workers start and are replaced in this time.
LEFT_SECONDS = 60.0


@dataclass
class Ordering:
    """What the loop keeps between two looks.

    `policy` is the deployment's, `bound` the longest wait in seconds, `ahead` how many messages are sent for each slot that is taken,
    None to leave pools alone. A policy that only a Dag's tag names must be a file in the folder `plugins`.
    """

    routing: Routing
    policy: str
    bound: float
    ahead: float | None
    say: Say
    plugins: Path | None = None
    policies: dict[str, Policy | None] = field(default_factory=dict)
    durations: Durations = field(default_factory=Durations)
    failed: set[str] = field(default_factory=set)
    served: dict[str, float] = field(default_factory=dict)

    def look(self, connections: Connections, fence: Fence, now: float) -> None:
        """Weigh and move once. `now` is steady, in seconds. Raises LeaseLostError, psycopg2.Error, valkey.ValkeyError."""
        reports = list(connections.broker.reports().values())
        self._resize(pools.slots_of(reports), fence, now)
        if self._chosen() <= set(table.STATIC) and not waiting.are_concerned(connections.metadata):
            return
        tasks = waiting.read(connections.metadata)
        weights = self._weights(tasks, connections, busy_of(reports), now)
        current = {task.id: task for task in tasks}
        wanted = {one: weight for one, weight in weights.items() if weight != current[one].weight}
        if wanted:
            waiting.write(wanted, current, fence)
        self._arrange([replace(task, weight=weights.get(task.id, task.weight)) for task in tasks], connections)

    def _resize(self, served: Mapping[str, int], fence: Fence, now: float) -> None:
        self.served |= dict.fromkeys(served, now)
        slots = {
            queue: served.get(queue, 0) for queue in self.routing.queues if queue in served or self._left(queue, now)
        }
        if self.ahead is not None and (changed := pools.resize(slots, self.ahead, fence)):
            self.say("pools", **changed)

    def _left(self, queue: str, now: float) -> bool:
        """Return whether a queue has had no worker for long; one that starts again keeps its pool meanwhile."""
        return now - self.served.setdefault(queue, now) >= LEFT_SECONDS

    def _chosen(self) -> set[str]:
        """Return the policies that the operator chose."""
        return {self.policy, *(rule.policy for rule in self.routing.rules if rule.policy)}

    def _weights(
        self, tasks: list[Waiting], connections: Connections, busy: Mapping[str, float], now: float
    ) -> dict[str, int]:
        situation = Situation(dict(self.routing.classes), dict(busy), self.bound)
        weights: dict[str, int] = {}
        for name, group in waiting.chosen(tasks, self.routing, self.policy).items():
            if policy := self._policy(name):
                if policy.needs_durations:
                    group = self._expected(group, connections, now)  # noqa: PLW2901
                weights |= self._ask(name, policy, group, situation)
            elif name not in self.failed:
                weights |= {task.id: task.base for task in group}
        return weights

    def _expected(self, tasks: list[Waiting], connections: Connections, now: float) -> list[Waiting]:
        try:
            return self.durations.of(tasks, connections.metadata, now)
        except psycopg2.Error as problem:
            self._fails("durations", problem)
            return tasks

    def _ask(self, name: str, policy: Policy, tasks: list[Waiting], situation: Situation) -> dict[str, int]:
        known = {task.id for task in tasks}
        try:
            given = {one: whole(weight) for one, weight in policy.weigh_all(tasks, situation).items() if one in known}
        except (Exception, SystemExit) as problem:
            self._fails(name, problem)
            return {}
        self.failed.discard(name)
        return given

    def _policy(self, name: str) -> Policy | None:
        if name not in self.policies:
            try:
                self.policies[name] = table.policy(self._trusted(name))
            except (Exception, SystemExit) as problem:
                self.policies[name] = None
                self._fails(name, problem)
        return self.policies[name]

    def _trusted(self, name: str) -> str:
        """Return a policy's name. Raises ImportError for one that no operator chose and that is no plugin: anybody may write a tag."""
        module = name.rpartition(".")[0]
        if name in BUILT_IN or name in self._chosen() or (self.plugins and (self.plugins / f"{module}.py").is_file()):
            return name
        raise ImportError(f"there is no {module}.py in the folder of plugins")

    def _fails(self, name: str, problem: BaseException) -> None:
        if name not in self.failed:
            self.failed.add(name)
            self.say("policy fails", policy=name, reason=f"{type(problem).__name__}: {problem}")

    def _arrange(self, tasks: list[Waiting], connections: Connections) -> None:
        queued = [task for task in tasks if task.state == "queued"]
        turns = {task.message: (step(task.weight), (-task.weight, -task.waited)) for task in queued}
        if placed := moves.arrange(connections.broker.client, {task.queue for task in queued}, turns):
            self.say("moved", messages=placed)


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
    folder, ahead = environment.get("AIRFLOW__CORE__PLUGINS_FOLDER"), environment.get("KIT_BACKLOG")
    if folder:
        sys.path.append(folder)
    return Ordering(
        routing=rules.from_environment(environment),
        policy=environment.get("KIT_PRIORITY_POLICY") or "airflow",
        bound=float(environment.get("KIT_LONGEST_WAIT", "600s").rstrip("s")),
        ahead=float(ahead) if ahead else None,
        say=say,
        plugins=Path(folder) if folder else None,
    )
