"""Runs in: contract tests; endpoints and databases that tasks use, real servers with real faults."""

import contextlib
import datetime
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_celery_kit.core.health import State
from airflow_celery_kit.health import looking
from airflow_celery_kit.health.endpoint import Endpoint, PlainEndpoint
from airflow_celery_kit.health.reachable import Reachable
from tests.contract.servers import free_ports

ON_WHEELS_ALONE = True
GOOD = {"Allow": "OPTIONS, GET, POST", "Accept": "application/json, text/*"}


def certificate(folder: Path, name: str, days: int) -> Path:
    """A certificate that signs itself, for so many days from yesterday, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begun = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=100)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(begun).not_valid_after(begun + datetime.timedelta(days=100 + days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{name}{days}.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@contextlib.contextmanager
def server(
    status: int = 200, wait: float = 0.0, headers: dict[str, str] | None = None, file: Path | None = None
) -> Iterator[int]:
    """An HTTP server that answers everything alike; with a certificate it speaks TLS. Gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            time.sleep(wait)
            self.send_response(status)
            for name, value in (GOOD if headers is None else headers).items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made.server_port
    finally:
        made.shutdown()
        made.server_close()


class Plain(Endpoint):
    """One that need not be encrypted."""

    plain = True


def look(check: Endpoint):
    """The one finding."""
    (one,) = check.look()
    return one


@pytest.mark.parametrize(
    ("how", "state", "why"),
    [
        ({}, State.HEALTHY, "200 after"),
        ({"status": 204}, State.HEALTHY, "204 after"),
        ({"status": 301}, State.DEGRADED, "301 after"),
        ({"status": 503}, State.DEGRADED, "503 after"),
        ({"wait": 0.9}, State.DEGRADED, "200 after"),
        ({"headers": {}}, State.DEGRADED, "no header"),
        ({"status": 500}, State.UNHEALTHY, "500 after"),
        ({"wait": 2.0}, State.UNHEALTHY, "no answer within 1 s"),
        ({"status": 404}, State.GONE, "404 after"),
        ({"headers": GOOD | {"Allow": "GET"}}, State.GONE, "it allows GET, not POST"),
        ({"headers": GOOD | {"Accept": "text/html"}}, State.GONE, "it accepts text/html, not application/json"),
        ({"headers": GOOD | {"Accept": "*/*;q=0.1"}}, State.HEALTHY, "200 after"),
    ],
)
def test_an_answer_is_judged_as_the_specification_says(how, state, why):
    with server(**how) as port:
        one = look(Plain("shop", f"http://127.0.0.1:{port}/orders", "POST", "application/json", seconds=1.0))
    assert (one.state, why in one.why) == (state, True), one.why


def test_a_name_that_nobody_knows_and_a_port_that_nobody_has_are_unhealthy():
    (port,) = free_ports(1)
    for url in (f"http://127.0.0.1:{port}/", "http://nobody.invalid/"):
        assert look(Plain("shop", url)).state == State.UNHEALTHY


@contextlib.contextmanager
def dripping(said: bytes) -> Iterator[int]:
    """A server that never comes to an end: a byte now and then. Gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        over = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.sendall(said)
                    while not over.wait(0.1):
                        client.sendall(b"x")

        threading.Thread(target=drip, daemon=True).start()
        yield listener.getsockname()[1]
        over.set()


def test_an_answer_that_drips_is_late_however_much_of_it_came():
    with dripping(b"HTTP/1.1 200 OK\r\nX-Long: ") as port:
        begun = time.monotonic()
        one = look(Plain("shop", f"http://127.0.0.1:{port}/", seconds=1.0))
        took = time.monotonic() - begun
    assert one.state == State.UNHEALTHY and took < 2


def test_a_port_that_speaks_something_else_is_unhealthy():
    with dripping(b"J\0\0\0\n8.0.36\0\n") as port:
        (one,) = looking.look(Plain("shop", f"http://127.0.0.1:{port}/", seconds=1.0), {})
    assert one.state == State.UNHEALTHY and one.why.startswith("BadStatusLine") and "\0" not in one.why


@pytest.mark.parametrize("password", ["100%sure", "p@ss", "s3cr/et"])
def test_an_address_that_cannot_be_read_is_refused_and_not_repeated(password):
    with pytest.raises(ValueError, match="cannot be read") as refused:
        Reachable("warehouse", f"postgresql://reader:{password}@warehouse.example/sales")
    assert not set(re.split(r"[%@/]", password)) & set(re.split(r"\W", str(refused.value)))


def test_a_certificate_is_looked_at(tmp_path):
    good, late, other = (
        certificate(tmp_path, *one) for one in (("localhost", 10), ("localhost", -1), ("elsewhere.example", 10))
    )
    states = {}
    for name, file in (("good", good), ("late", late), ("other", other)):
        with server(file=file) as port:
            check = Endpoint("shop", f"https://localhost:{port}/", seconds=3.0)
            check.context = ssl.create_default_context(cafile=str(file))
            states[name] = look(check)
            states[f"{name}, not trusted"] = look(Endpoint("shop", f"https://localhost:{port}/", seconds=3.0))
    assert {name: str(one.state) for name, one in states.items()} == {
        name: "Healthy" if name == "good" else "Insecure" for name in states
    }  # fmt: skip
    assert "expired" in states["late"].why and "self-signed" in states["good, not trusted"].why


@contextlib.contextmanager
def breaking_off(said: bytes) -> Iterator[int]:
    """A server that says this to whoever greets it, and closes. Gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def close() -> None:
            with contextlib.suppress(OSError):
                client, _ = listener.accept()
                with client:
                    client.recv(65536)
                    client.sendall(said)

        threading.Thread(target=close, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "EOF"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "WRONG_VERSION_NUMBER"),
        # An alert of TLS 1.2: fatal, handshake failure.
        (b"\x15\x03\x03\x00\x02\x02\x28", "HANDSHAKE_FAILURE"),
    ],
)
def test_a_handshake_that_breaks_off_says_nothing_of_a_certificate_and_is_unhealthy(said, why):
    with breaking_off(said) as port:
        one = look(Endpoint("shop", f"https://localhost:{port}/", seconds=3.0))
    assert (one.state, why in one.why, "TLS" in one.cure) == (State.UNHEALTHY, True, True), one


def test_what_is_not_encrypted_is_insecure_unless_that_is_meant():
    with server() as port:
        assert look(Endpoint("shop", f"http://127.0.0.1:{port}/")).state == State.INSECURE
        assert look(PlainEndpoint("shop", f"http://127.0.0.1:{port}/")).state != State.INSECURE
    assert look(Endpoint("shop", f"http://127.0.0.1:{port}/")).state == State.UNHEALTHY, "nobody listens there any more"


def test_a_database_is_reached_or_not(measured):
    settings = measured.settings
    place = f"@127.0.0.1:{settings['POSTGRES_PORT']}/celery"
    (port,) = free_ports(1)
    seen = {
        address: look(Reachable("warehouse", address)).state
        for address in (
            f"postgresql+psycopg2://celery:{settings['CELERY_DB_PASSWORD']}{place}", f"postgresql://celery:wrong{place}", f"postgresql://celery@127.0.0.1:{port}/celery",
        )
    }  # fmt: skip
    assert list(seen.values()) == [State.HEALTHY, State.GONE, State.UNHEALTHY]
