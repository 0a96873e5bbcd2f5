"""Runs in: `make docs`; alerts.md, what Prometheus tells somebody."""

from typing import Any

import yaml

from reference.checkout import ROOT
from reference.markdown import code, page, table

RULES = ROOT / "config" / "prometheus" / "alerts.yml"


def rules() -> list[dict[str, Any]]:
    """Every rule: alerts, and what is recorded for them."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts_page() -> str:
    """Every alert: when it is raised, after how long, how urgent it is, and what to do."""
    rows = [
        (code(one["alert"]), one["labels"]["severity"], code(one["expr"]), one.get("for", "at once"), one["annotations"]["description"])
        for one in rules() if "alert" in one
    ]  # fmt: skip
    recorded = [(code(one["record"]), code(one["expr"])) for one in rules() if "record" in one]
    return page(
        "Alerts",
        "`config/prometheus/alerts.yml`",
        "Rules for Prometheus, with a case for each in which it is raised and one in which it is not (`tests/prometheus/alerts_test.yml`, run by "
        "`promtool test rules`). [Every metric](metrics.md). "
        "[How do I watch it with Prometheus?](../how-to/how-do-i-watch-the-queues-with-prometheus.md)",
        "*critical*: no task runs, or nobody could see it. *warning*: somebody should look today.",
        table(("Alert", "Severity", "Raised while", "For", "What to do"), rows),
        "## What is recorded for them",
        "An end that is the first of its Dag, queue and status counts too: `increase` and `rate` do not see it.",
        table(("Name", "Expression"), recorded),
    )
