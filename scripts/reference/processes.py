"""Runs in: `make docs`; processes.md, every module with the process it runs in."""

import ast
from pathlib import Path

from reference.checkout import ROOT
from reference.markdown import code, page, table


def processes_page() -> str:
    """Every module with the process it runs in."""
    intro = "The first sentence of each module's docstring names the process that it runs in."
    rows = [row for path in modules() if (row := process_row(path))]
    return page("Processes", "the docstrings of the modules", intro, table(("Module", "Runs in", "What it does"), rows))


def modules() -> list[Path]:
    """All modules of the kit, in order."""
    return sorted(path for folder in ("config", "docker", "scripts", "src") for path in (ROOT / folder).rglob("*.py"))


def process_row(path: Path) -> tuple[str, str, str] | None:
    """One module; None where its docstring does not begin with `Runs in:`."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    first = " ".join(docstring.split("\n\n")[0].split())
    if not first.startswith("Runs in: "):
        return None
    process, _, rest = first.removeprefix("Runs in: ").partition("; ")
    return code(path.relative_to(ROOT)), process, rest
