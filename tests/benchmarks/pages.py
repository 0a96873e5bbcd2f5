"""Runs in: your shell, as `make pages`; how long the journal's pages take with ten million events, on a PostgreSQL of its own.

Fills the journal by SQL, a million attempts of ten events each over thirty days, then asks what lists, records and runs ask, each with
other words each time, and writes docs/reference/journal.md. Nothing else may run meanwhile.
"""

import argparse
import contextlib
import hashlib
import os
import random
import signal
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg2

from airflow_celery_kit.journal import install
from airflow_celery_kit.journal.reader import Reader, engine_for
from airflow_celery_kit.runtimes import prepare
from tests.benchmarks.evidence import FOLDER
from tests.contract.conftest import own_copy
from tests.contract.servers import Stack, fresh_settings, from_wheels, wait_for
from tests.ending import heed
from tests.stack.faults.evidence import machine

PAGE = FOLDER / "journal.md"
TASKS, EVENTS_EACH, DAYS, RUN_TASKS = 1_000_000, 10, 30, 50
ASKED = 200
BAR_SECONDS = 0.2
KINDS = "{asked,scheduled,queued,published,received,started,running,input,success,succeeded}"
PARTITION = "CREATE TABLE journal.event_{0:%Y%m%d} PARTITION OF journal.event FOR VALUES FROM ('{0:%Y-%m-%d} 00:00+00') TO ('{1:%Y-%m-%d} 00:00+00')"
# Attempt n of Dag n / 5000, run n / 50; every hundredth failed.
FILL_TASKS = """
INSERT INTO journal.task (id, dag_id, run_id, task_id, map_index, attempt, message, queue, priority, worker, operator, state, state_seq, created_at,
    due_at, queued_at, published_at, received_at, started_at, completed_at, changed_at, timed_out, cancelled, no_data, error, events)
SELECT md5(n::text)::uuid, 'dag_' || n / 5000, 'run_' || n / %(run)s, 'task_' || n %% %(run)s, -1, 1, md5('m' || n)::uuid::text, 'default', 256,
    'airflow-worker-' || n %% 8, '@task', CASE n %% 100 WHEN 0 THEN 'failed' ELSE 'success' END, n,
    at, at, at, at, at, at, at, at, false, false, false,
    CASE n %% 100 WHEN 0 THEN 'ValueError: row ' || n END, 10
FROM (SELECT n, now() - make_interval(secs => (%(tasks)s - n) * %(days)s * 86400.0 / %(tasks)s) AS at FROM generate_series(1, %(tasks)s) AS n) AS made
"""
FILL_EVENTS = f"""
INSERT INTO journal.event (id, at, kind, source, task, dag_id, run_id, task_id, map_index, attempt, facts)
SELECT gen_random_uuid(), created_at + make_interval(secs => k * 0.01), ('{KINDS}'::text[])[k], 'airflow', id, dag_id, run_id, task_id, -1, 1,
    '{{"queue": "default", "priority": 256}}'
FROM journal.task, generate_series(1, {EVENTS_EACH}) AS k
"""
FILL_RUNS = """
INSERT INTO journal.workflow (dag_id, run_id, state, state_seq, type, created_at, started_at, completed_at, changed_at)
SELECT dag_id, run_id, 'success', 1, 'manual', min(created_at), min(created_at), max(completed_at), max(completed_at) FROM journal.task GROUP BY 1, 2
"""
Query = Callable[[Reader, random.Random], object]


def task_id(chance: random.Random, tasks: int) -> str:
    """Return the id of some attempt."""
    return str(uuid.UUID(hashlib.md5(str(chance.randint(1, tasks)).encode(), usedforsecurity=False).hexdigest()))


def queries(tasks: int) -> dict[str, Query]:
    """Return what is asked, by what a person would call it."""
    dags = tasks // 5000
    dag = lambda chance: f"dag_{chance.randint(0, dags)}"  # noqa: E731
    every = [f"dag_{number}" for number in range(dags + 1)]

    def deep(reader: Reader, chance: random.Random) -> object:
        cursor = None
        for _ in range(3):
            cursor = reader.tasks({"visible": every}, cursor=cursor).next
        return reader.tasks({"visible": every}, cursor=cursor)

    return {
        "overview": lambda reader, _: reader.overview.look(every),
        "newest attempts": lambda reader, _: reader.tasks({"visible": every}),
        "four pages of them": deep,
        "newest failures": lambda reader, _: reader.tasks({"visible": every, "status": ["FAILURE"]}),
        "attempts of a Dag": lambda reader, chance: reader.tasks({"visible": every, "dag_id": dag(chance)}),
        "failures of a Dag": lambda reader, chance: reader.tasks(
            {"visible": every, "dag_id": dag(chance), "status": ["FAILURE"]}
        ),
        "attempts of a run": lambda reader, chance: reader.tasks(
            {"visible": every, "run_id": f"run_{chance.randint(0, tasks // RUN_TASKS)}"}
        ),
        "errors with a word": lambda reader, chance: reader.tasks(
            {"visible": every, "error": f"row {chance.randint(1, tasks // 100) * 100}"}
        ),
        "one attempt": lambda reader, chance: reader.task(uuid.UUID(task_id(chance, tasks))),
        "its events": lambda reader, chance: reader.events(uuid.UUID(task_id(chance, tasks))),
        "newest runs, with the number of their tasks by status": lambda reader, _: reader.workflows({"visible": every}),
        "runs of a Dag": lambda reader, chance: reader.workflows({"visible": every, "dag_id": dag(chance)}),
    }


