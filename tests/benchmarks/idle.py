"""Runs in: `make bench`; what a stack uses while nothing is to do: CPU of its processes, CPU of its health checks, memory."""

import os
import statistics
import time

from airflow_celery_kit.runtimes import services
from airflow_celery_kit.runtimes.environment import inherited
from tests.benchmarks import cpu
from tests.benchmarks.sides import Side
from tests.stack.test_health import cost_of, measured

IDLE_SECONDS = 60
MB = 1024 * 1024
# Intervals of docker-compose.yml, in seconds.
KIT_INTERVALS = {"postgres-1": 5.0, "valkey-1": 5.0}
KIT_INTERVAL = 10.0
# The checks of Airflow's quick-start Compose file, which run every 30 s; those of the two servers cost next to nothing and are left out.
STOCK_INTERVAL = 30.0
APP = "airflow.providers.celery.executors.celery_executor.app"
STOCK_CHECKS = {
    "airflow-apiserver-1": "curl --fail --silent http://127.0.0.1:{AIRFLOW_PORT}/api/v2/monitor/health",
    "airflow-scheduler-1": "curl --fail --silent http://127.0.0.1:8974/health",
    "airflow-dag-processor-1": "{bin}/airflow jobs check --job-type DagProcessorJob --local",
    "airflow-triggerer-1": "{bin}/airflow jobs check --job-type TriggererJob --local",
    "airflow-worker-1": f"{{bin}}/celery --app {APP} inspect ping --destination celery@airflow-worker-1",
    "airflow-flower-1": "curl --fail --silent http://127.0.0.1:{FLOWER_PORT}/healthcheck",
}


def stock_check(side: Side, instance: str) -> float:
    """Return the CPU seconds of one of stock's checks, run as its service runs it. Raises AssertionError when it fails."""
    settings = side.stack.settings
    names = {
        "bin": str(side.stack.root / ".venv/bin"),
        **{name: settings[name] for name in ("AIRFLOW_PORT", "FLOWER_PORT")},
    }
    command = STOCK_CHECKS[instance].format(**names).split()
    # Services rename themselves, which overwrites the environment that /proc shows.
    environment = services.environment_of(settings, instance, inherited(os.environ))
    # A ping waits for its answer for one second only.
    code, used = next((found for found in (cost_of(command, environment) for _ in range(3)) if not found[0]), (1, []))
    assert code == 0, f"{instance}: its check fails again and again"
    return statistics.median(used)


def checks(side: Side) -> float:
    """Return the CPU that a side's health checks take, as a share of one core."""
    if side.name == "stock":
        return sum(stock_check(side, name) for name in STOCK_CHECKS) / STOCK_INTERVAL
    costs = {name: statistics.median(measured(side.stack, name)[1]) for name in cpu.trees(side.stack.settings)}
    return sum(cost / KIT_INTERVALS.get(name, KIT_INTERVAL) for name, cost in costs.items())


def figures(side: Side) -> dict[str, float]:
    """Return the shares of one core and the memory in MB of the same services on both sides; the controller stands apart."""
    settings = side.stack.settings
    before = cpu.seconds(settings)
    time.sleep(IDLE_SECONDS)
    used = {name: one / IDLE_SECONDS for name, one in cpu.spent(before, cpu.seconds(settings)).items()}
    memory = {name: size / MB for name, size in cpu.pss(settings).items()}
    same = sum(share for name, share in used.items() if name != "airflow-controller")
    return {
        "idle cpu, same services": same,
        "idle cpu with health checks": sum(used.values()) + checks(side),
        "idle memory MB, same services": sum(
            size for name, size in memory.items() if not name.startswith("airflow-controller")
        ),
        **{f"idle cpu {name}": share for name, share in used.items()},
        **{f"idle MB {name}": size for name, size in memory.items()},
    }
