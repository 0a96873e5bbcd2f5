"""Runs in: tests; a collector of OpenTelemetry that keeps what it is sent: OTLP over HTTP, decoded by the protocol's own classes."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Collector:
    """Every span that came, each with `service` and `scope`; `takes` says whether it takes any."""

    port: int = 0
    spans: list[dict[str, Any]] = field(default_factory=list)
    takes: bool = True

    @property
    def endpoint(self) -> str:
        """Its address, as an exporter wants it."""
        return f"http://127.0.0.1:{self.port}"

    def keep(self, body: bytes) -> None:
        """Decode one request."""
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {one.key: value_of(one.value) for one in group.resource.attributes}
            for scoped in group.scope_spans:
                self.spans += [plain(span, resource, scoped.scope.name) for span in scoped.spans]


def plain(span: Any, resource: dict[str, Any], scope: str) -> dict[str, Any]:
    """Return a span as plain data; ids in hexadecimal, times in seconds since 1970."""
    return {
        "name": span.name, "trace": span.trace_id.hex(), "id": span.span_id.hex(), "parent": span.parent_span_id.hex(),
        "begun": span.start_time_unix_nano / 1e9, "ended": span.end_time_unix_nano / 1e9, "status": span.status.code,
        "attributes": {one.key: value_of(one.value) for one in span.attributes}, "scope": scope,
        "instance": resource.get("service.instance.id"), "service": resource.get("service.name"),
    }  # fmt: skip


def value_of(value: Any) -> Any:
    """Return an attribute's value, whichever type it has."""
    return getattr(value, value.WhichOneof("value")) if value.WhichOneof("value") else None


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """Give a collector that listens on loopback."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        """Answers as the protocol says: an empty message, or 503."""

        def do_POST(self) -> None:
            """Take one request."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if found.takes and self.path == "/v1/traces":
                found.keep(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200 if found.takes else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        found.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()
