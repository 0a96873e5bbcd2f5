"""Runs in: your shell; what people see while they wait and when it is done."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from airflow_celery_kit.cli.queue_lines import queue_lines
from airflow_celery_kit.cli.visible import cell, visible
from airflow_celery_kit.dag_runs import Progress
from airflow_celery_kit.runtimes.base import Instance
from airflow_celery_kit.status import Reason, Status

# As wide as a line in a pipe or a file may become.
NO_SCREEN = 1_000_000
PADDING = re.compile(" +$", re.MULTILINE)


class Out(Console):
    """Standard output. Where no screen is, as in a pipe, nothing wraps or is cut off, and no line ends in spaces."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as rich does."""
        if self.is_terminal:
            return super().print(*objects, **how)
        self.width = NO_SCREEN
        with self.capture() as shown:
            super().print(*objects, **how)
        self.file.write(PADDING.sub("", shown.get()))


# Progress and remarks go to standard error, so that `--json` and pipes stay clean.
ERR = Console(stderr=True, highlight=False, soft_wrap=True)
OUT = Out(highlight=False, soft_wrap=True)

# How often a log file hears of a step that goes on.
PLAIN_SECONDS = 10.0

MARKS = {True: "[green]●[/]", False: "[red]●[/]", None: "[dim]○[/]"}


class Steps:
    """A live picture on a terminal, plain lines with the seconds elsewhere."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.title = ""
        self.printed = ("", 0.0)
        self.instances: tuple[Instance, ...] = ()
        self.live: Live | None = None

    def say(self, text: str) -> None:
        """Show the present step."""
        if text != self.title:
            self.title = text
            self._show()

    def show(self, instances: tuple[Instance, ...], reasons: tuple[Reason, ...]) -> None:
        """Show the parts and what is still awaited."""
        self.instances = instances
        more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
        awaited = ", ".join(reason.text.partition(":")[0] for reason in reasons[:3]) + more
        self.say(f"waiting: {awaited}" if awaited else "ready")
        self._refresh()

    def _show(self) -> None:
        if self.live:
            self._refresh()
        else:
            self._print()

    def _print(self) -> None:
        """Print a new step at once, more of the same one every PLAIN_SECONDS."""
        step, now = self.title.partition(":")[0], time.monotonic()
        if step != self.printed[0] or now - self.printed[1] > PLAIN_SECONDS:
            self.printed = (step, now)
            ERR.print(f"{now - self.begun:6.1f} s  {visible(self.title)}", markup=False)

    def _refresh(self) -> None:
        if self.live:
            spinner = Spinner("dots", text=cell(f" {self.title}  ({time.monotonic() - self.begun:.0f} s)"))
            self.live.update(Group(instance_table(self.instances), spinner) if self.instances else spinner)


@contextlib.contextmanager
def steps() -> Iterator[Steps]:
    """Give a Steps whose picture disappears when the work is done."""
    shown = Steps()
    if not ERR.is_terminal:
        yield shown
        return
    with Live(console=ERR, transient=True, refresh_per_second=8) as live:
        shown.live = live
        yield shown


def instance_table(instances: tuple[Instance, ...]) -> Table:
    """Return the parts of a stack as a table."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("", "instance", "state", "pid", "remark"):
        table.add_column(title)
    for one in instances:
        table.add_row(MARKS[one.healthy], one.instance, one.state, str(one.pid or ""), cell(one.detail))
    return table


def status_report(status: Status) -> Group:
    """Return a whole status for people."""
    workers = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("worker", "queues", "slots"):
        workers.add_column(title)
    for worker in status.workers:
        workers.add_row(cell(worker.name), cell(", ".join(worker.queues)), str(worker.slots))
    resting = [worker.name for worker in status.workers if status.rests(worker.name)]
    verdict = (
        "[green]ready[/]"
        if status.ready
        else "[red]not ready[/]: " + escape(visible("; ".join(map(str, status.reasons))))
    )
    parts: list[Any] = [f"runtime {status.runtime}, {verdict}", ""]
    if status.services:
        parts += [
            instance_table(status.services),
            "",
            workers,
            *(Text(f"{name} takes no task: 'kit workers resume {name}'") for name in resting),
            "",
            queue_lines(status.queues),
            "",
            f"Airflow {status.urls['airflow']}   Flower {status.urls['flower']}",
        ]
    return Group(*parts)


def run_picture(progress: Progress) -> Group:
    """Return a run's progress bar and how many tasks are in each state."""
    total = len(progress.tasks)
    counts: dict[str, int] = {}
    for task in progress.tasks:
        counts[task["state"] or "waiting"] = counts.get(task["state"] or "waiting", 0) + 1
    width = 40
    done = round(width * progress.finished / total) if total else 0
    states = "  ".join(f"{state} {count}" for state, count in sorted(counts.items()))
    return Group(
        f"{progress.dag_id} [cyan]{'█' * done}[/][dim]{'░' * (width - done)}[/] {progress.finished}/{total}",
        f"[dim]{states}[/]",
    )


def print_json(data: Any) -> None:
    """Print one JSON document."""
    OUT.file.write(json.dumps(data, indent=2) + "\n")
