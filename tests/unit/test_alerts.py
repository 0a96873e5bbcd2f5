"""Alert rules and dashboards name metrics that exist, and each alert has a case in which it is raised and one in which it is not."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from airflow_celery_kit.api.metrics import FAMILIES
from airflow_celery_kit.api.metrics.families import HISTOGRAM
from airflow_celery_kit.core.user_metrics import PREFIX

ROOT = Path(__file__).parents[2]
RULES, CASES = ROOT / "config" / "prometheus" / "alerts.yml", ROOT / "tests" / "prometheus" / "alerts_test.yml"
WRITTEN = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in WRITTEN if "alert" in rule]
RECORDED = {rule["record"]: rule["expr"] for rule in WRITTEN if "record" in rule}
DASHBOARDS = sorted((ROOT / "config" / "grafana" / "dashboards").glob("*.json"))
EXPOSED = {
    name
    for family, one in FAMILIES.items()
    for name in ([f"{family}_bucket", f"{family}_sum", f"{family}_count"] if one.kind == HISTOGRAM else [family])
}
HOW_TO = ROOT / "docs" / "how-to" / "how-do-i-watch-the-queues-with-prometheus.md"
LABELS = {"le", "job", "instance", "__name__"} | {label for one in FAMILIES.values() for label in one.labels}


def metrics_in(expression: str) -> set[str]:
    """Every metric of the kit's that an expression names, itself or by a recorded one; those of tasks' own have names that nobody knows."""
    for name, made_of in RECORDED.items():
        expression = expression.replace(name, made_of)
    return set(re.findall(r"\bkit_(?!user_)\w+", expression))


def promtool(*arguments: object) -> subprocess.CompletedProcess:
    """Run promtool; CI must have it."""
    if not shutil.which("promtool"):
        if os.environ.get("CI"):
            pytest.fail("CI needs promtool: scripts/install_promtool.py")
        pytest.skip("no promtool here: 'python3 scripts/install_promtool.py' installs it")
    return subprocess.run(
        ["promtool", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def panels() -> list[tuple[str, str]]:
    """Every panel's title and expression."""
    found = [(path.stem, panel) for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]]
    return [(f"{name}: {panel['title']}", target["expr"]) for name, panel in found for target in panel["targets"]]


@pytest.mark.parametrize(
    ("where", "expression"), [*((one["alert"], one["expr"]) for one in ALERTS), *RECORDED.items(), *panels()]
)
def test_what_is_asked_for_exists(where, expression):
    assert metrics_in(expression) - EXPOSED == set()
    assert where == "KitScrapeFails" or PREFIX in expression or metrics_in(expression)
    for by in re.findall(r"by \((.*?)\)", expression):
        assert set(by.split(", ")) <= LABELS


def test_what_the_guide_asks_for_exists():
    asked = metrics_in(HOW_TO.read_text())
    assert asked and asked - EXPOSED == set()


def test_every_metric_is_on_a_dashboard():
    shown = {name for _, expression in panels() for name in metrics_in(expression)}
    known = {name for name, one in FAMILIES.items() if one.kind != HISTOGRAM or f"{name}_bucket" not in shown}
    assert known - shown == set()


def test_every_alert_has_a_case_in_which_it_is_raised_and_one_in_which_it_is_not():
    cases = [case for one in yaml.safe_load(CASES.read_text())["tests"] for case in one["alert_rule_test"]]
    raised, quiet = (
        {one["alertname"] for one in cases if bool(one["exp_alerts"]) == wanted} for wanted in (True, False)
    )
    assert raised == quiet == {one["alert"] for one in ALERTS}


def test_every_alert_says_what_to_do_and_how_urgent_it_is():
    assert {one["labels"]["severity"] for one in ALERTS} == {"critical", "warning"}
    assert all({"summary", "description"} == set(one["annotations"]) for one in ALERTS)
    assert len({one["alert"] for one in ALERTS}) == len(ALERTS) > 10


def test_prometheus_takes_rules_and_configuration(tmp_path):
    ended = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (tmp_path / "alerts.yml").write_text(RULES.read_text())
    (tmp_path / "token").write_text("hush")
    text = (RULES.parent / "prometheus.yml").read_text().replace("/run/secrets/metrics_token", str(tmp_path / "token"))
    (tmp_path / "prometheus.yml").write_text(text)
    ended = promtool("check", "config", "--lint=all", "--lint-fatal", tmp_path / "prometheus.yml")
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_each_alert_is_raised_when_it_should_be():
    ended = promtool("test", "rules", CASES)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_dashboards_are_what_grafana_reads():
    assert {path.stem for path in DASHBOARDS} == {"overview", "queues", "tasks", "workers", "health"}
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        assert board["uid"] and board["schemaVersion"] >= 36 and len(board["panels"]) > 3
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert all(panel["datasource"]["uid"] == "kit" and panel["targets"][0]["expr"] for panel in board["panels"])
        places = [tuple(panel["gridPos"][name] for name in "xy") for panel in board["panels"]]
        assert len(set(places)) == len(places) and all(x + 8 <= 24 for x, _ in places)
