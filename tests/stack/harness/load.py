"""Runs in: stack tests; a run of the Dag `receipts`, and what its receipts prove."""

import json
from dataclasses import dataclass
from typing import Any

from tests.stack.harness.stack import Stack, file_name
from tests.stack.harness.wait import wait_for


@dataclass(frozen=True)
class Load:
    """Equal tasks that leave a receipt when they start and when they end."""

    stack: Stack
    run_id: str
    tasks: int
    dag: str = "receipts"

    @classmethod
    def start(cls, stack: Stack, tasks: int, seconds: float, dag: str = "receipts") -> "Load":
        """Start the tasks and return at once."""
        return cls(stack, stack.start_dag(dag, {"tasks": tasks, "seconds": seconds}), tasks, dag)

    def receipts(self, what: str) -> list[dict[str, Any]]:
        """Return the receipts of one kind, `start` or `end`, oldest first."""
        path = self.stack.output / "receipts" / f"{file_name(self.run_id)}.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        return [one for line in lines if (one := json.loads(line))["what"] == what]

    def wait_started(self, count: int, seconds: float = 90) -> None:
        """Wait until so many tasks have started."""
        wait_for(f"{count} starts", lambda: len(self.receipts("start")) >= count, seconds, self.states)

    def wait_ended(self, seconds: float = 180) -> None:
        """Wait until the run has ended well and every task has left its receipt."""
        state = self.stack.wait_run(self.dag, self.run_id, seconds)
        assert state == "success", f"the run has failed, its tasks are {self.states()}"
        assert {one["index"] for one in self.receipts("end")} == set(range(self.tasks))

    def assert_undisturbed(self) -> None:
        """Every task needed one try and started once. Raises AssertionError with how many did not."""
        tries, starts = len(self.second_attempts()), len(self.started_twice())
        assert tries == starts == 0, f"{tries} tasks took another try, {starts} started twice"

    def unfinished(self) -> set[int]:
        """Return the tasks that have started and not ended."""
        return {one["index"] for one in self.receipts("start")} - {one["index"] for one in self.receipts("end")}

    def states(self) -> dict[str, int]:
        """Return how many task instances are in each state."""
        states = [str(task["state"]) for task in self._instances()]
        return {state: states.count(state) for state in sorted(set(states))}

    def second_attempts(self) -> set[int]:
        """Return the tasks that took more than one try, as Airflow counts."""
        return {task["map_index"] for task in self._instances() if task["try_number"] > 1}

    def started_twice(self) -> set[int]:
        """Return the tasks that left more than one start."""
        starts = [one["index"] for one in self.receipts("start")]
        return {index for index in starts if starts.count(index) > 1}

    def _instances(self) -> list[dict[str, Any]]:
        path, found = f"/dags/{self.dag}/dagRuns/{self.run_id}/taskInstances", []
        while page := self.stack.api.get(path, limit=100, offset=len(found))["task_instances"]:
            found += page
        return found
