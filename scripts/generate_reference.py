#!/usr/bin/env python3
"""Runs in: `make docs`; writes the pages below docs/reference that say what the code and the configuration hold, and Grafana's dashboards.

`generate_reference.py --check` writes nothing and ends with 1 when a page differs from what would be written.
"""

import argparse
import sys
from pathlib import Path

from reference.alerts import alerts_page
from reference.checkout import ROOT
from reference.commands import commands_page
from reference.dashboards import dashboards
from reference.health import health_page
from reference.housekeeping import housekeeping_page
from reference.knobs import knobs_page
from reference.metrics import metrics_page
from reference.processes import processes_page
from reference.rest import rest_page
from reference.secrets import secrets_page
from reference.services import services_page
from reference.settings import settings_page

FOLDER = ROOT / "docs" / "reference"
PAGES = {
    "knobs.md": knobs_page,
    "settings.md": settings_page,
    "commands.md": commands_page,
    "services.md": services_page,
    "processes.md": processes_page,
    "health.md": health_page,
    "rest.md": rest_page,
    "secrets.md": secrets_page,
    "housekeeping.md": housekeeping_page,
    "metrics.md": metrics_page,
    "alerts.md": alerts_page,
}


def stale() -> dict[Path, str]:
    """The pages whose file is missing or differs, with the text they should have."""
    wanted = {(FOLDER / name).resolve(): make() for name, make in (PAGES | dashboards()).items()}
    return {path: text for path, text in wanted.items() if not path.is_file() or path.read_text() != text}


def main(arguments: list[str]) -> int:
    """Write the stale pages, or only name them with `--check`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, end with 1 when a page is stale")
    check = parser.parse_args(arguments).check
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in (found := stale()).items():
        print(f"{path.relative_to(ROOT)} {'is stale: run `make docs`' if check else 'written'}")
        if not check:
            path.write_text(text)
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
