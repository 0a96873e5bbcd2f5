"""Runs in: the command line; what the lines of the services' logs say: when, how urgent, which text. Pure.

Airflow, Celery, Flower, PostgreSQL, Valkey, Prometheus, Grafana and the controller each write in a way of their own. A line that begins in
none of these ways, such as one of a stack trace, belongs to the one before.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

LEVELS = ("debug", "info", "warning", "error", "critical")
# Other words for the same.
SAME = {
    "d": "debug", "i": "info", "w": "warning", "e": "error", "c": "critical", "warn": "warning", "crit": "critical", "exception": "error",
    "log": "info", "notice": "info", "hint": "info", "detail": "info", "statement": "info", "fatal": "critical", "panic": "critical",
    ".": "debug", "-": "info", "*": "info", "#": "warning",
}  # fmt: skip
TIME = r"(?P<at>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?)"
FORMS = (
    # Airflow, PostgreSQL, Celery and the supervisor.
    re.compile(rf"{TIME} \[(?P<level>[a-z]+) *\] (?P<text>.*)", re.DOTALL),
    re.compile(rf"{TIME} \[\d+\] (?:\S{{1,200}} )?(?P<level>[A-Z]+)\d*: +(?P<text>.*)", re.DOTALL),
    re.compile(rf"\[{TIME}: (?P<level>\w+)/[^\]]*\] (?P<text>.*)", re.DOTALL),
    re.compile(rf"{TIME} (?P<level>[A-Z]{{4,8}}) (?P<text>.*)", re.DOTALL),
    # Prometheus and Grafana.
    re.compile(
        rf'(?:logger=\S{{1,200}} )?(?:time|ts|t)="?{TIME}"? (?:caller=\S{{1,200}} )?level=(?P<level>\w+) (?P<text>.*)',
        re.DOTALL,
    ),
)
# Flower's and Valkey's times.
OTHER_FORMS = (
    (re.compile(r"\[(?P<level>[DIWEC]) (?P<at>\d{6} \d\d:\d\d:\d\d) [^\]]*\] (?P<text>.*)", re.DOTALL), "%y%m%d %H:%M:%S"),
    (re.compile(r"\d+:[A-Z] (?P<at>\d+ \w+ \d{4} \d\d:\d\d:\d\d\.\d+) (?P<level>[-.*#]) (?P<text>.*)", re.DOTALL), "%d %b %Y %H:%M:%S.%f"),
)  # fmt: skip
TIMES, WORDS = ("at", "timestamp"), ("event", "message")
AGO = re.compile(r"(\d+)([smhd])")
# A year beyond these has times that another zone cannot say.
YEARS = range(1970, 9999)
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Entry:
    """What one service said at once. `level` is one of LEVELS, `at` has a zone; a text may have several lines."""

    at: datetime
    level: str
    instance: str
    text: str

    def as_dict(self) -> dict[str, str]:
        """Return it as JSON has it."""
        return {"at": self.at.isoformat(), "level": self.level, "instance": self.instance, "text": self.text}


@dataclass(frozen=True)
class Wanted:
    """What is looked for: words in any case, from a time on, up to a time, and how urgent it is at least."""

    search: str = ""
    since: datetime | None = None
    until: datetime | None = None
    level: str = LEVELS[0]

    def takes(self, entry: Entry) -> bool:
        """Return whether an entry is one of those."""
        return (
            LEVELS.index(entry.level) >= LEVELS.index(self.level)
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at <= self.until)
            and self.search.casefold() in entry.text.casefold()
        )


def moment(said: str, now: datetime) -> datetime:
    """Return the time that a person means: `90s`, `15m`, `2h`, `3d` ago, or a time of ISO 8601, in the zone of `now`.

    Raises ValueError, OverflowError.
    """
    if found := AGO.fullmatch(said):
        return now - timedelta(**{UNITS[found[2]]: int(found[1])})
    at = datetime.fromisoformat(said)
    return at if at.tzinfo else at.replace(tzinfo=now.tzinfo)


def entries(instance: str, lines: Iterable[str], zone: Any = UTC) -> Iterator[Entry]:
    """Yield what a service said, in its order. `zone` is that of times that name none. What comes before the first time is left out."""
    head: tuple[datetime, str] | None = None
    words: list[str] = []
    for line in lines:
        if found := begins(line.rstrip("\r\n"), zone):
            if head:
                yield Entry(*head, instance, "\n".join(words))
            head, words = found[:2], [found[2]]
        else:
            words.append(line.rstrip("\r\n"))
    if head:
        yield Entry(*head, instance, "\n".join(words))


def begins(line: str, zone: Any) -> tuple[datetime, str, str] | None:
    """Return time, level and text of a line that begins an entry, None of one that only looks like that."""
    try:
        found = of_json(line, zone) if line.startswith("{") else of_words(line, zone)
    except (ValueError, OverflowError, RecursionError):
        return None
    return found if found and found[0].year in YEARS else None


def of_words(line: str, zone: Any) -> tuple[datetime, str, str] | None:
    """Return the same of a line that is no JSON. Raises ValueError for a time that is none."""
    for form in FORMS:
        if found := form.match(line):
            return time_of(found["at"], zone), level_of(found["level"]), found["text"]
    for form, how in OTHER_FORMS:
        if found := form.match(line):
            at = datetime.strptime(found["at"], how)
            return at.replace(tzinfo=zone), level_of(found["level"]), found["text"]
    return None


def of_json(line: str, zone: Any) -> tuple[datetime, str, str] | None:
    """Return the same of a line of JSON. Raises ValueError for one that is none, RecursionError."""
    said: Mapping[str, Any] = json.loads(line)
    at = next((str(said[name]) for name in TIMES if name in said), None)
    word = next((str(said[name]) for name in WORDS if name in said), None)
    if at is None or word is None:
        return None
    more = [f"{name}={value}" for name, value in said.items() if name not in (*TIMES, *WORDS, "level")]
    return time_of(at, zone), level_of(str(said.get("level", "info"))), " ".join([word, *more])


def time_of(said: str, zone: Any) -> datetime:
    """Return a time of a log. Raises ValueError."""
    at = datetime.fromisoformat(said.replace(",", ".").replace(" UTC", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=zone)


def level_of(word: str) -> str:
    """Return one of LEVELS; what nobody knows is plain information."""
    known = word.lower()
    return known if known in LEVELS else SAME.get(known, "info")
