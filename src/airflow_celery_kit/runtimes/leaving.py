"""Runs in: the command line; what is said of instances that have not stopped yet."""

from collections.abc import Mapping


def running_tasks(parents: Mapping[int, int], guards: set[int]) -> int:
    """Return how many tasks run below the guards of a worker; `parents` holds the parent of each process.

    Generations: guard, main process, pool process, task process. A pool process runs one task at a time.
    """
    mains = {pid for pid, parent in parents.items() if parent in guards}
    pool = {pid for pid, parent in parents.items() if parent in mains}
    return len(pool & set(parents.values()))


def told(title: str, left: Mapping[str, int | None]) -> str:
    """Return one line that names who is left with the number of tasks, None where there is none to be known."""
    return f"{title}: {', '.join(name + _tasks(count) for name, count in left.items())}"


def _tasks(count: int | None) -> str:
    return "" if count is None else f" ({count} task{'' if count == 1 else 's'})"
