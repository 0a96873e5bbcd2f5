"""What `kit run` says of a run: what is tried again and when, and why Airflow refuses it."""

import json
from datetime import datetime

import httpx
import pytest

from airflow_celery_kit import dag_runs
from airflow_celery_kit.clients import Airflow
from airflow_celery_kit.dag_retries import LOOKS, MOST, Retries
from airflow_celery_kit.dag_runs import Progress
from airflow_celery_kit.errors import BadInputError

MINUTE = {"__type": "TimeDelta", "days": 0, "seconds": 60, "microseconds": 0}
FAILED = {"task_id": "a", "map_index": -1, "try_number": 1, "state": "up_for_retry", "end_date": "2026-01-31T12:00:00Z"}
RECORD = {"task_id": "a", "map_index": -1, "attempt": 1, "error": "Traceback\nNameError: name 'x' is not defined"}


# On the shell's clock.
NEXT = f"{datetime.fromisoformat('2026-01-31T12:01:00+00:00').astimezone():%H:%M:%S}"


@pytest.fixture
def api(settings):
    """A client of an api-server that answers what `answers` holds by path, and 404 to the rest; `asked` notes the paths."""
    made = Airflow(settings)
    made.asked, made.answers = [], {}

    def answer(request):
        path = request.url.path.removeprefix("/api/v2").removeprefix("/kit/v1")
        made.asked.append(path)
        status, body = made.answers.get(path, (404, {"detail": "Not Found"}))
        return httpx.Response(status, text=json.dumps(body))

    made.http = httpx.Client(base_url="http://here", transport=httpx.MockTransport(answer))
    return made


def told(retries, *tasks):
    """What one look says."""
    return list(retries.lines(Progress("dag", "r1", "running", tasks, None)))


def test_a_try_that_failed_is_told_once_with_its_error_and_the_time_of_the_next(api):
    api.answers = {
        "/tasks": (200, {"tasks": [RECORD]}),
        "/dags/dag/tasks": (
            200,
            {"tasks": [{"task_id": "a", "retry_delay": MINUTE, "retry_exponential_backoff": 0.0}]},
        ),
    }
    retries = Retries(api, "dag", "r1")
    assert told(retries, FAILED | {"state": "running"}) == [] and api.asked == []
    assert told(retries, FAILED) == [f"a failed (NameError: name 'x' is not defined), tried again at {NEXT}"]
    assert told(retries, FAILED) == []
    second = FAILED | {"try_number": 2}
    assert [told(retries, second) for _ in range(LOOKS)][LOOKS - 2 :] == [[], [f"a failed, tried again at {NEXT}"]]


def test_a_try_that_was_followed_before_its_error_was_known_is_told_all_the_same(api):
    retries = Retries(api, "dag", "r1")
    assert told(retries, FAILED) == []
    assert told(retries, FAILED | {"state": "running", "try_number": 2}) == ["a failed, tried again later"]
    assert told(retries, FAILED | {"state": "running", "try_number": 2}) == []


def test_where_no_journal_tells_errors_and_nobody_the_time_it_is_told_all_the_same(api):
    retries = Retries(api, "dag", "r1")
    assert [told(retries, FAILED | {"map_index": 0}) for _ in range(LOOKS)][-1] == ["a[0] failed, tried again later"]


def test_a_time_that_grows_from_try_to_try_is_not_guessed(api):
    grows = {"task_id": "a", "retry_delay": MINUTE, "retry_exponential_backoff": 2.0}
    api.answers = {"/tasks": (200, {"tasks": [RECORD]}), "/dags/dag/tasks": (200, {"tasks": [grows]})}
    (line,) = told(Retries(api, "dag", "r1"), FAILED)
    assert line.endswith("tried again later")


def test_many_that_fail_do_not_fill_the_screen(api):
    retries = Retries(api, "dag", "r1")
    many = [FAILED | {"map_index": number} for number in range(3 * MOST)]
    lines = [line for _ in range(LOOKS + 2) for line in told(retries, *many)]
    assert len(lines) == MOST + 1 and lines[-1] == "more tasks fail and are tried again"


def test_an_unknown_dag_is_refused_with_some_that_are_there_and_how_many_more(api):
    api.answers = {
        "/dags": (200, {"dags": [{"dag_id": "a"}, {"dag_id": "b"}], "total_entries": 14}),
        "/importErrors": (200, {"import_errors": []}),
    }
    with pytest.raises(BadInputError, match=r"known: a, b and 12 more \('kit airflow -- dags list'\)$"):
        dag_runs.trigger(api, "nope", {})
    api.answers["/dags"] = (200, {"dags": [{"dag_id": "a"}], "total_entries": 1})
    with pytest.raises(BadInputError, match="known: a$"):
        dag_runs.trigger(api, "nope", {})


def test_parameters_that_are_refused_are_refused_in_one_line(api):
    dump = "Invalid input for param size: 'x' is not of type 'integer'\n\nFailed validating 'type' in schema:\n    {}"
    api.answers = {"/dags/dag": (200, {"is_paused": False}), "/dags/dag/dagRuns": (400, {"detail": dump})}
    with pytest.raises(BadInputError, match="is not of type 'integer'$"):
        dag_runs.trigger(api, "dag", {"size": "x"})
