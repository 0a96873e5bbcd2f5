"""Runs in: `make docs`; rest.md, the kit's own part of the REST API."""

from prometheus_client import generate_latest

from airflow_celery_kit.api import actions, app, bulk, console_files, health, records, workers
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
    "queues[].slots": "Slots of live workers that take its tasks; a worker of several queues counts in each. Null while a worker does not say.",
    "queues[].steps": "The priority steps in which messages wait. Step 0 is taken first, 9 last.",
    "workers": "Every live worker.",
    "workers[].name": "Its name.",
    "workers[].held": "Messages in its hands: running, and taken ahead.",
    "workers[].slots": "How many tasks it runs at a time; null while it does not say.",
    "workers[].queues": "The queues that it serves.",
    "workers[].drained": "Whether it was told to take no task, and heeds it.",
    "workers[].busy": "The share of the CPU it may use that is in use, 0 to 1.",
    "workers[].host": "The machine or container that it runs on.",
    "workers[].since": "Since when it runs, in seconds since 1970.",
    "delivered": "Messages that workers have taken and not acknowledged.",
}
# Fields of a record of the journal; a contract test compares them with its table.
RECORD = {
    "id": "Airflow's id of this attempt; each attempt has another.",
    "dag_id": "Its Dag.",
    "run_id": "Its Dag run.",
    "task_id": "Its task.",
    "map_index": "Its place among mapped tasks, -1 where it is none.",
    "attempt": "Which try this is, from 1.",
    "message": "Celery's id of its message.",
    "queue": "Its queue.",
    "pool": "Its pool.",
    "priority": "Its priority weight.",
    "operator": "Its operator.",
    "worker": "Where it ran, or was taken.",
    "state": "Airflow's last word; `replaced` once another attempt followed one that had not ended.",
    "status": "PENDING, QUEUED, RECEIVED, PROCESSING, SUCCESS, FAILURE, RETRY, CANCELLED, TIMEOUT or NO_DATA.",
    "created_at": "When it was asked for.",
    "due_at": "When all that it waits for was done.",
    "queued_at": "When Airflow decided to send it.",
    "published_at": "When its message was in the broker.",
    "received_at": "When a worker took it.",
    "started_at": "When Airflow let it run.",
    "completed_at": "When it ended.",
    "lost_at": "When the process that ran it was lost.",
    "changed_at": "When it was last heard of.",
    "timed_out": "Whether its own time limit ended it.",
    "cancelled": "Whether an operator ended it.",
    "no_data": "Whether its code said that there was nothing to do.",
    "instead_of": "The attempt before.",
    "replaced_by": "The attempt after.",
    "progress": "How far its code said that it is: `done`, `total`, `note`.",
    "progress_at": "When it said so.",
    "input": "What it was given, as Airflow shows it, secrets masked, and the SHA-256 of that; with one record only.",
    "result": "What its code said that it made.",
    "error": "Its error.",
    "trace": "Its stack trace; with one record only.",
    "events": "How many events are on record.",
    "impossible": "How many of Airflow's words could not follow the one before.",
}


def rest_page() -> str:
    """The routes, their fields and their metrics."""
    intro = (
        "Below `/kit/v1` of the api-server, with Airflow's own login: a token of `POST /auth/token` in the header "
        "`Authorization: Bearer`, or the cookie of a browser that has logged in. Queues and metrics need the permission to read "
        "*Cluster Activity*, tasks and workflows that to read *Task Instances* and the Dag, as the roles Viewer, User, Op and Admin have. "
        "Draining and resuming workers needs the permission to edit *Pools*, as Op and Admin have. "
        "The two routes for load balancers need no login. "
        'Without login the answer is 401, without permission 403. Every refusal is `{"detail": "a sentence"}`. A body may have 1 MiB.'
    )
    source = (
        "`/queues` and `/metrics` give out the last look of the leading controller, which looks every two seconds (`KIT_LOOK_SECONDS` of the "
        "profile: one to five); the api-server reaches no broker. While the controller cannot see the broker or a database, "
        "there is no new look, and the last one gets old."
    )
    tags = (
        "Tasks, runs, their lists and events have an `ETag`. Sent back as `If-None-Match` it is answered by 304, without a body, while "
        "nothing has changed; sent as `If-Match` with an action on that task or run it is answered by 412, and nothing is done, "
        "once what is on record has changed."
    )
    return page(
        "REST API",
        "`src/airflow_celery_kit/api`",
        intro,
        tags,
        source,
        *queues_part(),
        *metrics_part(),
        *health_part(),
        *records_part(),
    )


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


VERDICT = {
    "state": "The state of the whole: that of its worst part. [States, checks and cures](health.md).",
    "ready": "Whether tasks can run: nothing vital is Unhealthy.",
    "stale": f"Whether there are no verdicts, or they are older than {STALE_SECONDS:.0f} s; then the whole is Unhealthy.",
    "reason": "The sentence that says why, empty otherwise.",
    "verdicts": "What holds of each subject of each check, the worst first.",
    "verdicts[].check": "The check.",
    "verdicts[].subject": "What it looked at: a worker, a queue; the check's own name where it looks at one thing.",
    "verdicts[].state": "Its state.",
    "verdicts[].since": "Since when.",
    "verdicts[].why": "Why, as of the last look.",
    "verdicts[].cure": "What to do, empty where nothing is to be done.",
    "verdicts[].vital": "Whether no task can run while this is Unhealthy.",
}
OPEN = {"ready": health.ready, "live": health.live}


def health_part() -> list[str]:
    """The routes of health, two of them for load balancers."""
    parts = ["## GET /kit/v1/health", health.health.__doc__ or "", "`kit health` shows the same."]
    parts.append(table(("Field", "What it says"), [(code(name), text) for name, text in VERDICT.items()]))
    for name, route in OPEN.items():
        parts += [f"## GET /kit/v1/health/{name}", f"{route.__doc__}"]
    return parts


def records_part() -> list[str]:
    """The routes of tasks and workflows, as they describe themselves."""
    parts = []
    for route in (
        *app.documents.routes,
        *workers.router.routes,
        *records.router.routes,
        *actions.router.routes,
        *bulk.router.routes,
        *console_files.router.routes,
    ):
        asked = [parameter.alias for parameter in route.dependant.query_params]
        remark = f"May be asked for by {listed(asked)}." if asked else ""
        parts += [
            f"## {' '.join(route.methods)} /kit/v1{route.path.replace(':path', '')}",
            f"{route.description} {remark}".strip(),
        ]
    return [
        *parts,
        "## A task's record",
        table(("Field", "What it says"), [(code(name), text) for name, text in RECORD.items()]),
    ]


def worth_showing(line: str) -> bool:
    """Whether a line of the example teaches something: no comment, no empty step."""
    return not line.startswith("#") and ('step="' not in line or 'step="3"' in line)
