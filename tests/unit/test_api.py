"""The kit's REST API inside an application like Airflow's: who may read it, and what it says."""

import uuid
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from airflow_celery_kit.api import snapshot
from airflow_celery_kit.api.metrics import FAMILIES
from airflow_celery_kit.api.snapshot import Snapshot

AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
DUE = {"scheduled": 28, "scheduled_oldest_seconds": 63.2}
QUEUE = {"queue": "default", **DUE, "waiting": 12, "oldest_seconds": 41.5, "slots": 4}
FACTS = {
    "queues": [
        QUEUE | {"steps": [{"step": 3, "waiting": 12, "oldest_seconds": 41.5}]},
        {
            "queue": "heavy", "scheduled": 0, "scheduled_oldest_seconds": None, "waiting": 1, "oldest_seconds": None, "slots": None,
            "steps": [{"step": 9, "waiting": 1, "oldest_seconds": None}],
        },
    ],
    "workers": [{"name": "airflow-worker-1", "held": 4, "slots": 4, "queues": ["default"]}],
    "delivered": 4,
}  # fmt: skip


class Session:
    """Stands in for a session of the metadata database whose table holds one row or none."""

    def __init__(self, *row: object) -> None:
        self.row = row or None

    def execute(self, statement, values=None):
        """Answer the query of the look, at queues or at health; the other tables are empty."""
        asked = statement is snapshot.READ and self.row and (values["what"] == "health") == ("verdicts" in self.row[2])
        return [self.row] if asked else []


NO_LOOK = Session()
# What load balancers ask, without a login.
OPEN = ("/health/live", "/health/ready")


class Manager:
    """A login manager that knows one user by the token `known`; `allowed` says whether they may see anything."""

    def __init__(self, allowed: bool) -> None:
        self.allowed, self.asked = allowed, []

    async def get_user_from_token(self, token):
        """Return the user of a token."""
        from jwt import InvalidTokenError

        if token != "known":
            raise InvalidTokenError
        return "somebody"

    def is_authorized_view(self, *, access_view, user):
        """Note what was asked."""
        self.asked.append((access_view.name, user))
        return self.allowed

    def is_authorized_pool(self, *, method, details, user):
        """Note what was asked."""
        self.asked.append((f"{method} POOL", user))
        return self.allowed

    def is_authorized_dag(self, *, method, access_entity, details, user):
        """Note what was asked."""
        self.asked.append((f"{method} {access_entity.name}", user))
        return self.allowed


@pytest.fixture
def client(monkeypatch):
    """Makes a client of an outer application in which the plugin's entry is mounted, as Airflow does it."""
    from airflow.api_fastapi.common.db.common import _get_session
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from airflow_celery_kit.api.lazy import Lazy

    def make(manager: Manager, session: Session = NO_LOOK):
        monkeypatch.setattr("airflow.api_fastapi.core_api.security.get_auth_manager", lambda: manager)
        monkeypatch.setattr("airflow.models.dag.DagModel.get_team_name", lambda dag_id: None)
        outer, mounted = FastAPI(), Lazy()
        outer.state.auth_manager, outer.state.dag_bag = manager, None
        outer.mount("/kit/v1", mounted)
        asking = TestClient(outer)
        asking.get("/kit/v1/")
        assert mounted.app.state.auth_manager is manager
        mounted.app.dependency_overrides[_get_session] = lambda: session
        asking.routes = [
            (method, f"/kit/v1{route.path}")
            for route in mounted.app.routes
            if route.path not in OPEN
            for method in route.methods
        ]
        return asking

    return make


KNOWN = {"Authorization": "Bearer known"}


def answers(asking, headers=None) -> set[int]:
    """What all routes answer; what is asked for in a path is not there."""
    named = str.maketrans({"{": "", "}": ""})
    paths = [
        (method, path.replace("{id}", str(uuid.uuid4())).replace(":path", "").translate(named))
        for method, path in asking.routes
    ]
    return {asking.request(method, path, headers=headers).status_code for method, path in paths}


