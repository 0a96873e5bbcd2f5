"""Health over REST: what the controller judged, for people and for load balancers; and what the api-server says of itself."""

import contextlib
import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import psycopg2

from airflow_celery_kit import versions
from airflow_celery_kit.core.health import State, Verdict
from tests.contract.servers import wait_for

# What a load balancer is told may be as old.
KEPT_SECONDS = 1.0
# While the database does not say what was judged.
UNKNOWN = {"state": "Unhealthy", "judged": False}


def verdict(state: State, check: str = "broker", vital: bool = False) -> Verdict:
    """A verdict of five minutes ago."""
    return Verdict(check, check, state, time.time() - 300, "it is full", "make room", vital)


def word(server, which: str, timeout: float = 5.0) -> tuple[int, dict]:
    """What a load balancer is told."""
    answer = httpx.get(f"{server.api.base_url}/kit/v1/health/{which}", trust_env=False, timeout=timeout)
    return answer.status_code, answer.json()


def test_verdicts_are_told_the_worst_first_with_reason_and_cure(server, judged):
    judged(verdict(State.HEALTHY, "api-server"), verdict(State.UNHEALTHY), verdict(State.DEGRADED, "clock"))
    said = server.kit("/health").raise_for_status().json()
    assert (said["state"], said["ready"], said["stale"]) == ("Unhealthy", True, False)
    assert [one["check"] for one in said["verdicts"]] == ["broker", "clock", "api-server"]
    assert (said["verdicts"][0]["why"], said["verdicts"][0]["cure"]) == ("it is full", "make room")


def test_a_load_balancer_hears_a_word_and_no_more(server, judged):
    def ready() -> tuple[int, dict]:
        time.sleep(KEPT_SECONDS)
        return word(server, "ready")

    said = {"state": "Unhealthy", "judged": True}
    assert ready() == (200, said | {"judged": False}), "tasks run without a controller, too"
    judged(verdict(State.UNHEALTHY))
    assert ready() == (200, said)
    judged(verdict(State.UNHEALTHY, vital=True))
    assert ready() == (503, said)
    judged(verdict(State.HEALTHY), age=31)
    assert ready() == (503, said)
    assert word(server, "live") == (200, {"state": "Healthy"})


def test_many_who_ask_at_once_share_one_question_and_nobody_hears_a_false_word(server, judged):
    judged(verdict(State.HEALTHY))
    time.sleep(KEPT_SECONDS)
    look = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%kit.seen%%'"
    with (
        ThreadPoolExecutor(40) as pool,
        contextlib.closing(psycopg2.connect(server.stack.address("airflow", "airflow"))) as slow,
        slow.cursor() as cursor,
    ):
        cursor.execute("LOCK TABLE kit.seen")
        asking = [pool.submit(word, server, "ready") for _ in range(40)]
        time.sleep(2)
        waiting = server.query(look)
        slow.rollback()
        assert {(status, said["state"]) for status, said in (one.result() for one in asking)} == {(200, "Healthy")}
    assert waiting == [(1,)]


def test_load_balancers_hear_a_word_also_while_all_threads_wait_for_the_database(server, judged):
    judged(verdict(State.HEALTHY))

    def wait() -> None:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{server.api.base_url}/api/v2/monitor/health", trust_env=False, timeout=15)

    ((backend,),) = server.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    main = psutil.Process(backend).parent()
    frozen = [main, *main.children()]
    for process in frozen:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        with ThreadPoolExecutor(60) as pool:
            # More than the server has threads for requests.
            waiting = [pool.submit(wait) for _ in range(60)]
            time.sleep(2)
            for which, known in (("live", (200, {"state": "Healthy"})), ("ready", (503, UNKNOWN))):
                begun = time.monotonic()
                assert word(server, which, timeout=10) == known
                assert time.monotonic() - begun < 7
            assert not all(one.done() for one in waiting)
            many = list(pool.map(lambda _: word(server, "ready", timeout=15)[0], range(20)))
            assert set(many) == {503}
    finally:
        for process in frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
    wait_for("a database that answers again", lambda: word(server, "ready")[0] == 200, 60)


def test_verdicts_are_for_who_may_see_them(server, judged):
    judged(verdict(State.HEALTHY))
    assert httpx.get(f"{server.api.base_url}/kit/v1/health", trust_env=False).status_code == 401
    for role, status in (("Public", 403), ("Viewer", 200)):
        assert server.user(f"health-{role}", role).get("/kit/v1/health").status_code == status


def test_the_api_server_says_which_versions_it_has_and_no_secret(server):
    ((service, instance, facts),) = server.query(
        "SELECT service, instance, facts FROM kit.service WHERE service <> 'salt'"
    )
    assert (service, instance, facts["versions"]) == ("airflow-apiserver", "airflow-apiserver-1", versions.installed())
    secrets = facts["secrets"]
    assert (
        set(secrets["hashes"]) == {"Fernet key", "JWT secret", "session key"}
        and secrets["exposed"] == secrets["weak"] == []
    )
    settings = server.stack.settings
    assert not any(settings[name] in json.dumps(facts) for name in ("FERNET_KEY", "JWT_SECRET", "API_SECRET_KEY"))
