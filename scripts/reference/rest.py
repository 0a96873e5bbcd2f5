"""Runs in: `make docs`; rest.md, the kit's own part of the REST API."""

import json
from typing import Any

from pydantic import BaseModel

from airflow_celery_kit.api import actions, app, bulk, console_files, guards, health, records, workers
from airflow_celery_kit.api.answers.queues import Queues
from airflow_celery_kit.api.snapshot import answer
from airflow_celery_kit.journal.reader import MOST, PAGE
from reference.answers import answers_part, bodies_part, linked, type_of
from reference.examples import EXAMPLE_SNAPSHOT
from reference.markdown import code, json_block, listed, page

# Neither password nor token stands in an argument, which `ps` shows.
LOGIN = """\
token=$(curl -s http://127.0.0.1:8080/auth/token -H 'Content-Type: application/json' -d @login.json |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')
curl -s -H @- 'http://127.0.0.1:8080/kit/v1/tasks?status=FAILURE&limit=5' <<< "Authorization: Bearer $token"
"""


def rest_page() -> str:
    """The routes, their fields and their metrics."""
    intro = (
        "Below `/kit/v1` of the api-server, with Airflow's own login: a token of `POST /auth/token`, as below, in the header "
        "`Authorization: Bearer`, or the cookie of a browser that has logged in. Queues, metrics, limits and breakers need the permission to read "
        "*Cluster Activity*, tasks and workflows that to read *Task Instances* and the Dag, as the roles Viewer, User, Op and Admin have. "
        "What a task's code raised, its message and stack trace, is shown to who may read *Task Logs* too, as these roles may; others see its class. "
        "Draining and resuming workers, and changing limits and breakers, needs the permission to edit *Pools*, as Op and Admin have. "
        "The two routes for load balancers need no login. "
        'Without login the answer is 401, without permission 403, which names it. Every refusal is `{"detail": "a sentence"}`. A body may have 1 MiB.'
    )
    source = (
        "`/queues` and `/metrics` give out the last look of the leading controller, which looks every two seconds (`KIT_LOOK_SECONDS` of the "
        "profile: one to five); the api-server reaches no broker. While the controller cannot see the broker or a database, "
        "there is no new look, and the last one gets old."
    )
    tags = (
        "Tasks, runs, their lists and events have an `ETag`. Sent back as `If-None-Match` it is answered by 304, without a body, while "
        "nothing has changed; sent as `If-Match` with an action on that task or run it is answered by 412, and nothing is done, "
        "once what is on record has changed. Each progress that a task says, and each event, changes the task's: who wants to cancel "
        "a task whatever it does meanwhile sends no `If-Match`."
    )
    lists = (
        f"Lists of tasks and runs come in pages of {PAGE}, or of `limit`, {MOST} at most; `next` of a page is the `cursor` of the one "
        "after it, null on the last one. A parameter that a route does not know is refused with 422 and those that it knows."
    )
    return page(
        "REST API",
        "`src/airflow_celery_kit/api`",
        intro,
        f'With `{{"username": "admin", "password": "..."}}` in `login.json`:\n\n```bash\n{LOGIN}```',
        lists,
        tags,
        source,
        *queues_part(),
        *metrics_part(),
        *health_part(),
        *records_part(),
    )


def queues_part() -> list[str]:
    """The route for programs."""
    return [
        "## GET /kit/v1/queues",
        f"What waits, in JSON. `kit status` shows the same. Answers with {linked(Queues)}.",
        json_block(answer(EXAMPLE_SNAPSHOT)),
    ]


def metrics_part() -> list[str]:
    """The route for Prometheus."""
    return [
        "## GET /kit/v1/metrics",
        "Everything that Prometheus may want to know, in its text format 0.0.4: [every metric](metrics.md). "
        "[How do I watch it with Prometheus?](../how-to/how-do-i-watch-the-queues-with-prometheus.md)",
    ]


OPEN = {"ready": health.ready, "live": health.live}


def health_part() -> list[str]:
    """The routes of health, two of them for load balancers."""
    (route,) = health.router.routes
    parts = [*route_part(route), "`kit health` shows the same. [States, checks and cures](health.md)."]
    for name, route in OPEN.items():
        parts += [f"## GET /kit/v1/health/{name}", f"{route.__doc__}"]
    return parts


def records_part() -> list[str]:
    """The other routes, as they describe themselves."""
    routers = (
        app.documents,
        workers.router,
        records.router,
        actions.router,
        bulk.router,
        guards.router,
        console_files.router,
    )
    routes = [route for router in routers for route in router.routes]
    return [
        *(part for route in routes for part in route_part(route)),
        *bodies_part(routes),
        *answers_part([*app.router.routes, *health.router.routes, *routes]),
    ]


def route_part(route: Any) -> tuple[str, str]:
    """One route."""
    asked = [parameter.alias for parameter in route.dependant.query_params]
    remarks = [
        *(taken(parameter) for parameter in route.dependant.body_params),
        f"May be asked for by {listed(asked)}." if asked else "",
        f"Answers with {linked(route.response_model)}." if route.response_model else "",
    ]
    path = route.path.replace(":path", "")
    return f"## {' '.join(route.methods)} /kit/v1{path}", " ".join([route.description, *filter(None, remarks)])


def taken(parameter: Any) -> str:
    """What a route takes in its body."""
    kind = parameter.field_info.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"Takes {linked(kind)} as JSON."
    return f"Takes JSON with {code(parameter.alias)}, a {type_of(kind)}, {code(json.dumps(parameter.default))} where it is left out."
