"""The policy of one's own that comes with the kit, and what stops a start: a policy that cannot be used."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_celery_kit.core.ordering import table
from airflow_celery_kit.core.ordering.policy import Situation, Waiting
from airflow_celery_kit.runtimes.prepare import check_order

ROOT = Path(__file__).parents[2]
NIGHT = Waiting("1", "night_totals", "r", "t", -1, (), "default", "scheduled", "", 64, 64, waited=0.0, run_age=0.0)


@pytest.fixture
def plugins(monkeypatch, tmp_path):
    """A plugins folder with the kit's example; what was imported from it is forgotten."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "night_shift.py").write_text((ROOT / "plugins" / "night_shift.py").read_text())
    (tmp_path / "broken_shift.py").write_text("raise ValueError('no night')\n")
    yield {"AIRFLOW__CORE__PLUGINS_FOLDER": str(tmp_path)}
    for name in ("night_shift", "broken_shift"):
        sys.modules.pop(name, None)


def test_the_example_lets_its_dags_wait_until_half_of_the_bound(plugins):
    check_order(plugins | {"KIT_PRIORITY_POLICY": "night_shift.NightShift"})
    policy, situation = table.policy("night_shift.NightShift"), Situation(bound=600.0)
    late, other = replace(NIGHT, id="2", waited=301.0), replace(NIGHT, id="3", dag_id="sales")
    assert policy.weigh_all([NIGHT, late, other], situation) == {"1": 1, "2": 64, "3": 64}


def test_the_page_shows_the_example_as_it_is():
    shown = (ROOT / "docs" / "how-to" / "how-do-i-set-the-order-of-work.md").read_text()
    _, _, code = (ROOT / "plugins" / "night_shift.py").read_text().partition("\n\n")
    assert code.strip() in shown


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        ("night_shift.DayShift", "there is no such class"),
        ("no_shift.NightShift", "No module named 'no_shift'"),
        ("broken_shift.NightShift", "no night"),
        ("os.path.join", "is no subclass of"),
    ],
)
def test_a_policy_that_cannot_be_used_stops_the_start_with_one_line(plugins, policy, why):
    with pytest.raises(SystemExit) as stopped:
        check_order(plugins | {"KIT_PRIORITY_POLICY": policy})
    said = str(stopped.value)
    assert said.startswith(f"priority policy {policy} cannot be used: ") and why in said and "\n" not in said
