"""Runs in: health checks of scheduler, Dag processor and triggerer; this instance's heartbeat in the metadata database.

`python -m airflow_celery_kit.probes.job SchedulerJob` asks as the role `airflow`, whose password libpq takes from
`PGPASSFILE`. Each of the three processes writes `job.latest_heartbeat` from its main loop.
"""

import os
import sys

from airflow_celery_kit import instance
from airflow_celery_kit.probes import libpq

STALE_SECONDS = 30.0
# Asking for TLS and Kerberos takes longer than the query; a locked table must not outlast the check's own timeout.
OPTIONS = "connect_timeout=5&sslmode=disable&gssencmode=disable&options=-c%20statement_timeout%3D5000"
QUERY = """
SELECT extract(epoch FROM now() - latest_heartbeat)
FROM job
WHERE job_type = $1 AND hostname = $2 AND state = 'running'
ORDER BY latest_heartbeat DESC
LIMIT 1
"""


def heartbeat_age(conn: str, job_type: str, hostname: str) -> float | None:
    """Return the seconds since the newest heartbeat of a running job, None when there is no such job.

    `conn` is a libpq URI without password. Raises libpq.QueryError when the database is away or refuses.
    """
    row = libpq.first_row(f"{conn}{'&' if '?' in conn else '?'}{OPTIONS}", QUERY, (job_type, hostname))
    return float(row[0]) if row else None


def main(arguments: list[str]) -> int:
    """Return 0 when the heartbeat is fresh, 1 with the reason otherwise."""
    (job_type,) = arguments
    conn = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    try:
        age = heartbeat_age(conn, job_type, instance.name())
    except libpq.QueryError as problem:
        print(f"{job_type}: {problem}")  # noqa: T201
        return 1
    if age is None or age > STALE_SECONDS:
        print(f"{job_type}: {'no running job' if age is None else f'last heartbeat {age:.0f} s ago'}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
