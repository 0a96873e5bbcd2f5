"""Runs in: the health check of airflow-controller; its last complete look at database, broker and workers is fresh.

The controller touches the file after each look, so a fresh file says that it sees all three sides.
"""

import sys

from airflow_celery_kit.probes.worker import beat_problem


def main() -> int:
    """Return 0 when the last look is fresh, 1 with the reason otherwise."""
    if problem := beat_problem():
        print(f"controller: no complete look at database, broker and workers: {problem}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
