"""Runs in: every process that reads config/housekeeping.yaml; pure: from the file's text to its limits, or to the line that is wrong."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from airflow_celery_kit.core.amounts import amount
from airflow_celery_kit.core.marks import told

# States in which a task still has something to do, or waits for it.
LIVE = (
    "scheduled", "queued", "running", "deferred", "awaiting_input", "up_for_retry", "up_for_reschedule", "restarting",
)  # fmt: skip
NEVER = "never"
UNITS = {"m": 60, "h": 3600, "d": 86400}
SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


class LimitsError(ValueError):
    """The limits cannot be used; the text names the line and says what to write."""


def age(word: str) -> float:
    """Return the seconds of an age such as `30m`, `12h`, `90d` or `never`. Raises ValueError."""
    if word == NEVER:
        return math.inf
    number, unit = amount(word, UNITS, 6, "is no age: write 30m, 12h, 90d or never")
    return float(number * UNITS[unit])


def size(word: str) -> float:
    """Return the bytes of a size such as `500MB`, `20GB` or `never`; MB is a million bytes. Raises ValueError."""
    if word == NEVER:
        return math.inf
    number, unit = amount(word, SIZES, 6, "is no size: write 500MB, 20GB or never")
    return float(number * SIZES[unit])


def share(word: str) -> float:
    """Return a share of a disk, 0 to 1, such as `90%`; `never` is none that can be reached. Raises ValueError."""
    if word == NEVER:
        return math.inf
    if not (found := re.fullmatch(r"([1-9]\d?)%", word)):
        raise ValueError(f"{word!r} is no share of a disk: write 90% or never")
    return int(found[1]) / 100


@dataclass(frozen=True)
class Limit:
    """One line of the file: its default, how it is read, what it means, and the least that may stand there."""

    name: str
    default: str
    read: Callable[[str], float]
    meaning: str
    least: str = ""


LIMITS = (
    Limit("every", "1h", age, "Between two rounds. A round that is not through is taken up again after a minute.", "1m"),
    Limit("results", "1d", age, "Results of Celery (`celery_taskmeta`), after they were written.", "1h"),
    Limit("sessions", "1d", age, "Sessions of the UI, after they have expired.", "1h"),
    Limit("runs", "365d", age, "Dag runs that have ended, with their task instances, attempts, deadlines and events of assets.", "1d"),
    Limit("xcoms", "365d", age, "XComs of Dag runs that have ended.", "1d"),
    Limit("audit", "365d", age, "Airflow's audit log (table `log`).", "1d"),
    Limit("jobs", "30d", age, "Airflow's own jobs, revoked tokens and tests of connections.", "1d"),
    Limit("logs", "30d", age, "Log files, after they were last written to.", "1h"),
    Limit("logs_size", "20GB", size, "All log files together; the least recently written go first."),
    Limit("logs_keep", "1d", age, "Log files that were written to since then stay, whatever the size or the disk says.", "10m"),
    Limit("disk", "90%", share, "How full the disk with the logs may be; above that logs go as if they were too large together."),
    Limit("keys", "1h", age, "Keys of the broker whose owner is gone, after the controller first saw them so.", "10m"),
    Limit("spool", "30d", age, "Events that the journal refused for good, after the last of them."),
)  # fmt: skip
BY_NAME = {limit.name: limit for limit in LIMITS}


@dataclass(frozen=True)
class Limits:
    """All limits; `words` are those that the file says, as they stand there."""

    words: Mapping[str, str] = field(default_factory=dict)

    def word(self, name: str) -> str:
        """Return a limit as it is written."""
        return self.words.get(name, BY_NAME[name].default)

    def __getitem__(self, name: str) -> float:
        """Return a limit as seconds, bytes, or a share of 1; infinite for `never`."""
        return BY_NAME[name].read(self.word(name))


def parse(text: str) -> Limits:
    """Return the limits in a file's text. Raises LimitsError that names the line of each mistake and says what to write there."""
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        raise LimitsError(f"line {mark.line + 1 if mark else 1}: {problem.problem}: write 'NAME: VALUE'") from problem
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise LimitsError(f"line 1: {str(problem).splitlines()[0]}") from problem
    if tree is None or (isinstance(tree, yaml.ScalarNode) and not tree.value):
        return Limits()
    if not isinstance(tree, yaml.MappingNode):
        raise LimitsError(f"line {tree.start_mark.line + 1}: that is no limit: write 'NAME: VALUE'")
    words: dict[str, str] = {}
    mistakes: list[tuple[tuple[int, int], str]] = []
    for name, value in tree.value:
        try:
            words |= _line(name, value, words)
        except LimitsError as problem:
            mistakes.append(((name.start_mark.line + 1, 1), str(problem)))
    if mistakes:
        raise LimitsError(told(mistakes))
    return Limits(words)


def _line(name: Any, value: Any, before: Mapping[str, str]) -> dict[str, str]:
    """Return what one line says. Raises LimitsError."""
    line, word = name.start_mark.line + 1, str(name.value)
    if word not in BY_NAME:
        raise LimitsError(f"line {line}: there is no limit {word!r}: write one of {', '.join(BY_NAME)}")
    if word in before:
        raise LimitsError(f"line {line}: {word} stands there twice: take one away")
    try:
        given = value.value if isinstance(value, yaml.ScalarNode) else "a list"
        return {word: _checked(BY_NAME[word], given)}
    except ValueError as problem:
        raise LimitsError(f"line {line}: {word}: {problem}") from problem


def _checked(limit: Limit, word: str) -> str:
    found = limit.read(word)
    if limit.least and found < limit.read(limit.least):
        raise ValueError(f"{word} is too soon: write {limit.least} or more")
    if limit.name == "every" and math.isinf(found):
        raise ValueError("that cannot be never: write never for what is to stay")
    return word
