"""How a worker without its broker tells that it alone is, by what a real api-server says to anybody."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_celery_kit.api.health import KEPT_SECONDS
from airflow_celery_kit.core.health import State, Verdict
from airflow_celery_kit.worker import cut_off


def asked_at(base: str) -> str:
    """Why a worker is cut off whose api-server is there."""
    return cut_off.reason({cut_off.ADDRESS: f"{base}/execution/"})


def test_a_broker_that_is_away_for_all_is_no_fault_of_a_worker(server, judged):
    def says(what: str) -> None:
        # What `ready` says may be this old.
        time.sleep(KEPT_SECONDS)
        assert asked_at(server.api.base_url) == what

    says("")
    for state, what in ((State.HEALTHY, cut_off.ALONE), (State.UNHEALTHY, ""), (State.DEGRADED, cut_off.ALONE)):
        judged(Verdict("broker", "broker", state, time.time(), "it is away", "", vital=True))
        says(what)


def test_an_api_server_that_is_stopped_or_stands_still_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as still:
        address = f"http://127.0.0.1:{still.getsockname()[1]}"
        assert asked_at(address) == "", "it hears and does not answer"
    assert asked_at(address) == "", "nothing listens"


def test_whoever_finds_no_way_to_either_is_cut_off():
    assert asked_at("http://nowhere.invalid:8080") == cut_off.NOWHERE


@pytest.mark.parametrize(
    "authority", ["", ":1", "127.0.0.1", "a..b:80", "\udcff:80", f"{'a' * 64}:80", "127.0.0.1:70000", f"127.0.0.1:{'9' * 30}", "u:p@127.0.0.1:1"]
)  # fmt: skip
def test_what_cannot_be_asked_says_nothing(authority):
    assert asked_at(f"http://{authority}") == ""
    assert asked_at("https://127.0.0.1:1") == cut_off.reason({}) == ""


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 \xff\xfe no", b"HTTP/1.0 200 OK\r\n\r\n<html>", b"HTTP/1.0 200 OK\r\n\r\n[1]", b"\x15\x03\x01", b""]
)  # fmt: skip
def test_an_answer_of_something_else_says_nothing(answer):
    with socket.create_server(("127.0.0.1", 0)) as strange, ThreadPoolExecutor(1) as other:
        strange.settimeout(10)
        other.submit(answer_twice, strange, answer)
        assert asked_at(f"http://127.0.0.1:{strange.getsockname()[1]}") == ""


def answer_twice(server: socket.socket, answer: bytes) -> None:
    """Answer whoever connects, once it has asked."""
    for _ in range(2):
        with server.accept()[0] as connection:
            if connection.recv(1000):
                connection.sendall(answer)
