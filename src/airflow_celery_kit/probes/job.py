"""Runs in: health checks of scheduler, Dag processor and triggerer; this instance's heartbeat in the metadata database.

`python -m airflow_celery_kit.probes.job SchedulerJob` asks as the role `airflow`, whose password libpq takes from
`PGPASSFILE`. Each of the three processes writes `job.latest_heartbeat` from its main loop.
"""

import os
import sys

# psycopg2 imports Python's ssl for the sake of old OpenSSL versions, which is half of its cost; libpq has its own TLS.
sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]

import psycopg2  # noqa: E402

from airflow_celery_kit import instance  # noqa: E402

STALE_SECONDS = 30.0
# Asking for TLS and Kerberos takes longer than the query; a locked table must not outlast the check's own timeout.
OPTIONS = {"connect_timeout": 5, "sslmode": "disable", "gssencmode": "disable", "options": "-c statement_timeout=5000"}
QUERY = """
SELECT extract(epoch FROM now() - latest_heartbeat)
FROM job
WHERE job_type = %s AND hostname = %s AND state = 'running'
ORDER BY latest_heartbeat DESC
LIMIT 1
"""


def heartbeat_age(conn: str, job_type: str, hostname: str) -> float | None:
    """Return the seconds since the newest heartbeat of a running job, None when there is no such job.

    `conn` is a libpq URI without password. Raises psycopg2.Error when the database is away or refuses.
    """
    connection = psycopg2.connect(conn, **OPTIONS)
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUERY, (job_type, hostname))
            row = cursor.fetchone()
    finally:
        connection.close()
    return float(row[0]) if row else None


def main(arguments: list[str]) -> int:
    """Return 0 when the heartbeat is fresh, 1 with the reason otherwise."""
    (job_type,) = arguments
    try:
        age = heartbeat_age(
            os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1), job_type, instance.name()
        )
    except psycopg2.Error as problem:
        print(f"{job_type}: {str(problem).strip()}")  # noqa: T201
        return 1
    if age is None or age > STALE_SECONDS:
        print(f"{job_type}: {'no running job' if age is None else f'last heartbeat {age:.0f} s ago'}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
