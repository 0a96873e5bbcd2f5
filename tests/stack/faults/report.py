"""Runs in: your shell, as the end of `make faults`; writes docs/reference/faults.md and its chart from what the rows have seen.

Evidence is docs/reference/faults.jsonl, a line for each row and column; the last one of each counts.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.contract.smoke.scenarios import SCENARIOS
from tests.stack.faults.evidence import measured_on
from tests.stack.faults.faults import Fault

FOLDER = Path(__file__).parents[3] / "docs" / "reference"
EVIDENCE = FOLDER / "faults.jsonl"
COLUMNS = {"embedded": "embedded", "compose": "Compose", "stock": "stock settings"}
WAITED = re.compile(r"waited (\d+) s for manual__\S+ to end")
GREEN, RED, GREY = "#cfe8d5", "#f3c9c5", "#eeeeee"
Seen = dict[tuple[str, str], dict[str, Any]]

INTRODUCTION = """# Faults

Written by `make faults` and `make soak`: what was seen so far of every fault of the table, injected into a stack of three workers of four
slots under load, on both runtimes and with stock settings. *Not run* means that nothing is known; where an outage was shorter than the
length that stands behind the fault, the cell says so. Stock settings are the environment of Airflow's official quick-start Compose file with the
provider's and Valkey's defaults, run by the same supervisor on the same machine with the same slots.

Every task leaves a receipt when it starts and when it ends, in a file of its run, so that runs are counted and not believed. A row holds
when every task has an end receipt, no task ran twice but those whose first run was killed, every time is within its bar, and no slot of
the scheduler's executor is held afterwards. *Ended* counts tasks with an end receipt out of those sent when the row was judged. The
*executor* is the part of the scheduler that hands tasks to Celery, a *slot* of it is taken until it hears of a task's end; the *AOF* is the
broker's log on disk. What `kit health` says it says within 60 s of the fault (*told by health*), and no longer 30 s after the row is done
(*healthy again*); a cell without these times was measured before that was asked.
"""


def load() -> Seen:
    """Return the last evidence of each fault and column."""
    lines = map(json.loads, EVIDENCE.read_text().splitlines()) if EVIDENCE.is_file() else ()
    return {(line["fault"], line["column"]): line for line in lines}


def cell(seen: dict[str, Any] | None, exists: bool, outage: float) -> str:
    """Return what one column says of one row."""
    if not exists:
        return "not applicable"
    if seen is None:
        return "not run"
    verdict = "**fails**" if seen["problem"] else "holds"
    if seen["outage"] < outage:
        verdict += f" (an outage of {seen['outage']:.0f} s)"
    counts = f"{seen['ended']} of {seen['sent']} ended" if seen["sent"] else ""
    extra = [f"{seen[what]} {word}" for what, word in (("failed", "failed"), ("twice", "started twice")) if seen[what]]
    times = [f"{one['what']} {one['seconds']:g} s" for one in seen["measured"]]
    return "; ".join(filter(None, [verdict, counts, *extra, *times, shorten(seen["problem"])]))


def shorten(problem: str) -> str:
    """Return a problem as a table can hold it."""
    plain = problem.replace("|", "\\|").replace("\n", " ").partition("; last look")[0]
    plain = WAITED.sub(r"the run had not ended \1 s later", plain)
    return plain if len(plain) <= 140 else plain[:137] + "..."


def exists(fault: Fault, column: str) -> bool:
    """Return whether a fault can be injected in a column."""
    return fault.row.stock if column == "stock" else column in fault.row.runtimes


def table(seen: Seen) -> list[str]:
    """Return the lines of the table of faults."""
    lines = [
        "| # | Fault | Bar | `kit health` says | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (4 + len(COLUMNS)) + "|",
    ]
    for fault in Fault:
        row = fault.row
        outage = f" ({row.outage:.0f} s)" if row.outage else ""
        cells = [cell(seen.get((fault.name, column)), exists(fault, column), row.outage) for column in COLUMNS]
        lines.append(f"| {row.number} | {row.what}{outage} | {row.bar} | {row.says} | " + " | ".join(cells) + " |")
    return lines


def smoke() -> list[str]:
    """Return the table of Celery's own smoke scenarios with their counterparts."""
    lines = ["| Celery's scenario | Counterpart | Remark |", "|---|---|---|"]
    return lines + [
        f"| {one.name} | {f'`{one.counterpart}`' if one.counterpart else '-'} | {one.reason} |" for one in SCENARIOS
    ]


def draw(seen: Seen, path: Path) -> None:
    """Draw the table as a picture: a green or red field for each row and column."""
    from matplotlib import pyplot

    # A salt makes the same figures the same file.
    pyplot.rcParams["svg.hashsalt"] = "faults"
    faults = list(Fault)
    figure, axes = pyplot.subplots(figsize=(11, 0.36 * len(faults) + 1))
    for line, fault in enumerate(faults):
        axes.text(-0.05, line, f"{fault.row.number}  {fault.row.what}"[:78], ha="right", va="center", fontsize=8)
        for place, column in enumerate(COLUMNS):
            colour, words = field(seen.get((fault.name, column)), exists(fault, column))
            axes.add_patch(pyplot.Rectangle((place, line - 0.45), 0.97, 0.9, color=colour))
            axes.text(place + 0.485, line, words, ha="center", va="center", fontsize=7.5)
    axes.set(xlim=(-2.6, len(COLUMNS)), ylim=(len(faults) - 0.4, -0.6))
    axes.set_xticks([place + 0.485 for place in range(len(COLUMNS))], COLUMNS.values())
    axes.xaxis.tick_top()
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.set_frame_on(False)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def field(seen: dict[str, Any] | None, there: bool) -> tuple[str, str]:
    """Return the colour and the few words of one field."""
    if not there or seen is None:
        return GREY, "-" if not there else "not run"
    ended = f"{seen['ended']}/{seen['sent']}" if seen["sent"] else ""
    slowest = max((one["seconds"] for one in seen["measured"]), default=None)
    words = ", ".join(filter(None, [ended, f"{slowest:g} s" if slowest is not None else ""]))
    return (RED, f"fails {words}") if seen["problem"] else (GREEN, words or "holds")


def page(seen: Seen) -> str:
    """Return the text of the page."""
    parts = [
        INTRODUCTION, measured_on(seen.values()), "", "![which faults each column survives](faults.svg)", "", *table(seen), "",
        "## Celery's own smoke suite", "",
        "Every scenario of Celery's smoke suite that makes sense on this transport, against a real Valkey and real workers with the",
        "kit's transport settings (`tests/contract/smoke`, part of `make test`).", "", *smoke(), "",
    ]  # fmt: skip
    return "\n".join(parts)


def main() -> int:
    """Write page and chart; return 1 when a row of the kit's own columns fails."""
    seen = load()
    (FOLDER / "faults.md").write_text(page(seen))
    draw(seen, FOLDER / "faults.svg")
    failed = [f"{name} on {column}" for (name, column), one in seen.items() if one["problem"] and column != "stock"]
    print("\n".join([f"{FOLDER / 'faults.md'} written", *(f"fails: {one}" for one in failed)]))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
