"""Runs in: `make docs`; rest.md, the kit's own part of the REST API."""

from prometheus_client import generate_latest

from airflow_celery_kit.api.metrics import GAUGES, QueueMetrics
from airflow_celery_kit.api.snapshot import STALE_SECONDS, answer
from reference.examples import EXAMPLE_SNAPSHOT
from reference.markdown import code, json_block, listed, page, table

FIELDS = {
    "at": "When the controller looked last; null when it never did.",
    "age_seconds": "How old that look is; the other times are as of that look.",
    "stale": f"Whether there is no look, or it is older than {STALE_SECONDS:.0f} s.",
    "reason": "The sentence that says why it is stale, empty otherwise.",
    "queues": "Every queue to which a task was ever sent, or which a live worker serves; by name.",
    "queues[].queue": "Its name.",
    "queues[].scheduled": "Tasks that are due for it and wait in Airflow: for a slot of their pool, or below a limit of their Dag.",
    "queues[].scheduled_oldest_seconds": "How long the first of these has been due; null where none is.",
    "queues[].waiting": "Messages that wait in the broker.",
    "queues[].oldest_seconds": "How long the oldest message waits, of the first and last thousand of each step; null where none does or says it.",
    "queues[].slots": "Slots of live workers for it; a worker of several queues counts in each. Null while a worker does not say.",
    "queues[].steps": "The priority steps in which messages wait. Step 0 is taken first, 9 last.",
    "delivered": "Messages that workers have taken and not acknowledged.",
}


def rest_page() -> str:
    """The routes, their fields and their metrics."""
    intro = (
        "Below `/kit/v1` of the api-server, with Airflow's own login: a token of `POST /auth/token` in the header "
        "`Authorization: Bearer`, or the cookie of a browser that has logged in. The user has to be allowed to read "
        "*Cluster Activity*, as the roles Viewer, User, Op and Admin are. Without login the answer is 401, without "
        "permission 403."
    )
    source = (
        "Both routes give out the last look of the leading controller, which looks every two seconds (`KIT_LOOK_SECONDS` of the "
        "profile: one to five); the api-server reaches no broker. While the controller cannot see the broker or a database, "
        "there is no new look, and the last one gets old."
    )
    return page("REST API", "`src/airflow_celery_kit/api`", intro, source, *queues_part(), *metrics_part())


def queues_part() -> list[str]:
    """The route for programs."""
    rows = [(code(name), text) for name, text in FIELDS.items()]
    return [
        "## GET /kit/v1/queues",
        "What waits, in JSON. `kit status` shows the same.",
        table(("Field", "What it says"), rows),
        json_block(answer(EXAMPLE_SNAPSHOT)),
    ]


def metrics_part() -> list[str]:
    """The route for Prometheus."""
    rows = [(code(name), listed(labels), text) for name, (text, labels) in GAUGES.items()]
    shown = [
        line for line in generate_latest(QueueMetrics(EXAMPLE_SNAPSHOT)).decode().splitlines() if worth_showing(line)
    ]
    return [
        "## GET /kit/v1/metrics",
        "The same for Prometheus, in its text format 0.0.4. All of them are gauges. "
        "[How do I watch the queues with Prometheus?](../how-to/how-do-i-watch-the-queues-with-prometheus.md)",
        table(("Metric", "Labels", "What it says"), rows),
        "\n".join(["```", *shown, "```"]),
    ]


def worth_showing(line: str) -> bool:
    """Whether a line of the example teaches something: no comment, no empty step."""
    return not line.startswith("#") and ('step="' not in line or 'step="3"' in line)
