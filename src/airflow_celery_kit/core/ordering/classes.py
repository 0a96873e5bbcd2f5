"""Runs in: airflow-controller; pure: gold, silver and bronze share the slots (stride scheduling, Waldspurger and Weihl 1995)."""

from collections import Counter
from collections.abc import Sequence

from airflow_celery_kit.core.ordering.policy import Policy, Situation, Waiting

# The order of so many tasks is exact; who comes later is weighed again before its turn.
RANKS = 255
FIRST = 511


class Classes(Policy):
    """Each class starts tasks in proportion to its share while it has some that wait; a task of no class belongs to the least."""

    needs_durations = False

    def __init__(self) -> None:
        self.passed: dict[str, float] = {}
        self.seen: dict[str, str] = {}

    def weigh_all(self, tasks: Sequence[Waiting], situation: Situation) -> dict[str, int]:
        """Return weights that fall with the rank."""
        least = min(situation.shares, key=lambda name: situation.shares[name])
        named = {task.id: task.class_ or least for task in tasks}
        self._account(named, situation.shares)
        places: Counter[str] = Counter()
        turns = []
        for task in sorted(tasks, key=lambda one: (one.state != "queued", -one.base, -one.run_age, one.map_index)):
            name = named[task.id]
            places[name] += 1
            turns.append((self.passed[name] + places[name] / situation.shares[name], task.id))
        return {one: FIRST - min(rank, RANKS) for rank, (_, one) in enumerate(sorted(turns))}

    def _account(self, named: dict[str, str], shares: dict[str, int]) -> None:
        """Charge each class for what started since the last look; one that had nothing waiting starts level with the others."""
        for one, name in self.seen.items():
            if one not in named:
                self.passed[name] += 1 / shares.get(name, 1)
        there = [self.passed[name] for name in set(self.seen.values()) if name in self.passed]
        for name in set(named.values()) - set(self.seen.values()):
            self.passed[name] = max(self.passed.get(name, 0.0), min(there, default=0.0))
        self.seen = named
