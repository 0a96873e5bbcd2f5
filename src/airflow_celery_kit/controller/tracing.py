"""Runs in: airflow-controller; tells a collector of OpenTelemetry, once an attempt has ended, what it waited for and how long it ran.

Where the collector stands is told as in Airflow's own services, by OTEL_EXPORTER_OTLP_ENDPOINT; what it does not take is told again, for a day.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_celery_kit import instance
from airflow_celery_kit.core.journal.spans import Span, parent_of, spans

SWITCH = "AIRFLOW__TRACES__OTEL_ON"
EVERY_SECONDS, AWAY_SECONDS = 5.0, 60.0
MOST = 500
# Other chores wait meanwhile.
PATIENCE_SECONDS = 2.0
ENDED = "SELECT journal.to_trace(%s)"
# What an attempt has from Airflow; of one that another one follows it is in the history.
CARRIERS = """
SELECT id::text, context_carrier FROM task_instance WHERE id = ANY(%(ids)s::uuid[])
UNION ALL SELECT task_instance_id::text, context_carrier FROM task_instance_history WHERE task_instance_id = ANY(%(ids)s::uuid[])
"""
TOLD = "SELECT journal.were_traced(%s::uuid[])"

Export = Callable[[Sequence[Span]], bool]


def is_on(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether Airflow's services trace what they do."""
    return environment.get(SWITCH, "").lower() in ("true", "t", "1")


class Tracing:
    """Tells `export` of ended attempts. It is asked for when the first is to be told: libraries are loaded by whoever traces alone."""

    def __init__(self, export: Callable[[], Export], say: Callable[..., None]) -> None:
        self.make, self.say = export, say
        self.export: Export | None = None
        self.due = float("-inf")

    def look(self, metadata: Any, journal: Any, now: float) -> int:
        """Tell of what has ended and return how many attempts that were. `now` is steady, in seconds. Raises psycopg2.Error."""
        if now < self.due:
            return 0
        with journal, journal.cursor() as cursor:
            cursor.execute(ENDED, (MOST,))
            tasks = {task["id"]: task for (task,) in cursor.fetchall()}
        found = [span for id, carrier in carriers(metadata, list(tasks)) if (span := of(tasks[id], carrier))]
        told = self._tell([span for some in found for span in some]) if found else True
        self.due = now + (EVERY_SECONDS if told else AWAY_SECONDS)
        if not told:
            self.say("traces_wait", attempts=len(found), because="the collector does not take them")
        with journal, journal.cursor() as cursor:
            cursor.execute(TOLD, (list(tasks) if told else [],))
        return len(found) if told else 0

    def _tell(self, found: Sequence[Span]) -> bool:
        self.export = self.export or self.make()
        return self.export(found)


def of(task: Mapping[str, Any], carrier: Any) -> list[Span]:
    """Return an attempt's spans, none where it is not to be traced."""
    parent = parent_of(carrier)
    return spans(task, parent) if parent else []


def carriers(metadata: Any, ids: list[str]) -> list[tuple[str, Any]]:
    """Return what Airflow gave these attempts. Raises psycopg2.Error."""
    if not ids:
        return []
    with metadata, metadata.cursor() as cursor:
        cursor.execute(CARRIERS, {"ids": ids})
        found: list[tuple[str, Any]] = cursor.fetchall()
        return found


def exporter() -> Export:
    """Return what sends spans by OTLP over HTTP, to where the environment says (OpenTelemetry's own variables)."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExportResult

    sender = OTLPSpanExporter(timeout=PATIENCE_SECONDS)
    resource = Resource.create({"service.instance.id": instance.name()})
    return lambda found: sender.export([readable(one, resource) for one in found]) is SpanExportResult.SUCCESS


def readable(span: Span, resource: Any) -> Any:
    """Return a span as OpenTelemetry's SDK has it."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

    known = [
        SpanContext(span.trace, id, is_remote, TraceFlags(1))
        for id, is_remote in ((span.id, False), (span.parent, True))
    ]
    return ReadableSpan(
        span.name, *known, resource=resource, attributes=dict(span.attributes),
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=span.begun, end_time=span.ended, instrumentation_scope=InstrumentationScope("airflow_celery_kit"),
    )  # fmt: skip