def test_every_route_asks_for_a_login_then_for_the_permission(client):
    stranger, manager = client(Manager(allowed=False)), Manager(allowed=False)
    assert set(stranger.routes) >= {
        ("GET", "/kit/v1/queues"),
        ("GET", "/kit/v1/metrics"),
        ("POST", "/kit/v1/tasks/{id}/cancel"),
    }
    assert answers(stranger) == {401}
    assert answers(stranger, {"Authorization": "Bearer x"}) == {403}
    assert answers(client(manager), KNOWN) == {403}
    assert {user for _, user in manager.asked} == {"somebody"}
    assert {what for what, _ in manager.asked} == {
        "CLUSTER_ACTIVITY",
        "DOCS",
        "GET TASK_INSTANCE",
        "GET RUN",
        "PUT TASK_INSTANCE",
        "PUT POOL",
        "PUT RUN",
        "POST RUN",
    }


def test_no_page_of_the_framework_answers_everybody(client):
    stranger = client(Manager(allowed=False))
    assert [stranger.get(f"/kit/v1/{page}").status_code for page in ("docs", "redoc", "openapi.json")] == [
        404,
        404,
        401,
    ]


def test_a_fresh_look_is_given_out_as_it_was_seen(client):
    said = client(Manager(allowed=True), Session(AT, 1.2, FACTS)).get("/kit/v1/queues", headers=KNOWN).json()
    assert said == {"at": AT.isoformat(), "age_seconds": 1.2, "stale": False, "reason": ""} | FACTS


def test_an_old_look_says_that_it_is_old_and_what_it_saw(client):
    said = client(Manager(allowed=True), Session(AT, 31.0, FACTS)).get("/kit/v1/queues", headers=KNOWN).json()
    assert said["stale"] and said["queues"] == FACTS["queues"]
    assert "31 s old" in said["reason"] and "kit logs airflow-controller" in said["reason"]


def test_without_any_look_there_is_a_sentence_and_nothing_invented(client):
    said = client(Manager(allowed=True)).get("/kit/v1/queues", headers=KNOWN).json()
    assert (said["stale"], said["at"], said["age_seconds"], said["queues"], said["delivered"]) == (
        True, None, None, [], None
    )  # fmt: skip
    assert said["reason"] == snapshot.NEVER


def samples(client) -> dict[tuple[str, ...], float]:
    """Every sample that Prometheus would read, by name and values of its labels."""
    answer = client.get("/kit/v1/metrics", headers=KNOWN)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = list(text_string_to_metric_families(answer.text))
    assert all(one.documentation for one in families)
    assert {one.name: one.type for one in families} == {
        name.removesuffix("_total"): one.kind for name, one in FAMILIES.items()
    }  # fmt: skip
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_prometheus_reads_the_look_of_each_request(client):
    session = Session(AT, 1.2, FACTS)
    asking = client(Manager(allowed=True), session)
    found = samples(asking)
    assert found["kit_queue_messages", "default", "3"] == 12
    assert found["kit_queue_oldest_seconds", "default", "3"] == 41.5
    assert found["kit_queue_scheduled_tasks", "default"] == 28
    assert found["kit_queue_scheduled_oldest_seconds", "default"] == 63.2
    assert found["kit_queue_slots", "default"] == 4
    assert found["kit_messages_unacknowledged",] == 4
    assert found["kit_queue_workers", "default"] == 1 and found["kit_queue_workers", "heavy"] == 0
    assert (
        found["kit_worker_up", "airflow-worker-1"] == 1 and found["kit_worker_held_messages", "airflow-worker-1"] == 4
    )
    assert found["kit_queues_seen_timestamp_seconds",] == AT.timestamp()
    session.row = (AT, 1.2, {"queues": [], "delivered": 0})
    assert samples(asking) == {
        ("kit_messages_unacknowledged",): 0,
        ("kit_queues_seen_timestamp_seconds",): AT.timestamp(),
        ("kit_health_seen_timestamp_seconds",): 0,
    }  # fmt: skip


def test_empty_steps_are_nought_and_what_nobody_knows_is_left_out(client):
    found = samples(client(Manager(allowed=True), Session(AT, 1.2, FACTS)))
    assert [found["kit_queue_messages", "default", str(step)] for step in range(10)] == [0, 0, 0, 12] + [0] * 6
    assert found["kit_queue_oldest_seconds", "default", "0"] == 0
    assert found["kit_queue_messages", "heavy", "9"] == 1
    assert found["kit_queue_scheduled_oldest_seconds", "heavy"] == 0
    assert ("kit_queue_oldest_seconds", "heavy", "9") not in found
    assert ("kit_queue_slots", "heavy") not in found


