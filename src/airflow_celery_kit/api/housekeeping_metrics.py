"""Runs in: airflow-apiserver; what housekeeping has removed, as metrics of Prometheus."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

# What each one means, and its labels. `part` is `controller` (results, keys) or `airflow` (Airflow's tables, logs).
FAMILIES = {
    "kit_housekeeping_removed_total": ("Rows, files and keys that housekeeping has removed.", ("what",)),
    "kit_housekeeping_removed_bytes_total": ("Their bytes.", ("what",)),
    "kit_housekeeping_round_timestamp_seconds": ("When each part's last round ended, in seconds since 1970.", ("part",)),
    "kit_housekeeping_errors": ("What the last round of each part could not clean.", ("part",)),
    "kit_housekeeping_disk_used_ratio": ("How full the disk with the logs was at the last round, 0 to 1.", ()),
}  # fmt: skip
PARTS = ("controller", "airflow")


class HousekeepingMetrics:
    """A collector of one request; `facts` is the row `housekeeping` of `kit.seen`, empty where no round was."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts

    def collect(self) -> Iterator[Metric]:
        """Return every family."""
        families = {name: family_of(name) for name in FAMILIES}
        for name, labels, value in samples(self.facts):
            families[name].add_metric(labels, value)
        yield from families.values()


def samples(facts: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Return each value with its name and labels; nothing where no round was."""
    for part in PARTS:
        said = facts.get(part, {})
        for what, total in said.get("totals", {}).items():
            yield "kit_housekeeping_removed_total", (what,), total["rows"]
            yield "kit_housekeeping_removed_bytes_total", (what,), total["bytes"]
        if said.get("ended_at"):
            yield "kit_housekeeping_round_timestamp_seconds", (part,), said["ended_at"]
            yield "kit_housekeeping_errors", (part,), len(said["errors"])
    if disk := facts.get("airflow", {}).get("disk"):
        yield "kit_housekeeping_disk_used_ratio", (), disk["used"]


def family_of(name: str) -> Any:
    """Return an empty family."""
    text, labels = FAMILIES[name]
    made = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return made(name, text, labels=labels)
