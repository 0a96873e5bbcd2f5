"""Runs in: contract tests; the list of scenarios and the tests name each other."""

import ast
from pathlib import Path

from tests.contract.smoke.scenarios import OWN, SCENARIOS


def written() -> set[str]:
    """Every smoke test as `file::function`, this file's aside."""
    files = [path for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)]
    return {
        f"{path.name}::{node.name}"
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_counterpart_exists_and_every_test_is_a_counterpart():
    assert len(written()) > 30
    assert {scenario.counterpart for scenario in SCENARIOS} - {""} == written() - OWN


def test_every_scenario_stands_there_once_and_has_a_counterpart_or_a_reason():
    rows = [(scenario.name, scenario.counterpart) for scenario in SCENARIOS]
    assert len(set(rows)) == len(rows)
    assert [scenario.name for scenario in SCENARIOS if not (scenario.counterpart or scenario.reason)] == []


def test_a_test_that_is_expected_to_fail_says_so_in_the_list():
    folder = Path(__file__).parent
    known = {scenario.counterpart for scenario in SCENARIOS if scenario.counterpart and scenario.reason}
    marked = [path.read_text().count("strict=True") for path in folder.glob("test_*.py") if path != Path(__file__)]
    assert len(known) == sum(marked) > 0
