"""Runs in: `make docs`; metrics.md, everything that Prometheus reads."""

from airflow_celery_kit.api.metrics import FAMILIES
from airflow_celery_kit.api.metrics.families import HISTOGRAM
from airflow_celery_kit.api.metrics.guards import MOST
from airflow_celery_kit.api.metrics.tasks import BOUNDS
from airflow_celery_kit.controller.counting import DAGS_DEFAULT, EVERY_SECONDS, MOST_QUEUES, SETTLE_SECONDS
from airflow_celery_kit.core.user_metrics import PREFIX
from reference.markdown import code, listed, page, table


def metrics_page() -> str:
    """Every metric with its kind, unit and labels."""
    return page(
        "Metrics",
        "`src/airflow_celery_kit/api/metrics`",
        "`GET /kit/v1/metrics` of the api-server gives them out in Prometheus's text format 0.0.4. "
        "[How do I watch it with Prometheus?](../how-to/how-do-i-watch-the-queues-with-prometheus.md) "
        "What a scrape costs is [measured](scrape.md).",
        "Queues and workers are the last look of the leading controller. What happened to tasks and runs is counted up in the journal's "
        f"database every {EVERY_SECONDS:.0f} s, {SETTLE_SECONDS:.0f} s after it happened; it grows only, is the same in every api-server, "
        "and a restart of any service takes nothing from it. No worker is asked for a scrape.",
        f"Of what is seen of queues {MOST_QUEUES} have figures of their own: first those in which something waits that no worker serves, then "
        "those that are served. All others count as `other`, their waits as the longest of them.",
        "Limits and breakers are as they are at the scrape, health is what the leading controller wrote last. "
        f"{MOST} limits and as many breakers have figures of their own, those of `config/limits.yaml` first; all others count as `other`.",
        f"{DAGS_DEFAULT} Dags (`METRICS_DAGS`) and {MOST_QUEUES} queues have figures of what happened, those that came first; all others "
        "count as `other`. A name that was not used for a month makes room. Runs, tasks and attempts are no labels: ask "
        "[the journal](../how-to/how-do-i-see-what-happened-to-a-task.md) for these.",
        f"What tasks count [themselves](../how-to/how-do-i-count-what-my-tasks-do.md) begins with `{PREFIX}`, which no metric below does; "
        "the names are theirs.",
        table(("Metric", "Kind", "Labels", "What it says"), [row(name) for name in sorted(FAMILIES)]),
        "## Buckets",
        f"Histograms, {listed(name for name, one in FAMILIES.items() if one.kind == HISTOGRAM)}, have the bounds "
        f"{listed(BOUNDS)}, in seconds.",
    )


def row(name: str) -> tuple[str, str, str, str]:
    """One metric."""
    family = FAMILIES[name]
    known = f" {family.labels[0]}: {listed(family.known)}." if family.known else ""
    return code(name), family.kind, listed(family.labels), family.help + known
