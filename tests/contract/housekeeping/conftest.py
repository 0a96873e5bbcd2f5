"""Runs in: contract tests; databases that airflow-init prepared with Airflow's real tables, a broker, and a folder of logs."""

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_celery_kit.runtimes import services
from airflow_celery_kit.runtimes.environment import inherited
from airflow_celery_kit.settings import Settings
from tests.contract.servers import Stack, fresh_settings, from_wheels, wait_for

REQUIRED = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = %s AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'
"""
TABLES = "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_schema IN ('public', 'kit', 'journal', 'state')"
FILLERS = {
    "uuid": lambda: str(uuid.uuid4()), "json": lambda: "{}", "jsonb": lambda: "{}", "boolean": lambda: False, "integer": lambda: 0,
    "bigint": lambda: 0, "bytea": lambda: b"", "double precision": lambda: 0.0, "timestamp with time zone": lambda: "now",
}  # fmt: skip
PARTS = {"controller": "controller.housekeeping", "triggerer": "triggerer.housekeeping"}


@dataclass
class House:
    """Everything that is cleaned. What a test fills is emptied after it."""

    stack: Stack
    filled: set[tuple[str, str]] = field(default_factory=set)
    columns: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The checkout's."""
        return self.stack.settings

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.settings.var / "airflow" / "logs"

    @property
    def limits(self) -> Path:
        """The limits file."""
        return self.settings.root / "config" / "housekeeping.yaml"

    def query(self, statement: str, *values: Any, database: str = "airflow") -> list[tuple]:
        """Run one statement as the superuser."""
        return self.stack.query(statement, *values, database=database)

    def add(self, table: str, database: str = "airflow", **values: Any) -> Any:
        """Insert a row, with something in every column that must have it; return its first column. A number with `days_` is an age."""
        known = self.columns.setdefault(table, self.query(REQUIRED, table, database=database))
        row = {name: FILLERS.get(kind, lambda: "x")() for name, kind in known}
        row |= {name: value for name, value in values.items() if not name.startswith("days_")}
        ages = {name.removeprefix("days_"): days for name, days in values.items() if name.startswith("days_")}
        row = {name: value for name, value in row.items() if name not in ages}
        names = ", ".join(f'"{name}"' for name in [*row, *ages])
        marks = ["%s"] * len(row) + [f"now() - {days} * interval '1 day'" for days in ages.values()]
        (found,) = self.query(
            f"INSERT INTO {table} ({names}) VALUES ({', '.join(marks)}) RETURNING *", *row.values(), database=database
        )
        self.filled.add((database, table))
        return found[0]

    def log(self, path: str, days: float, size: int = 10) -> Path:
        """Write a log file that was last written to so many days ago."""
        made = self.logs / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text("x" * size)
        then = made.stat().st_mtime - days * 86400
        os.utime(made, (then, then))
        return made

    def clean(self, part: str, *arguments: str, fails: bool = False) -> Any:
        """Do one part of a round as its service would; return its rows by name, or what it says where it is to fail."""
        environment = services.environment_of(self.settings, f"airflow-{part}-1", inherited({"PATH": "/usr/bin:/bin"}))
        command = [sys.executable, "-m", f"airflow_celery_kit.{PARTS[part]}", *arguments]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        if fails:
            assert ended.returncode
            return ended.stderr
        assert not ended.returncode, ended.stderr[-3000:]
        found = json.loads(ended.stdout.splitlines()[-1])
        return {row["what"]: row for row in found["rows"]} | {"errors": found["errors"], "complete": found["complete"]}

    def snapshot(self) -> dict[str, Any]:
        """Every row of every table, every key of the broker, every file with its size and time."""
        look = "SELECT count(*), md5(coalesce(string_agg(r::text, '' ORDER BY r::text), '')) FROM {} AS r"
        found: dict[str, Any] = {}
        for database in ("airflow", "celery", "kit"):
            for (name,) in self.query(TABLES, database=database):
                found[f"{database} {name}"] = self.query(look.format(name), database=database)[0]
        client = self.stack.valkey
        found |= {f"key {key}": client.dump(key) for key in map(str, client.keys("*"))}
        for path in sorted(self.logs.rglob("*")):
            found[str(path)] = (path.stat().st_size, path.stat().st_mtime_ns)
        return found

    def empty(self) -> None:
        """Take away what was filled, what was noted, and all logs."""
        self.query(
            "TRUNCATE dag_run, trigger, asset, job, log, callback, dag CASCADE; DELETE FROM kit.seen; DELETE FROM kit.change"
        )
        for database, table in self.filled:
            self.query(f"TRUNCATE {table} CASCADE", database=database)
        self.filled.clear()
        self.limits.write_text("")
        shutil.rmtree(self.logs)
        self.logs.mkdir()
        for key in self.stack.valkey.keys("*"):
            self.stack.valkey.delete(key)


@pytest.fixture(scope="package")
def prepared_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Both servers, prepared."""
    settings = fresh_settings(tmp_path_factory.mktemp("house"))
    for folder in ("dags", "plugins", "var/run", "var/airflow/logs"):
        (settings.root / folder).mkdir(parents=True, exist_ok=True)
    with from_wheels(settings) as stack:
        wait_for("PostgreSQL and Valkey", stack.answers)
        environment = services.environment_of(settings, "airflow-init-1", inherited({"PATH": "/usr/bin:/bin"}))
        ended = subprocess.run(
            [sys.executable, "-m", "airflow_celery_kit.runtimes.prepare"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
        yield House(stack)
        shutil.rmtree(settings.var, ignore_errors=True)


@pytest.fixture
def house(prepared_house: House) -> Iterator[House]:
    """An empty one."""
    prepared_house.empty()
    yield prepared_house
