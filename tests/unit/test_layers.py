"""The api-server's layers that stand aside: a request through them gets the answer that it gets through Airflow's own."""

import base64
import time

import jwt
import pytest

from airflow_celery_kit.api import layers

SECRET = "a-secret-of-this-test-" * 4
LIFE = 600.0


def token(age: float, life: float = LIFE, **claims: object) -> str:
    """Return a task's token that was made so many seconds ago."""
    made = time.time() - age
    held = {"sub": "00000000-0000-0000-0000-000000000000", "iat": made, "nbf": made, "exp": made + life, "aud": "tasks"}
    return jwt.encode(held | claims, SECRET, algorithm="HS512")


def client():
    """Return a client of an application with Airflow's layers around one route that says what the log would name."""
    import structlog
    import svcs
    from airflow.api_fastapi.auth.tokens import JWTGenerator, JWTValidator
    from airflow.api_fastapi.execution_api.app import CorrelationIdMiddleware, JWTReissueMiddleware
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    app = FastAPI()
    app.state.svcs_registry = svcs.Registry()
    common = {"secret_key": SECRET, "algorithm": "HS512"}
    generator = JWTGenerator(valid_for=LIFE, audience="tasks", **common)
    app.state.svcs_registry.register_value(JWTGenerator, generator)
    app.state.svcs_registry.register_value(
        JWTValidator, JWTValidator(audience="tasks", secret_key=SECRET, algorithm=["HS512"], required_claims={"exp", "iat", "aud"})
    )  # fmt: skip
    app.add_middleware(CorrelationIdMiddleware)
    app.add_middleware(JWTReissueMiddleware)

    @app.get("/")
    def named() -> dict:
        return {"named": structlog.contextvars.get_contextvars().get("correlation_id")}

    return TestClient(app)


@pytest.fixture
def changed(monkeypatch):
    """Make the changes, and take them back at the end; return how often Airflow's own layer renewed a login, and a token."""
    from airflow.api_fastapi.auth.middlewares.refresh_token import JWTRefreshMiddleware
    from airflow.api_fastapi.execution_api.app import CorrelationIdMiddleware, JWTReissueMiddleware
    from cadwyn.middleware import VersionPickingMiddleware

    asked = []
    stock = JWTReissueMiddleware.dispatch

    async def noted(self, request, call_next):
        asked.append(request.url.path)
        return await stock(self, request, call_next)

    monkeypatch.setattr(JWTReissueMiddleware, "dispatch", noted)
    for layer in (JWTRefreshMiddleware, CorrelationIdMiddleware, JWTReissueMiddleware, VersionPickingMiddleware):
        monkeypatch.setattr(layer, "__call__", layer.__call__, raising=False)

    def change() -> list:
        monkeypatch.setattr(layers.patching, "fit", lambda *_: True)
        layers.install()
        return asked

    return change


def requests() -> dict[str, dict[str, str]]:
    """Return the headers of each kind of request, with tokens made now."""
    return {
        "nothing": {},
        "a name": {"correlation-id": "abc-1"},
        "fresh": {"authorization": f"Bearer {token(age=10)}", "correlation-id": "abc-2"},
        "old": {"authorization": f"Bearer {token(age=LIFE * 0.9)}"},
        "nearly old": {"authorization": f"Bearer {token(age=LIFE * 0.8 + 5)}"},
        "over": {"authorization": f"Bearer {token(age=LIFE + 60)}"},
        "waits in a queue": {"authorization": f"Bearer {token(age=LIFE * 0.9, scope='workload')}"},
        "forged": {"authorization": f"Bearer {token(age=LIFE * 0.9)[:-4]}aaaa"},
        "no token": {"authorization": "Bearer nonsense"},
        "no claims": {"authorization": f"Bearer {jwt.encode({'sub': 'x'}, SECRET, algorithm='HS512')}"},
        "other login": {"authorization": "Basic YTpi"},
        "huge": {"authorization": "Bearer " + unsigned(b'{"exp": 1' + b"0" * 400 + b', "iat": 1}')},
        "deep": {"authorization": "Bearer " + unsigned(b"[" * 2000)},
    }


def unsigned(payload: bytes) -> str:
    """Return what looks like a token."""
    return f"e30.{base64.urlsafe_b64encode(payload).decode().rstrip('=')}.abc"


RENEWED = {"old", "nearly old"}


def answers(asking) -> dict:
    """Return what each request is answered, and whether its token was renewed."""
    given = {name: asking.get("/", headers=headers) for name, headers in requests().items()}
    return {
        name: (one.status_code, one.json(), one.headers.get("correlation-id"), "refreshed-api-token" in one.headers)
        for name, one in given.items()
    }


def test_every_request_is_answered_as_airflow_answers_it(changed):
    stock = answers(client())
    assert {name for name, (*_, renewed) in stock.items() if renewed} == RENEWED
    assert stock["a name"][1:3] == ({"named": "abc-1"}, "abc-1")
    changed()
    assert answers(client()) == stock


