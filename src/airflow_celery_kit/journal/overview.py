"""Runs in: airflow-apiserver; what is open, and what has ended in each minute of the last hour.

The page asks for it every few seconds, and at a thousand tasks a minute an hour is sixty thousand rows: what ended some minutes ago, which
hardly changes, is counted once a minute, and only the rest each time.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_celery_kit.core.journal.statuses import Status

MINUTES = 60
# What has ended more minutes ago than this is settled.
UNSETTLED_MINUTES = 3
# Users who see different Dags.
MOST_AUDIENCES = 64

ENDED = """
SELECT date_trunc('minute', completed_at), status, count(*) FROM journal.task
WHERE dag_id = ANY(:visible) AND completed_at >= :first AND completed_at < :last GROUP BY 1, 2
"""
# What has no minute is open now, or was lost of late because no disk took it.
FRESH = f"""
{ENDED} UNION ALL
SELECT NULL, status, count(*) FROM journal.task
WHERE dag_id = ANY(:visible) AND status IN ('PENDING', 'QUEUED', 'RECEIVED', 'PROCESSING') GROUP BY status UNION ALL
SELECT NULL, 'lost', coalesce(sum(CASE jsonb_typeof(facts -> 'lost') WHEN 'number' THEN least((facts ->> 'lost')::numeric, 1e9) END), 0)::bigint
FROM journal.event WHERE kind = 'gap' AND at > now() - interval '7 days'
"""
COLUMNS = {"SUCCESS": "done", "NO_DATA": "done", "FAILURE": "failed", "TIMEOUT": "failed", "RETRY": "failed"}

Rows = Sequence[Any]
Ask = Callable[[str, Mapping[str, Any]], Rows]


@dataclass
class Overview:
    """Counts by `ask`, which runs a query and returns its rows."""

    ask: Ask
    settled: dict[tuple[str, ...], tuple[datetime, Rows]] = field(default_factory=dict)

    def look(self, visible: Sequence[str], now: datetime | None = None) -> dict[str, Any]:
        """Return how many attempts of visible Dags are in each status, how many ended in each minute, and how many events were lost.

        Of what has ended it is the last hour's.
        """
        minute = (now or datetime.now(UTC)).replace(second=0, microsecond=0)
        since = minute - timedelta(minutes=UNSETTLED_MINUTES)
        fresh = self.ask(FRESH, {"visible": list(visible), "first": since, "last": minute + timedelta(days=1)})
        rows = [*self._settled(tuple(visible), since, minute), *fresh]
        counts: Counter[str] = Counter()
        for _, status, number in rows:
            counts[status] += number
        return {
            "statuses": {str(status): counts[str(status)] for status in Status},
            "minutes": columns(minute, rows),
            "lost": counts["lost"],
        }

    def _settled(self, visible: tuple[str, ...], since: datetime, minute: datetime) -> Rows:
        """Return what ended earlier in the hour, asked for once in each minute."""
        if (known := self.settled.get(visible)) and known[0] == since:
            return known[1]
        if len(self.settled) >= MOST_AUDIENCES:
            self.settled.clear()
        first = minute - timedelta(minutes=MINUTES - 1)
        rows = self.ask(ENDED, {"visible": list(visible), "first": first, "last": since})
        self.settled[visible] = since, rows
        return rows


def columns(minute: datetime, rows: Rows) -> list[dict[str, Any]]:
    """Return how many attempts were done and how many failed in each minute of the hour that ends with `minute`."""
    first = minute - timedelta(minutes=MINUTES - 1)
    found = {first + timedelta(minutes=number): {"done": 0, "failed": 0} for number in range(MINUTES)}
    for at, status, number in rows:
        if at in found and (column := COLUMNS.get(status)):
            found[at][column] += number
    return [{"at": at.isoformat()} | numbers for at, numbers in found.items()]
