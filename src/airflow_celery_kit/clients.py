"""Runs in: the command line; the two HTTP services of a running stack, with the logins of `.env`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from airflow_celery_kit.errors import BadInputError, KitError, NotRunningError
from airflow_celery_kit.settings import Settings

SECONDS = 20.0
# Who asks for the queues can do without the answer.
QUEUES_SECONDS = 3.0


@dataclass
class Airflow:
    """The REST API of the stack's api-server, as its administrator; `seconds` is how long it may take to answer."""

    settings: Settings
    seconds: float = SECONDS

    @cached_property
    def http(self) -> httpx.Client:
        """A client that has logged in. Raises NotRunningError when nobody answers, BadInputError on a wrong password."""
        client = httpx.Client(base_url=self.settings.url("AIRFLOW_PORT"), timeout=self.seconds, trust_env=False)
        login = {"username": self.settings["AIRFLOW_ADMIN_USER"], "password": self.settings["AIRFLOW_ADMIN_PASSWORD"]}
        try:
            answer = client.post("/auth/token", json=login)
        except httpx.TransportError as problem:
            raise NotRunningError(
                f"the stack is not up (nothing answers on {client.base_url}): run 'kit up'"
            ) from problem
        if answer.status_code == 401:
            raise BadInputError(
                "Airflow refuses the login in .env: its password was changed in the UI; put the new one into .env"
            )
        answer.raise_for_status()
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return client

    def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Return the JSON below `/api/v2`. Raises httpx.HTTPStatusError, and NotRunningError when nobody answers."""
        return self._json("GET", f"/api/v2{path}", params=parameters)

    def kit(self, path: str, **parameters: Any) -> dict[str, Any]:
        """Return the JSON below `/kit/v1`. Raises httpx.HTTPStatusError, and NotRunningError when nobody answers."""
        return self._json("GET", f"/kit/v1{path}", params=parameters)

    def kit_post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send JSON below `/kit/v1` and return the answer. Raises as `kit` does."""
        return self._json("POST", f"/kit/v1{path}", json=body)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send JSON below `/api/v2` and return the answer. Raises httpx.HTTPStatusError."""
        return self._json("POST", f"/api/v2{path}", json=body)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change what is below `/api/v2` and return the answer. Raises httpx.HTTPStatusError."""
        return self._json("PATCH", f"/api/v2{path}", json=body)

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            answer = self.http.request(method, path, **request)
        except httpx.TransportError as problem:
            raise NotRunningError(f"Airflow does not answer on {self.http.base_url}: see 'kit status'") from problem
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@dataclass(frozen=True)
class Worker:
    """A worker that is registered with the broker: its Celery name, its queues and its slots."""

    name: str
    queues: tuple[str, ...]
    slots: int


def registered_workers(settings: Settings) -> list[Worker] | None:
    """Return the workers that answer over the broker now, None when Flower, which asks them, does not answer."""
    login = (settings["FLOWER_USER"], settings["FLOWER_PASSWORD"])
    try:
        with httpx.Client(base_url=settings.url("FLOWER_PORT"), auth=login, timeout=SECONDS, trust_env=False) as client:
            alive = client.get("/api/workers", params={"status": "1"}).raise_for_status().json()
            known = client.get("/api/workers", params={"refresh": "1"}).raise_for_status().json()
    except (httpx.HTTPError, ValueError):
        return None
    return sorted(
        (_worker(name, known[name]) for name, online in alive.items() if online and known.get(name, {}).get("stats")),
        key=lambda worker: worker.name,
    )


def _worker(name: str, known: Mapping[str, Any]) -> Worker:
    queues = tuple(queue["name"] for queue in known.get("active_queues", ()))
    return Worker(name.removeprefix("celery@"), queues, int(known["stats"]["pool"]["max-concurrency"]))


@dataclass(frozen=True)
class Queues:
    """What waits in the broker, one entry a queue as `GET /kit/v1/queues` gives it; `unknown` says why nobody knows.

    `resting` are the live workers that take no task because somebody said so.
    """

    seen: tuple[dict[str, Any], ...] = ()
    unknown: str = ""
    resting: tuple[str, ...] = ()


def waiting_queues(settings: Settings) -> Queues:
    """Return what the api-server knows of the queues; whatever goes wrong makes them unknown and raises nothing."""
    try:
        answer = Airflow(settings, QUEUES_SECONDS).kit("/queues")
        if answer["stale"]:
            return Queues(unknown=answer["reason"])
        resting = tuple(one["name"] for one in answer.get("workers", ()) if one.get("drained"))
        return Queues(tuple(answer["queues"]), resting=resting)
    except KitError as problem:
        return Queues(unknown=str(problem))
    except (httpx.HTTPError, ValueError, KeyError):
        return Queues(unknown="the api-server does not say what waits: see 'kit logs airflow-apiserver'")
