"""Runs in: your shell; `kit health`: what the leading controller has judged, or a look of its own where nobody can say."""

import json
import sys
import time
from typing import Any

import click
import httpx

from airflow_celery_kit.cli.display import ERR, OUT, print_json
from airflow_celery_kit.cli.health_lines import Verdicts
from airflow_celery_kit.cli.machine_commands import json_option
from airflow_celery_kit.cli.stack_commands import opened
from airflow_celery_kit.cli.visible import visible
from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.core.health import State, Verdict, report
from airflow_celery_kit.errors import KitError, NotRunningError
from airflow_celery_kit.runtimes.base import Runtime
from airflow_celery_kit.settings import Settings

SECONDS = 6.0
LOOK = ["python", "-m", "airflow_celery_kit.health.main"]
CURE = "see 'kit status'"


@click.command()
@json_option
@click.option("--ready", "only", flag_value="ready", help="Whether tasks can run, in a word; as a load balancer asks.")
@click.option("--live", "only", flag_value="live", help="Whether the api-server answers, in a word.")
@click.pass_obj
def health(choice: Any, as_json: bool, only: str | None) -> None:
    """Show how well every part is: since when, why, what to do; the worst first. Exit code 1 when one is Unhealthy."""
    settings, runtime = opened(choice)
    found = word(settings, only) if only else judged(settings, runtime)
    if as_json:
        print_json(found)
    elif only:
        OUT.print(found["state"])
    else:
        if found["reason"]:
            ERR.print(visible(found["reason"]), markup=False)
        OUT.print(Verdicts(found))
    sys.exit(not found["ready"] if only else State(found["state"]).fails)


def word(settings: Settings, which: str) -> dict[str, Any]:
    """Return the state that the api-server says without a login; Unhealthy where it does not answer."""
    try:
        answer = httpx.get(f"{settings.url('AIRFLOW_PORT')}/kit/v1/health/{which}", timeout=SECONDS, trust_env=False)
        return {"state": answer.json()["state"], "ready": answer.status_code == 200}
    except (httpx.HTTPError, ValueError, KeyError):
        return {"state": str(State.UNHEALTHY), "ready": False}


def judged(settings: Settings, runtime: Runtime, api: Airflow | None = None) -> dict[str, Any]:
    """Return the controller's verdicts; where they are old, or the api-server does not say, those of a look made for this call.

    `api` is a client that has logged in.
    """
    try:
        found = (api or Airflow(settings, SECONDS)).kit("/health")
        reason = found["reason"]
    # A login too is refused while Airflow's database is away.
    except (KitError, httpx.HTTPError, ValueError, KeyError) as problem:
        found, reason = None, f"the api-server does not say: {briefly(problem)}"
    if found and not found["stale"]:
        return found
    return looked(runtime, reason, [one for one in (found or {}).get("verdicts", ()) if one["check"] == "health"])


def briefly(problem: Exception) -> str:
    """Return why the api-server does not say, in one line; what Airflow itself answers then may hold a statement."""
    if isinstance(problem, httpx.HTTPStatusError):
        return f"it answers {problem.response.status_code}"
    if isinstance(problem, NotRunningError):
        return "it does not answer, as while it starts"
    return " ".join(str(problem).split()) or type(problem).__name__


def looked(runtime: Runtime, reason: str, more: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a look made where the controller runs; `reason` says why nobody else was believed."""
    try:
        said = json.loads(runtime.ask("airflow-controller", LOOK).splitlines()[-1])
        verdicts = [Verdict.of(one) for one in said["verdicts"]]
    except NotRunningError:
        raise
    except (KitError, ValueError, IndexError, KeyError) as problem:
        verdicts = [
            Verdict("health", "health", State.UNHEALTHY, time.time(), f"nobody can look: {problem}", CURE, vital=True)
        ]
        more = []
    found = report(verdicts)
    if more:
        worse = State(found["state"]).fails
        found |= {
            "state": found["state"] if worse else str(State.UNHEALTHY),
            "ready": False,
            "verdicts": more + found["verdicts"],
        }
    return found | {"at": None, "age_seconds": 0.0, "stale": True, "reason": reason}


COMMANDS = (health,)
