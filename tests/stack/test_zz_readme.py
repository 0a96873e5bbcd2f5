"""Runs in: stack tests, late on each stack; the README's own commands, copied out of it, in its order."""

import re

import pytest

from tests.stack.harness.stack import Stack
from tests.stack.harness.workspace import ROOT, one_start_at_a_time

BLOCK = re.compile(r"<!-- test: (both|embedded|compose) -->\n```bash\n(.*?)```", re.DOTALL)


def blocks(runtime: str) -> list[str]:
    """Return the README's marked commands for a runtime."""
    found = BLOCK.findall((ROOT / "README.md").read_text())
    return [commands for where, commands in found if where in ("both", runtime)]


@pytest.mark.last
def test_the_readme_does_what_it_says(stack: Stack) -> None:
    commands = blocks(stack.runtime)
    assert any("make up" in block for block in commands) and any("kit run" in block for block in commands)
    for block in commands:
        with one_start_at_a_time():
            stack.call(["bash", "-euo", "pipefail", "-c", block])
    assert stack.kit("status", check=False).returncode == 5, "the README ends with the stack down"
