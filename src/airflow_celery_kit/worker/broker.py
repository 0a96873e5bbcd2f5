"""Runs in: scheduler, workers and Flower; how all of them reach the broker.

The password is read from a file, so that it stands in no URL, environment or log (Celery's `broker_user` and
`broker_password` take it from there). Imports neither Airflow nor Celery.
"""

import os
from pathlib import Path

# Valkey serves step 0 first. Airflow's environment variables can only give text, which breaks the transport.
PRIORITY_STEPS = list(range(10))

TRANSPORT_OPTIONS = {"priority_steps": PRIORITY_STEPS, "queue_order_strategy": "priority"}


def credentials() -> dict[str, str]:
    """Return Celery's credentials from `KIT_BROKER_USER` and `KIT_BROKER_PASSWORD_FILE`.

    Returns nothing where no file is named, as on the api-server, which never talks to the broker.
    """
    path = os.environ.get("KIT_BROKER_PASSWORD_FILE")
    if not path:
        return {}
    return {
        "broker_user": os.environ.get("KIT_BROKER_USER", "airflow"),
        "broker_password": Path(path).read_text().strip(),
    }