def test_metrics_without_a_look_have_the_times_alone(client):
    times = ("kit_queues_seen_timestamp_seconds", "kit_health_seen_timestamp_seconds")
    assert samples(client(Manager(allowed=True))) == {(name,): 0 for name in times}


def test_labels_cannot_break_the_format(client):
    odd = Session(AT, 1.2, {"queues": [QUEUE | {"queue": 'a"b\\c\nd', "steps": []}], "delivered": 0})
    assert samples(client(Manager(allowed=True), odd))["kit_queue_slots", 'a"b\\c\nd'] == 4


@pytest.mark.parametrize(("age", "stale"), [(0.0, False), (30.0, False), (30.1, True)])
def test_a_look_is_stale_after_half_a_minute(age, stale):
    assert Snapshot(AT, age, FACTS).stale == stale


def test_every_route_is_documented(client, repository: Path):
    page = (repository / "docs" / "reference" / "rest.md").read_text()
    routes = [(method, path.replace(":path", "")) for method, path in client(Manager(allowed=True)).routes]
    routes += [("GET", f"/kit/v1{path}") for path in OPEN]
    assert [route for route in routes if f"## {' '.join(route)}\n" not in page] == []


def test_two_routes_ask_for_no_login_and_say_no_reason(client, monkeypatch):
    seen = Session(datetime.now(UTC), 1.0, {"verdicts": [verdict(state="Degraded", why="hush")]})
    monkeypatch.setattr("airflow_celery_kit.api.health.KEPT_SECONDS", 0.0)
    monkeypatch.setattr("airflow.utils.session.create_session", lambda **_: nullcontext(seen))
    asking = client(Manager(allowed=False), seen)
    for path, said in (("live", "Healthy"), ("ready", "Degraded")):
        answer = asking.get(f"/kit/v1/health/{path}")
        assert (answer.status_code, answer.json()) == (
            200,
            {"state": said} | ({"judged": True} if path == "ready" else {}),
        )
    late = Session(datetime.now(UTC), 31.0, {"verdicts": []})
    monkeypatch.setattr("airflow.utils.session.create_session", lambda **_: nullcontext(NO_LOOK))
    assert asking.get("/kit/v1/health/ready").status_code == 200, "tasks run where no controller ever was"
    for unready in (
        late,
        Session(datetime.now(UTC), 1.0, {"verdicts": [verdict(state="Unhealthy", vital=True)]}),
    ):
        monkeypatch.setattr("airflow.utils.session.create_session", lambda unready=unready, **_: nullcontext(unready))
        answer = asking.get("/kit/v1/health/ready")
        assert (answer.status_code, answer.json()) == (503, {"state": "Unhealthy", "judged": True})


def verdict(**more) -> dict:
    """A verdict as it is stored."""
    return {
        "check": "broker",
        "subject": "broker",
        "state": "Healthy",
        "since": 0.0,
        "why": "",
        "cure": "",
        "vital": False,
    } | more


def test_health_is_told_with_reasons_to_who_may_see_it(client):
    one = verdict(state="Unhealthy", why="it is full")
    answer = client(
        Manager(allowed=True), Session(datetime.now(UTC), 1.0, {"verdicts": [verdict(check="a"), one]})
    ).get("/kit/v1/health", headers=KNOWN)
    said = answer.json()
    assert (said["state"], said["ready"], said["stale"]) == ("Unhealthy", True, False)
    assert [(each["check"], each["why"], each["since"][:10]) for each in said["verdicts"]] == [
        ("broker", "it is full", "1970-01-01"),
        ("a", "", "1970-01-01"),
    ]


@pytest.mark.parametrize(
    ("session", "ready"), [(NO_LOOK, True), (Session(datetime.now(UTC), 31.0, {"verdicts": [verdict()]}), False)]
)
def test_verdicts_that_nobody_renews_are_unhealthy(client, session, ready):
    said = client(Manager(allowed=True), session).get("/kit/v1/health", headers=KNOWN).json()
    assert (said["state"], said["ready"], said["stale"]) == ("Unhealthy", ready, True)
    assert said["reason"] == said["verdicts"][0]["why"] and said["verdicts"][0]["check"] == "health"
