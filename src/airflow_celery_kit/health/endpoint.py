"""Runs in: airflow-controller; an HTTP endpoint that tasks call: its name, its certificate, how fast it answers, what it allows."""

import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Timer
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from airflow_celery_kit.core.health import Cause, Finding, State
from airflow_celery_kit.health.check import Check

# Of the time that an answer may take.
NEARLY = 0.8
ASK = "ask those who run it"


@dataclass(frozen=True)
class Answer:
    """What came back, and after how many seconds."""

    status: int
    took: float
    headers: Mapping[str, str] = field(default_factory=dict)


class Endpoint(Check):
    """One request, `verb`, to `url`, and what its answer says of the `method` and `content_type` that tasks are about to use.

    `seconds` is how long looking up the name and answering may take together. `method` and `content_type` may be empty where nobody
    needs to know. What answers at an address that begins with `http://` is Insecure unless `plain` says that this is meant.
    """

    verb = "OPTIONS"
    plain = False
    # Whom to trust; None is whom the machine trusts.
    context: ssl.SSLContext | None = None

    causes: ClassVar = {
        "gone": Cause(State.GONE, "it answers 404", f"look whether the address is right; {ASK}"),
        "method": Cause(State.GONE, "its header `Allow` does not list the method", f"use another method; {ASK}"),
        "content type": Cause(
            State.GONE, "its header `Accept` does not list the content type", f"use another content type; {ASK}"
        ),
        "failed": Cause(State.UNHEALTHY, "it answers 500", ASK),
        "late": Cause(
            State.UNHEALTHY,
            "no answer came in time, its name is not known, or nobody listens there",
            f"look at the network; {ASK}",
        ),
        "handshake": Cause(
            State.UNHEALTHY,
            "its TLS handshake breaks off, as where it speaks something else, or an old TLS alone",
            f"look whether the address is right and speaks TLS; {ASK}",
        ),
        "insecure": Cause(
            State.INSECURE,
            "its certificate is not valid, or the connection is not encrypted",
            "do not send secrets there; have a valid certificate installed, or use `PlainEndpoint` where http is meant",
        ),
        "refused": Cause(State.DEGRADED, "it answers another status than 2xx", ASK),
        "slow": Cause(State.DEGRADED, f"it takes more than {NEARLY:.0%} of the time that it may take", ASK),
        "unsaid": Cause(
            State.DEGRADED,
            "its answer does not say whether the method or content type is allowed",
            "ask with `method=''` or `content_type=''` where it never does",
        ),
    }

    def __init__(self, name: str, url: str, method: str = "GET", content_type: str = "", seconds: float = 5.0) -> None:
        self.name = name  # type: ignore[misc]
        self.url, self.method, self.content_type = urlsplit(url), method.upper(), content_type.lower()
        self.seconds, self.deadline = seconds, seconds + 1.0

    def look(self) -> Iterable[Finding]:
        """Return one finding."""
        try:
            answer = ask(self.url, self.verb, self.seconds, self.context)
        except ssl.SSLCertVerificationError as problem:
            return [self.ill("insecure", f"{problem.reason or 'TLS'}: {problem.verify_message or problem}")]
        except ssl.SSLError as problem:
            return [self.ill("handshake", f"{problem.reason or 'TLS'}: {problem}")]
        except (OSError, HTTPException) as problem:
            return [self.ill("late", f"{type(problem).__name__}: {problem}")]
        found = self.of(answer)
        if self.url.scheme != "https" and not self.plain and not found.state.fails:
            return [self.ill("insecure", f"{self.url.scheme}:// is not encrypted; it answers {found.why}")]
        return [found]

    def of(self, answer: Answer) -> Finding:
        """Return what follows from an answer: the worst."""
        allowed, accepted = listed(answer, "allow"), listed(answer, "accept")
        said = f"{answer.status} after {answer.took * 1000:.0f} ms"
        checks = (
            ("gone", answer.status == 404, said),
            (
                "method",
                self.method and allowed and self.method.lower() not in allowed,
                f"it allows {', '.join(allowed).upper()}, not {self.method}",
            ),
            (
                "content type",
                self.content_type and accepted and not accepts(accepted, self.content_type),
                f"it accepts {', '.join(accepted)}, not {self.content_type}",
            ),
            ("failed", answer.status == 500, said),
            ("late", answer.took > self.seconds, said),
            ("refused", not 200 <= answer.status < 300, said),
            ("slow", answer.took > self.seconds * NEARLY, said),
            (
                "unsaid",
                (self.method and not allowed) or (self.content_type and not accepted),
                "no header `Allow` or `Accept`",
            ),
        )
        return next((self.ill(cause, why) for cause, is_so, why in checks if is_so), self.well(said))


class PlainEndpoint(Endpoint):
    """One whose address begins with `http://` on purpose, as on a network of its own."""

    plain = True


def ask(url: SplitResult, verb: str, seconds: float, context: ssl.SSLContext | None) -> Answer:
    """Send one request without a body. Raises ssl.SSLError, OSError or HTTPException; TimeoutError when the time is over, however it drips."""
    begun = time.monotonic()
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    # The name alone, so that a failure says so.
    socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    left = max(0.001, seconds - (time.monotonic() - begun))
    connection = (
        HTTPSConnection(host, port, timeout=left, context=context or ssl.create_default_context())
        if url.scheme == "https"
        else HTTPConnection(host, port, timeout=left)
    )
    try:
        with cut_off(connection, left):
            connection.request(verb, (url.path or "/") + (f"?{url.query}" if url.query else ""))
            answer = connection.getresponse()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, time.monotonic() - begun, headers)
    except (OSError, HTTPException) as problem:
        if isinstance(problem, TimeoutError) or time.monotonic() - begun >= seconds:
            raise TimeoutError(f"no answer within {seconds:g} s") from problem
        raise
    finally:
        connection.close()


@contextmanager
def cut_off(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """End a connection when the time is over: its own timeout begins again with each byte."""

    def end() -> None:
        with suppress(OSError, AttributeError):
            # Of the socket below TLS, which would want to say good-bye.
            socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    clock = Timer(seconds, end)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()


def listed(answer: Answer, header: str) -> list[str]:
    """Return what a header lists, in small letters and without parameters."""
    words = answer.headers.get(header, "").split(",")
    return [word.partition(";")[0].strip().lower() for word in words if word.strip()]


def accepts(accepted: list[str], content_type: str) -> bool:
    """Return whether a list of media ranges holds a content type (RFC 9110, section 12.5.1)."""
    kind = content_type.partition(";")[0].strip()
    return bool({kind, f"{kind.partition('/')[0]}/*", "*/*"} & set(accepted))
