"""Runs in: `make docs`; settings.md, every setting of the configuration files."""

import re
from collections.abc import Iterator

from airflow_celery_kit import knobs
from reference.checkout import ROOT
from reference.markdown import code, listed, page, table


def settings_page() -> str:
    """Every setting of the configuration files."""
    intro = (
        "Both runtimes read these files. What must differ (addresses, ports, paths, secret files) is set by "
        "`docker-compose.yml` and by `src/airflow_celery_kit/runtimes/environment.py`. Celery's settings that cannot "
        "be text are in `src/airflow_celery_kit/worker/celery_settings.py`; Flower's are in `config/flowerconfig.py`."
    )
    profiles = ((f"profiles/{name}.env", "=") for name in ("latency", "balanced", "economy"))
    own = (("worker.env", "="), ("controller.env", "="))
    files = (("airflow.env", "="), *own, *profiles, ("valkey.conf", " "), ("postgresql.conf", "="))
    sources = listed(f"config/{name}" for name, _ in files)
    return page("Settings", sources, intro, *(settings_of(*file) for file in files))


def settings_of(name: str, separator: str) -> str:
    """One file: its opening comment, then its settings, each with the comment right above it."""
    opening, *blocks = (ROOT / "config" / name).read_text().strip().split("\n\n")
    intro = " ".join(line.removeprefix("# ") for line in opening.splitlines())
    rows = [row for block in blocks for row in settings_in(block, separator)]
    return f"## config/{name}\n\n{intro}\n\n{table(('Setting', 'Value', 'Why'), rows)}"


def settings_in(block: str, separator: str) -> Iterator[tuple[str, str, str]]:
    """The settings of one paragraph; a comment belongs to the line that follows it."""
    comment: list[str] = []
    for line in block.splitlines():
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
            continue
        name, _, value = (part.strip() for part in line.partition(separator))
        yield code(name), code(value), " ".join(comment) or knob_help(value)
        comment = []


def knob_help(value: str) -> str:
    """What the knob is that a value consists of, else nothing."""
    found = re.fullmatch(r"\$\{(\w+)\}", value)
    return f"{knobs.KNOBS[found[1]].help} ([knob](knobs.md))" if found else ""
