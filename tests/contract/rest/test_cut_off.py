"""How a worker without its broker tells that it alone is, by what a real api-server says to anybody."""

import socket
import time

import pytest

from airflow_celery_kit.api.health import KEPT_SECONDS
from airflow_celery_kit.core.health import State, Verdict
from airflow_celery_kit.worker import cut_off
from tests.contract.servers import wait_for


def asked_at(base: str) -> str:
    """Why a worker is cut off whose api-server is there."""
    return cut_off.reason({cut_off.ADDRESS: f"{base}/execution/"})


@pytest.mark.parametrize(
    ("state", "said"), [(State.HEALTHY, cut_off.ALONE), (State.UNHEALTHY, "")], ids=["others have it", "nobody has it"]
)
def test_a_broker_that_is_away_for_all_is_no_fault_of_a_worker(server, judged, state, said):
    judged(Verdict("broker", "broker", state, time.time(), "it is away", "", vital=True))
    # What `ready` says may be this old.
    wait_for("its word", lambda: asked_at(server.api.base_url) == said, KEPT_SECONDS + 10)


def test_an_api_server_that_is_stopped_or_stands_still_says_nothing():
    with socket.create_server(("127.0.0.1", 0)) as still:
        address = f"http://127.0.0.1:{still.getsockname()[1]}"
        assert asked_at(address) == "", "it hears and does not answer"
    assert asked_at(address) == "", "nothing listens"


def test_whoever_finds_no_way_to_either_is_cut_off():
    assert asked_at("http://nowhere.invalid:8080") == cut_off.NOWHERE


@pytest.mark.parametrize("address", ["", "https://127.0.0.1:1/execution/", "http://127.0.0.1/execution/"])
def test_what_cannot_be_asked_says_nothing(address):
    assert cut_off.reason({cut_off.ADDRESS: address}) == ""
