"""Work that is done once for each day, however often the Dag is run for it.

The second run for the same day returns what the first one made. Another day, or `deduplicate` with another key, is other work.
"""

from datetime import timedelta

from airflow.sdk import Param, dag, task

from airflow_celery_kit.task import deduplicate, progress


def invoices_of(day: str) -> int:
    """Stand in for work that must not be done twice, such as sending mail."""
    for number in range(1, 4):
        progress(number, 3, f"part {number} of {day}")
    return len(day)


@task
def send_invoices(params: dict) -> int:
    """Send the invoices of a day, unless that was done before."""
    day = params["day"]
    return deduplicate({"day": day}, lambda: invoices_of(day))


@dag(
    schedule=None,
    catchup=False,
    tags=["kit", "example"],
    params={"day": Param("2026-01-01", type="string", format="date")},
    default_args={"execution_timeout": timedelta(minutes=10)},
    doc_md=__doc__,
)
def done_once():
    send_invoices()


done_once()
