"""Runs in: airflow-controller; what the leader sees, written to the metadata database for the api-server, which reaches no broker."""

from contextlib import suppress
from typing import Any

from psycopg2.extras import Json

from airflow_celery_kit.controller.database import Fence
from airflow_celery_kit.controller.lease import LeaseLostError

# The leader writes every five seconds or more often, another one takes over after ten: what is older says who was there, not how well it is.
STALE_SECONDS = 30.0
WRITE = """
INSERT INTO kit.seen (what, at, facts) VALUES (%(what)s, clock_timestamp(), %(facts)s)
ON CONFLICT (what) DO UPDATE SET at = excluded.at, facts = excluded.facts
"""


def write(what: str, facts: dict[str, Any], fence: Fence) -> None:
    """Keep `facts` as the last that was seen of `what`; another controller that leads by now writes its own instead.

    Raises psycopg2.Error.
    """
    with suppress(LeaseLostError), fence() as cursor:
        cursor.execute(WRITE, {"what": what, "facts": Json(facts)})
