"""Runs in: `make bench`; what was measured: the lines of docs/reference/benchmarks.jsonl, and which of them count."""

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
EVIDENCE = FOLDER / "benchmarks.jsonl"
# In the order of the tables' columns.
KIT = "kit"
SIDES = ("stock", KIT)

# Student's t for 97.5 % by degrees of freedom; for many the normal distribution's.
MANY = 30
T_95 = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201, 12: 2.179,
    13: 2.160, 14: 2.145, 15: 2.131, 16: 2.120, 17: 2.110, 18: 2.101, 19: 2.093, MANY: 1.960,
}  # fmt: skip

Line = dict[str, Any]
# Figures by load, figure and side, in the order they were measured.
Seen = dict[tuple[str, str], dict[str, list[float]]]


def load(path: Path = EVIDENCE) -> list[Line]:
    """Return the lines that count of the last complete session of each load; nothing where there is no file yet."""
    every = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    lines = [line for line in every if line.get("counts", True)]
    sessions: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        sessions[line["load"], line["session"]].append(line)
    last = {letter: session for (letter, session), found in sessions.items() if complete(found)}
    return [line for line in lines if line["session"] == last.get(line["load"])]


def complete(session: list[Line]) -> bool:
    """Return whether every side that a session meant to measure (`sides`, both in older lines) has every pair (`of`).

    Lines without that number are older than it and count as they are.
    """
    meant = session[0].get("of")
    sides = session[0].get("sides", SIDES)
    seen = {(line["side"], line["pair"]) for line in session}
    return meant is None or seen >= {(side, pair) for side in sides for pair in range(1, meant + 1)}


def collect(lines: list[Line]) -> Seen:
    """Return the figures sorted by what they measure."""
    found: Seen = defaultdict(lambda: defaultdict(list))
    for line in lines:
        for name, value in line["figures"].items():
            found[line["load"], name][line["side"]].append(value)
    return found


def median(seen: Seen, letter: str, figure: str, side: str) -> float | None:
    """Return the median of one side's figure, None where it was not measured."""
    values = seen.get((letter, figure), {}).get(side)
    return statistics.median(values) if values else None


def beside(sides: dict[str, list[float]]) -> list[float]:
    """Return the figures of what the kit is compared with: stock, where a load names nothing else."""
    return next((values for name, values in sides.items() if name != KIT), [])


def ratio(sides: dict[str, list[float]]) -> float | None:
    """Return the median of the kit's figure over the other side's, pair by pair; None without a pair."""
    pairs = [kit / other for kit, other in zip(sides.get(KIT, ()), beside(sides), strict=False) if other]
    return statistics.median(pairs) if pairs else None


def more(sides: dict[str, list[float]]) -> float | None:
    """Return the median of what the kit's figure has more than the other side's, pair by pair; None without a pair."""
    pairs = [kit - other for kit, other in zip(sides.get(KIT, ()), beside(sides), strict=False)]
    return statistics.median(pairs) if pairs else None


def at_least(sides: dict[str, list[float]]) -> float | None:
    """Return the lower end of the 95 % confidence interval of the mean ratio (Student's t); None with fewer than two pairs."""
    pairs = [kit / other for kit, other in zip(sides.get(KIT, ()), beside(sides), strict=False) if other]
    if len(pairs) < 2:
        return None
    half = T_95.get(len(pairs) - 1, T_95[MANY]) * statistics.stdev(pairs) / len(pairs) ** 0.5
    return statistics.mean(pairs) - half
