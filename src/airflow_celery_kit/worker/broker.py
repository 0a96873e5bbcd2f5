"""Runs in: scheduler, workers and Flower; how all of them reach the broker.

The password is read from a file, so that it stands in no URL, environment or log (Celery's `broker_user` and
`broker_password` take it from there). Imports neither Airflow nor Celery.
"""

import os
from pathlib import Path

# Valkey serves step 0 first. Airflow's environment variables can only give text, which breaks the transport.
PRIORITY_STEPS = list(range(10))

# Between a queue's name and a step in the name of a list (`kombu/transport/redis.py`).
SEPARATOR = "\x06\x16"

# What a worker says it holds is the key `kit:worker:<its name>`.
REPORT_KEY = "kit:worker:"
# A report lives as long as five of them: a busy event loop skips one or two.
REPORT_SECONDS = 10

# What workers are told to do: a hash, by the names under which they report.
ORDERS_KEY, DRAIN, WORK = "kit:orders", "drain", "work"

# A worker that leaves as it was told says so under `kit:left:<its name>`, for a day.
LEFT_KEY, LEFT_SECONDS = "kit:left:", 86_400

# What the hashes of secrets in reports are salted with, so that they are of no use elsewhere.
SALT_KEY = "kit:salt"

# A task that does nothing, to measure a queue's way.
CANARY = "kit.canary"

# A message's header: when it was published, in seconds since 1970.
SENT_AT = "kit_sent_at"

TRANSPORT_OPTIONS = {
    "priority_steps": PRIORITY_STEPS,
    "queue_order_strategy": "priority",
    # A frozen connection is noticed and replaced without losing what was on its way: the four go together, any one
    # alone lost messages or never recovered.
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    "retry_on_timeout": True,
    "health_check_interval": 10,
    # Looks for deliveries past the visibility timeout every 5 s instead of every 100 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}

# A publish that fails goes on trying, so that it ends as Airflow's own timeout, which costs the task no try.
PUBLISH_RETRY_POLICY = {"max_retries": 100, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}


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
