"""A task that tells what its worker's process holds and what it can open, for tests of least privilege."""

from datetime import timedelta

from airflow.sdk import dag, task


@dag(schedule=None, catchup=False, default_args={"execution_timeout": timedelta(minutes=2)})
def worker_look():
    """Look around from inside a worker."""

    @task(multiple_outputs=False)
    def look() -> dict:
        import os

        secrets = os.listdir("/run/secrets") if os.path.isdir("/run/secrets") else []
        return {"environment": dict(os.environ), "secrets": sorted(secrets), "doors": doors(os.environ)}

    look()


def doors(environment) -> dict[str, str]:
    """Try every database with what the worker has; return what each said."""
    import pathlib

    import psycopg2

    lines = pathlib.Path(environment["PGPASSFILE"]).read_text().splitlines()
    passwords = {line.split(":")[3]: line.split(":")[4] for line in lines}
    results = environment["AIRFLOW__CELERY__RESULT_BACKEND"].removeprefix("db+")
    server = results.rpartition("/")[0]
    addresses = {
        "results": results,
        "journal": environment["KIT_JOURNAL_CONN"],
        "metadata as celery": f"{server}/airflow",
        "metadata as the journal's writer": environment["KIT_JOURNAL_CONN"].rpartition("/")[0] + "/airflow",
        "metadata as airflow": server.replace("celery@", "airflow@") + "/airflow",
        "metadata as superuser": server.replace("celery@", "postgres@") + "/airflow",
    }
    said = {}
    for name, address in addresses.items():
        try:
            role = address.partition("//")[2].partition("@")[0]
            psycopg2.connect(address, password=passwords.get(role, passwords["celery"]), connect_timeout=5).close()
            said[name] = "open"
        except psycopg2.OperationalError as refused:
            said[name] = str(refused).strip().splitlines()[-1]
    return said


worker_look()
