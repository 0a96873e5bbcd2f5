"""The health checks of api-server and Flower against a small real HTTP server that says what a test wants."""

import base64
import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.slack import PATIENCE, median_cpu, most_for_a_check

HEALTHY = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "unhealthy"}}
QUEUES = {"active_queues": [{"name": "default", "messages": 0}]}
LOGIN = "Basic " + base64.b64encode(b"ada:flower-password").decode()


class Site(BaseHTTPRequestHandler):
    """Answers every GET with what the server was told; Flower's page wants a login."""

    def do_GET(self):
        status, body, delay = self.server.answer
        if self.path == "/api/queues/length" and self.headers["Authorization"] != LOGIN:
            status, body = 401, b"who?"
        self.server.asked.append(self.path)
        for piece in [body] if not delay else [bytes([byte]) for byte in body]:
            if piece is body or piece == body[:1]:
                self.send_response(status)
                self.end_headers()
            self.server.stopping.wait(delay)
            self.wfile.write(piece)
            self.wfile.flush()

    def log_message(self, *_):
        """Keep quiet."""


@pytest.fixture
def site():
    """Serves on a free port; call it with what it shall answer, get the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.stopping, server.daemon_threads, server.asked = threading.Event(), True, []
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def say(body: object, status: int = 200, delay: float = 0.0) -> str:
            server.answer = (status, body if isinstance(body, bytes) else json.dumps(body).encode(), delay)
            return f"http://127.0.0.1:{server.server_port}"

        say.asked = server.asked
        yield say
        server.stopping.set()
        server.shutdown()


@pytest.fixture
def check(tmp_path):
    """Runs the check as Docker does; needs neither database nor broker."""
    (tmp_path / "password").write_text("flower-password\n")

    def run(kind: str, address: str, user: str = "ada") -> subprocess.CompletedProcess:
        variables = {
            "KIT_FLOWER_USER": user,
            "KIT_FLOWER_PASSWORD_FILE": str(tmp_path / "password"),
            "http_proxy": "http://127.0.0.1:9",
        }
        command = [sys.executable, "-m", "airflow_celery_kit.probes.http", kind, address]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)

    return run


def failed(ended: subprocess.CompletedProcess, said: str) -> None:
    """The check ended with 1 and one line."""
    assert (ended.returncode, ended.stderr) == (1, "")
    assert said in ended.stdout
    assert len(ended.stdout.splitlines()) == 1


def test_a_healthy_apiserver(check, site):
    ended = check("apiserver", site(HEALTHY))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert "/execution/health" in site.asked, "the side that tasks talk to is built on its first request"


def test_an_apiserver_that_does_not_reach_its_database(check, site):
    failed(check("apiserver", site({"metadatabase": {"status": "unhealthy"}})), "metadata database is unhealthy")


def test_flower_that_accepts_its_login_and_reads_the_broker(check, site):
    assert check("flower", site(QUEUES)).returncode == 0


def test_flower_that_refuses_its_login(check, site):
    failed(check("flower", site(QUEUES), user="eve"), "/api/queues/length answers 401")


def test_flower_that_knows_no_queues(check, site):
    failed(check("flower", site({"message": "away"})), "Flower knows no queues")


@pytest.mark.parametrize("kind", ["apiserver", "flower"])
def test_status_500(check, site, kind):
    failed(check(kind, site(HEALTHY | QUEUES, status=500)), "answers 500")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff\xfe", b"null", b"[]", b'{"metadatabase": null}'])
@pytest.mark.parametrize("kind", ["apiserver", "flower"])
def test_garbage_is_one_line(check, site, kind, body):
    failed(check(kind, site(body)), f"{kind}: ")


def test_nobody_listens(check, site):
    failed(check("apiserver", "http://127.0.0.1:1"), "refused")


@pytest.mark.parametrize("delay", [60.0, 0.8], ids=["silent", "a byte at a time"])
def test_a_slow_answer_is_given_up_before_docker_loses_patience(check, site, delay):
    begun = time.monotonic()
    ended = check("apiserver", site(HEALTHY, delay=delay))
    assert time.monotonic() - begun < 10 * PATIENCE
    failed(ended, "timed out")


def test_the_check_is_cheap(check, site):
    assert median_cpu(lambda: check("apiserver", site(HEALTHY))) <= most_for_a_check()