def test_airflow_is_asked_where_a_token_may_be_renewed_and_nowhere_else(changed):
    asked = changed()
    asking = client()
    left_out = {"nothing", "a name", "fresh", "other login"}
    for name, headers in requests().items():
        before = len(asked)
        asking.get("/", headers=headers)
        assert (len(asked) == before) == (name in left_out), name


@pytest.mark.parametrize(("cookies", "looked_for"), [({}, []), ({"_token": "abc"}, ["abc"]), ({"other": "x"}, [])])
def test_a_login_is_looked_for_in_a_cookie_and_airflow_asked_only_where_there_is_one(
    changed, monkeypatch, cookies, looked_for
):
    from airflow.api_fastapi.auth.middlewares.refresh_token import JWTRefreshMiddleware
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    asked, found = [], []

    async def refresh(token):
        found.append(token)
        return None, None

    stock = JWTRefreshMiddleware.dispatch

    async def noted(self, request, call_next):
        asked.append(request.url.path)
        return await stock(self, request, call_next)

    monkeypatch.setattr(JWTRefreshMiddleware, "_refresh_user", staticmethod(refresh))
    monkeypatch.setattr(JWTRefreshMiddleware, "dispatch", noted)
    changed()
    app = FastAPI()
    app.add_middleware(JWTRefreshMiddleware)
    assert TestClient(app, cookies=cookies).get("/").status_code == 404
    assert (asked, found) == (["/"] if cookies else [], looked_for)


PARAMETER = "Airflow-API-Version"
# Each as a header, none at all in the end: both versions, one between them, one before and one after, and what is no version.
NAMED = ("2026-01-01", "2026-06-01", "2026-03-03", "2020-01-01", "2030-01-01", "head", "no version", "", None)


def versioned_client():
    """Return a client of an application with two versions, which says in which one it answers, and how many tasks stood around the answer."""
    import asyncio
    from contextvars import ContextVar

    from cadwyn import Cadwyn, HeadVersion, Version, VersionBundle, VersionedAPIRouter
    from fastapi.testclient import TestClient

    named: ContextVar[object] = ContextVar("api_version", default=None)
    bundle = VersionBundle(HeadVersion(), Version("2026-06-01"), Version("2026-01-01"), api_version_var=named)
    router = VersionedAPIRouter()

    @router.get("/")
    async def answer() -> dict:
        return {"version": str(named.get()), "task": asyncio.current_task().get_name()}

    app = Cadwyn(versions=bundle, api_version_parameter_name=PARAMETER, api_version_default_value="2026-01-01")
    app.generate_and_include_versioned_routers(router)
    return TestClient(app, raise_server_exceptions=False)


def versions(asking) -> list:
    """Return what is answered to each version that a request may name."""
    given = [asking.get("/", headers={} if name is None else {PARAMETER: name}) for name in NAMED]
    return [
        (one.status_code, one.json().get("version", one.json()), one.headers.get_list(PARAMETER), one.headers["content-type"])
        for one in given
    ]  # fmt: skip


def test_a_call_is_answered_in_the_version_that_it_names(changed):
    stock = versions(versioned_client())
    assert [status for status, *_ in stock].count(200) >= 3
    changed()
    assert versions(versioned_client()) == stock


def test_a_call_that_names_its_version_runs_in_no_task_of_its_own(changed):
    def task() -> str:
        return versioned_client().get("/", headers={PARAMETER: "2026-06-01"}).json()["task"]

    assert "call_next" in task()
    changed()
    assert "call_next" not in task()


def test_a_layer_that_chooses_otherwise_is_left_alone(changed):
    from cadwyn import Cadwyn, HeadVersion, Version, VersionBundle, VersionedAPIRouter
    from cadwyn.middleware import VersionPickingMiddleware
    from fastapi.testclient import TestClient

    class Counting(VersionPickingMiddleware):
        seen = 0

        async def dispatch(self, request, call_next):
            Counting.seen += 1
            return await super().dispatch(request, call_next)

    changed()
    app = Cadwyn(
        versions=VersionBundle(HeadVersion(), Version("2026-06-01")),
        api_version_parameter_name=PARAMETER,
        versioning_middleware_class=Counting,
    )
    app.generate_and_include_versioned_routers(VersionedAPIRouter())
    TestClient(app).get("/", headers={PARAMETER: "2026-06-01"})
    assert Counting.seen == 1


def test_an_answer_that_fails_fails_as_ever(changed):
    def failing() -> tuple:
        from cadwyn import Cadwyn, HeadVersion, Version, VersionBundle, VersionedAPIRouter
        from fastapi.testclient import TestClient

        app = Cadwyn(versions=VersionBundle(HeadVersion(), Version("2026-06-01")), api_version_parameter_name=PARAMETER)
        router = VersionedAPIRouter()

        @router.get("/")
        def fail() -> None:
            raise ValueError("no")

        app.generate_and_include_versioned_routers(router)
        given = TestClient(app, raise_server_exceptions=False).get("/", headers={PARAMETER: "2026-06-01"})
        return given.status_code, given.text

    stock = failing()
    assert stock[0] == 500
    changed()
    assert failing() == stock