@contextlib.contextmanager
def filled(folder: Path, tasks: int) -> Iterator[Reader]:
    """Give a reader of a journal that holds so many attempts."""
    with from_wheels(fresh_settings(folder)) as stack:
        wait_for("PostgreSQL", stack.answers)
        make(stack)
        with contextlib.closing(psycopg2.connect(stack.address("postgres", "kit"))) as connection:
            connection.autocommit = True
            fill(connection, tasks)
        yield Reader(engine_for(stack.address("journal_reader", "kit")))


def make(stack: Stack) -> None:
    """Make the journal's database as airflow-init does."""
    settings, server = stack.settings, f"postgresql://postgres@127.0.0.1:{stack.settings['POSTGRES_PORT']}"
    os.environ["PGPASSFILE"] = str(own_copy(settings, "pgpass_superuser"))
    with contextlib.closing(psycopg2.connect(f"{server}/postgres")) as connection:
        connection.autocommit = True
        connection.cursor().execute("CREATE ROLE kit LOGIN")
    install.make_database(f"{server}/postgres", prepare.make_role, lambda name: settings[name.upper()])
    install.migrate(f"{server}/kit")


def fill(connection: "psycopg2.extensions.connection", tasks: int) -> None:
    """Fill the tables by SQL; the events are told of nobody, because the records are made at once."""
    values = {"tasks": tasks, "days": DAYS, "run": RUN_TASKS}
    today = datetime.now(UTC).toordinal()
    with connection.cursor() as cursor:
        for day in range(today - DAYS - 1, today):
            cursor.execute(PARTITION.format(datetime.fromordinal(day), datetime.fromordinal(day + 1)))
        cursor.execute("ALTER TABLE journal.event DISABLE TRIGGER USER")
        for statement in (FILL_TASKS, FILL_EVENTS, FILL_RUNS):
            begun = time.monotonic()
            cursor.execute(statement, values if statement is FILL_TASKS else None)
            print(f"{cursor.rowcount} rows in {time.monotonic() - begun:.0f} s", file=sys.stderr)
        cursor.execute("VACUUM ANALYZE")


def measure(reader: Reader, asked: dict[str, Query]) -> dict[str, list[float]]:
    """Return the seconds that each question took, the first of each aside."""
    chance, seen = random.Random(1), {}
    for name, ask in asked.items():
        ask(reader, chance)
        seen[name] = []
        for _ in range(ASKED):
            begun = time.perf_counter()
            ask(reader, chance)
            seen[name].append(time.perf_counter() - begun)
    return seen


def p95(values: list[float]) -> float:
    """Return what nineteen of twenty values do not exceed."""
    return statistics.quantiles(values, n=20)[-1]


def page(seen: dict[str, list[float]], tasks: int) -> str:
    """Return the page."""
    lines = [
        "# The journal with ten million events",
        "",
        f"Written by `make pages`: {tasks:,} attempts with {tasks * EVENTS_EACH:,} events over {DAYS} days, in a PostgreSQL",
        f"of its own with the kit's settings; each question {ASKED} times, with other words each time, through the reader that the",
        f"api-server uses. The bar is {BAR_SECONDS * 1000:.0f} ms for nineteen of twenty.",
        "",
        f"Machine: {machine()}. Date: {datetime.now(UTC):%Y-%m-%d}.",
        "",
        "| Question | median, ms | 95 of 100 within, ms |",
        "|---|---|---|",
    ]
    for name, values in seen.items():
        lines.append(f"| {name} | {statistics.median(values) * 1000:.1f} | {p95(values) * 1000:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Fill, measure, write the page; return 1 when a question misses the bar."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=TASKS, help="attempts, of ten events each (default: %(default)s)")
    tasks = parser.parse_args().tasks
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder) / "made", tasks) as reader:
        seen = measure(reader, queries(tasks))
    text = page(seen, tasks)
    if tasks == TASKS:
        PAGE.write_text(text)
    print(text)
    return int(any(p95(values) > BAR_SECONDS for values in seen.values()))


if __name__ == "__main__":
    heed(signal.SIGTERM)
    sys.exit(main())
