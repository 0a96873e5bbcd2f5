"""The api-server's layers that stand aside: a request through them gets the answer that it gets through Airflow's own."""

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

    asked = []
    stock = JWTReissueMiddleware.dispatch

    async def noted(self, request, call_next):
        asked.append(request.url.path)
        return await stock(self, request, call_next)

    monkeypatch.setattr(JWTReissueMiddleware, "dispatch", noted)
    for layer in (JWTRefreshMiddleware, CorrelationIdMiddleware, JWTReissueMiddleware):
        monkeypatch.setattr(layer, "__call__", layer.__call__, raising=False)

    def change() -> list:
        monkeypatch.setattr(layers.patching, "fit", lambda *_: True)
        layers.install()
        return asked

    return change


REQUESTS = {
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
}
RENEWED = {"old", "nearly old"}


def answers(asking) -> dict:
    """Return what each request is answered, and whether its token was renewed."""
    given = {name: asking.get("/", headers=headers) for name, headers in REQUESTS.items()}
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
    for name, headers in REQUESTS.items():
        before = len(asked)
        asking.get("/", headers=headers)
        assert (len(asked) == before) == (name in left_out), name


@pytest.mark.parametrize(("cookie", "idle"), [("", True), ("_token=abc", False)])
def test_a_login_is_looked_for_where_there_is_a_cookie(cookie, idle):
    headers = [(b"host", b"here"), *([(b"cookie", cookie.encode())] if cookie else [])]
    assert layers.has_no_cookie({"headers": headers}) is idle
