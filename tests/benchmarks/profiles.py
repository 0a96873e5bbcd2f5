"""Runs in: your shell, as `make profiles`; what each KIT_PROFILE costs and gives, on the embedded stack, profile by profile in rounds.

Writes docs/reference/profiles.md: a row for each figure, a column for each profile, machine and date. Nothing else may run meanwhile.
"""

import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from airflow_celery_kit import env_file, knobs
from tests.benchmarks import cpu
from tests.benchmarks.evidence import FOLDER
from tests.benchmarks.idle import IDLE_SECONDS, MB
from tests.benchmarks.progress import shown
from tests.benchmarks.sides import Side, running
from tests.ending import heed
from tests.stack.faults.evidence import machine
from tests.stack.harness.wait import wait_for

PAGE = FOLDER / "profiles.md"
ROUNDS = 2
# Repetitions within a round of what takes a moment, and of what waits for a look at the folder.
STARTS, FILES = 5, 2
SEEN_SECONDS = 120
# Between the last task and a look at the stack at rest.
SETTLE_SECONDS = 20
PROFILES = knobs.KNOBS["KIT_PROFILE"].pattern.split("|")
DAG = """from airflow.sdk import dag

@dag(schedule=None)
def {name}():
    pass

{name}()
"""

# What is measured, its unit, how it is written.
ROWS = (
    ("idle cpu", "CPU while nothing is to do, all services", "{:.1%} of a core"),
    ("idle memory", "memory (PSS) while nothing is to do, all services", "{:.0f} MB"),
    ("first start", "from a trigger to the first task's start", "{:.3f} s"),
    ("chain", "chain of 5 tasks of 50 ms", "{:.2f} s"),
    ("fan-out", "fan-out of 2 x 40 tasks that do nothing, 4 slots", "{:.1f} s"),
    ("cpu per task", "CPU of all processes for each of these tasks", "{:.3f} s"),
    ("new file", "until a new file in `dags/` is a Dag in the UI", "{:.1f} s"),
)
Figures = dict[str, float]


def idle(side: Side) -> Figures:
    """Return the CPU as a share of one core and the memory in MB of all services, a minute long, once the stack is at rest."""
    settings = side.stack.settings
    time.sleep(SETTLE_SECONDS)
    before = cpu.seconds(settings)
    time.sleep(IDLE_SECONDS)
    used = sum(cpu.spent(before, cpu.seconds(settings)).values())
    return {"idle cpu": used / IDLE_SECONDS, "idle memory": sum(cpu.pss(settings).values()) / MB}


def speed(side: Side) -> Figures:
    """Return seconds of work that comes to a stack at rest."""
    side.run(["bench_chain"])
    starts = [side.run(["bench_first"]).first_start for _ in range(STARTS)]
    fan_out = side.run(["bench_fan_out"])
    return {
        "first start": statistics.median(starts),
        "chain": side.run(["bench_chain"]).makespan,
        "fan-out": fan_out.makespan,
        "cpu per task": fan_out.cpu_per_task,
    }


def new_file(side: Side) -> float:
    """Return the seconds until a file that was put into `dags/` is a Dag."""
    name = f"fresh_{time.monotonic_ns()}"
    begun = time.monotonic()
    (side.stack.root / "dags" / f"{name}.py").write_text(DAG.format(name=name))
    wait_for(name, lambda: side.knows(name), SEEN_SECONDS)
    return time.monotonic() - begun


def measure(side: Side, profile: str) -> Figures:
    """Start the stack anew with a profile and return all figures."""
    env_file.record(side.stack.settings, {"KIT_PROFILE": profile})
    side.stack.make("down")
    side.stack.make("up")
    # Connections to the database of before have ended with it.
    again = Side(side.name, side.stack)
    seen = speed(again) | idle(again)
    return seen | {"new file": statistics.mean(new_file(again) for _ in range(FILES))}


def page(found: dict[str, list[Figures]]) -> str:
    """Return the page: the median of all rounds for each profile."""
    lines = [
        "# What each profile costs",
        "",
        f"Written by `make profiles`: embedded runtime, 1 worker of 4 slots, {ROUNDS} rounds of all profiles in turn, medians,",
        "nothing else running. Files are put into `dags/` at any moment, so they wait half an interval on average and a whole one",
        "at most. What each profile sets: [settings](settings.md). Which one to take:",
        "[how do I choose a profile?](../how-to/how-do-i-choose-a-profile.md)",
        "",
        f"Machine: {machine()}. Date: {datetime.now(UTC):%Y-%m-%d}.",
        "",
        "| What | " + " | ".join(f"`{name}`" for name in found) + " |",
        "|---|" + "---|" * len(found),
    ]
    for key, what, form in ROWS:
        cells = [form.format(statistics.median(one[key] for one in rounds)) for rounds in found.values()]
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure every profile, write the page and print it."""
    found: dict[str, list[Figures]] = defaultdict(list)
    turns = [(number, name) for number in range(1, ROUNDS + 1) for name in PROFILES]
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), ["kit"]) as (side,),
        shown(len(turns), Console()) as progress,
    ):
        for number, name in turns:
            progress.begin(f"{name}, round {number} of {ROUNDS}")
            found[name].append(measure(side, name))
            progress.finish(f"{name}, round {number} of {ROUNDS}", found[name][-1])
    PAGE.write_text(page(found))
    print(PAGE.read_text())
    return 0


if __name__ == "__main__":
    heed(signal.SIGTERM)
    sys.exit(main())
