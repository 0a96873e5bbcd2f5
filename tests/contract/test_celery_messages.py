"""Celery and the broker end to end, without Airflow: priorities, credentials, and what a message shows of its task."""

import base64
import json
import subprocess
import sys
import time

import pytest
from celery import Celery
from redis.exceptions import AuthenticationError

from airflow_celery_kit.probes import broker
from airflow_celery_kit.scheduler import router
from airflow_celery_kit.scheduler.gate import OPEN_SECONDS, Gate
from airflow_celery_kit.scheduler.router import route

QUEUE = "contract"
TOKEN = "eyJhbGciOiJIUzUxMiJ9.secret-bearer-token.signature"
WORKLOAD = json.dumps(
    {
        "type": "ExecuteTask",
        "token": TOKEN,
        "ti": {"dag_id": "sales", "run_id": "r1", "task_id": "load", "map_index": 2, "try_number": 1},
    }
)


@pytest.fixture
def app(publisher) -> Celery:
    """A Celery app with the kit's credentials, transport options and router, as its settings module puts them together."""
    publisher.conf.update(
        task_routes=(route,), task_default_queue=QUEUE, task_send_sent_event=True, broker_connection_retry=False
    )
    return publisher


def step(priority: int) -> str:
    """The list that the transport keeps for a priority."""
    return f"{QUEUE}\x06\x16{priority}" if priority else QUEUE


def publish(app, priority: int, text: str = WORKLOAD) -> None:
    """Send one task as Airflow's executor does, and let no connection linger."""
    app.send_task("execute_workload", args=[text], queue=QUEUE, priority=priority)


def test_each_priority_has_a_list_of_its_own(stack, app):
    for priority in range(10):
        for _ in range(priority + 1):
            publish(app, priority)
    assert [stack.valkey.llen(step(priority)) for priority in range(10)] == list(range(1, 11))


@pytest.mark.parametrize(("weight", "expected"), [(1, 9), (4, 7), (512, 0)])
def test_a_task_s_weight_puts_its_message_into_a_list(stack, app, weight, expected):
    workload = json.loads(WORKLOAD)
    workload["ti"]["priority_weight"] = weight
    app.send_task("execute_workload", args=[json.dumps(workload)], queue=QUEUE)
    assert [number for number in range(10) if stack.valkey.llen(step(number))] == [expected]


def test_the_most_urgent_message_is_delivered_first_whatever_was_sent_first(app):
    for priority in (9, 3, 0, 7, 3):
        publish(app, priority, json.dumps(priority))
    with app.connection_for_read() as connection, connection.SimpleQueue(QUEUE) as queue:
        delivered = [queue.get(timeout=5) for _ in range(5)]
        assert [json.loads(message.payload[0][0]) for message in delivered] == [0, 3, 3, 7, 9]
        for message in delivered:
            message.ack()


def test_a_message_shows_dag_run_and_task_and_holds_its_token_in_the_body_alone(stack, app):
    publish(app, 4)
    (raw,) = stack.valkey.lrange(step(4), 0, -1)
    message = json.loads(raw)
    assert message["headers"]["argsrepr"] == "sales/r1/load[2]"
    assert message["headers"]["kwargsrepr"] == "{}"
    body = base64.b64decode(message.pop("body")).decode()
    assert TOKEN in body
    assert TOKEN not in json.dumps(message)


def test_no_event_that_others_hear_holds_the_token(stack, app):
    heard = stack.valkey.pubsub()
    heard.psubscribe("*")
    assert heard.get_message(timeout=5)["type"] == "psubscribe"
    publish(app, 0)
    event = heard.get_message(timeout=5)
    assert TOKEN in WORKLOAD
    assert TOKEN not in event["data"]
    spoken = base64.b64decode(json.loads(event["data"])["body"]).decode()
    assert '"type": "task-sent"' in spoken and "sales/r1/load[2]" in spoken
    assert TOKEN not in spoken
    heard.close()


def test_the_kits_whole_celery_settings_keep_the_providers_and_add_the_kits(stack, tmp_path):
    """In a process of its own, because the settings module works when it is imported."""
    code = """
from airflow_celery_kit.worker.celery_settings import CELERY_CONFIG as made
import json
names = ("broker_url", "broker_user", "broker_transport_options", "task_acks_late", "worker_prefetch_multiplier", "task_default_queue")
print(json.dumps({name: made[name] for name in names} | {"same": made["broker_password"] == open(PASSWORD).read()}))
"""
    file = stack.settings.secrets / "valkey_password"
    variables = {
        "AIRFLOW_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "KIT_BROKER_PASSWORD_FILE": str(file),
        "AIRFLOW__CELERY__BROKER_URL": "redis://valkey:6379/0", "AIRFLOW__OPERATORS__DEFAULT_QUEUE": "default",
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
    }  # fmt: skip
    said = subprocess.run(
        [sys.executable, "-c", code.replace("PASSWORD", repr(str(file)))],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()[-1]
    found = json.loads(said)
    assert found["broker_url"] == "redis://valkey:6379/0"
    assert (found["broker_user"], found["same"]) == ("airflow", True)
    options = found["broker_transport_options"]
    assert (options["priority_steps"], options["queue_order_strategy"]) == (list(range(10)), "priority")
    assert options["visibility_timeout"] == 86400
    assert (found["task_acks_late"], found["worker_prefetch_multiplier"]) == (True, 1), (
        "no task waits behind another on a worker"
    )
    assert found["task_default_queue"] == "default"


def test_a_message_costs_less_than_a_fifth_of_a_millisecond_with_the_looks_at_the_broker(stack, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", f"redis://127.0.0.1:{stack.settings['VALKEY_PORT']}/0")
    monkeypatch.setenv("KIT_BROKER_PASSWORD_FILE", str(stack.settings.secrets / "valkey_password"))
    asked = []
    monkeypatch.setattr(router, "GATE", Gate(lambda: asked.append(broker.write_from_environment())))
    begun, until, messages = time.thread_time(), time.monotonic() + 3 * OPEN_SECONDS, 0
    while time.monotonic() < until:
        route("execute_workload", [WORKLOAD], {}, {"queue": QUEUE})
        messages += 1
    assert len(asked) >= 3
    assert (time.thread_time() - begun) / messages < 0.0002


def test_without_credentials_the_broker_lets_no_celery_in(stack):
    celery = Celery("stranger", broker=f"redis://127.0.0.1:{stack.settings['VALKEY_PORT']}/0", set_as_current=False)
    with celery.connection_for_write() as connection, pytest.raises(AuthenticationError):
        connection.channel()
    assert stack.valkey.llen(QUEUE) == 0
