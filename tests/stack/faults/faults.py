"""Runs in: stack tests; every fault of the suite: what is done, what must hold, where it exists and where CI does it.

The numbers are those of the table in `docs/reference/faults.md`, which is written from here.
"""

from dataclasses import dataclass
from enum import Enum

EMBEDDED, COMPOSE = "embedded", "compose"
BOTH = (EMBEDDED, COMPOSE)
# In CI, and by default, every outage is this long.
SHORT_SECONDS = 20.0


@dataclass(frozen=True)
class Said:
    """What health says of a fault: a check, its state, some words of its reason, and of whom where that is not the check's own name."""

    check: str
    state: str
    why: str = ""
    subject: str = ""

    def __str__(self) -> str:
        return f"`{self.check}` {self.state}" + (f": {self.why}" if self.why else "")


NO_BROKER = Said("broker", "Unhealthy")
BROKER_ANEW = Said("broker", "Degraded", "started anew")
NO_DATABASE = Said("metadata-database", "Unhealthy")
WORKER_ANEW = Said("workers", "Degraded", "started anew", "airflow-worker-2")
SCHEDULER_ANEW = Said("scheduler", "Degraded", "was started anew")
KILLED = Said("deaths", "Degraded", "SIGKILL")
LED_ANEW = Said("controller", "Degraded", "ended without a word")


@dataclass(frozen=True)
class Row:
    """A fault in words. `outage` is its full length in seconds, 0 where it has none; `ci` is the runtime that CI does it on.

    `says` is what health says of it; a text says why there is nothing to be said.
    """

    number: str
    what: str
    bar: str
    says: Said | str
    ci: str = EMBEDDED
    outage: float = 0.0
    runtimes: tuple[str, ...] = BOTH
    stock: bool = True


class Fault(Enum):
    """Each fault with its row."""

    NONE = Row("0", "no fault", "nothing is stuck, nothing is repaired", "nothing: all is well", stock=False)
    WORKER_STOPPED = Row(
        "1a", "SIGTERM to a worker with 60 s tasks running",
        "0 failed, 0 run twice, exits within 5 s after its last task, takes no new task after the signal", "nothing: it was told to leave", outage=60,
    )  # fmt: skip
    WORKER_STOPPED_IN_VAIN = Row(
        "1b", "SIGTERM to a worker whose tasks outlast STOP_GRACE (40 s)", "gone before STOP_GRACE, its tasks are retried and none is lost",
        Said("deaths", "Degraded", "had ended"),
    )  # fmt: skip
    WORKERS_REPLACED = Row(
        "2", "rolling replacement of the workers in mid-load (Compose: a new image)", "0 failed, 0 run twice",
        "nothing: they were told to leave", ci=COMPOSE,
    )  # fmt: skip
    WORKER_TREE_KILLED = Row(
        "3a",
        "SIGKILL of a worker's whole tree, tasks running",
        "running again elsewhere within 60 s, no orphan process",
        WORKER_ANEW,
    )
    WORKER_MAIN_KILLED = Row(
        "3b", "SIGKILL of a worker's main process alone", "running again elsewhere within 60 s, no orphan process", WORKER_ANEW, ci=COMPOSE
    )  # fmt: skip
    WORKER_KILLED_UNDER_QUEUE = Row(
        "4",
        "SIGKILL of a worker while messages wait",
        "none is reserved; what had not started starts elsewhere within 60 s",
        WORKER_ANEW,
    )
    TASK_OUT_OF_MEMORY = Row(
        "5a", "out of memory: task process (Compose: by the kernel)", "reported within 30 s, slot back, other tasks untouched", KILLED, ci=COMPOSE
    )  # fmt: skip
    POOL_OUT_OF_MEMORY = Row(
        "5b", "out of memory: pool process", "reported within 30 s, slot back, other tasks untouched", KILLED
    )
    CONTAINER_OUT_OF_MEMORY = Row(
        "5c", "out of memory: whole container", "running again within 60 s, other workers' tasks untouched", WORKER_ANEW,
        ci=COMPOSE, runtimes=(COMPOSE,), stock=False,
    )  # fmt: skip
    BROKER_RESTARTED = Row(
        "6",
        "broker restarted (SIGTERM), 100 tasks queued",
        "0 lost, 0 failed, same worker process, consuming within 15 s",
        BROKER_ANEW,
    )
    BROKER_KILLED = Row(
        "7",
        "broker killed (SIGKILL), 100 tasks queued",
        "as 6; what the last second of the AOF lost is back within 60 s",
        BROKER_ANEW,
    )
    BROKER_WIPED = Row(
        "8",
        "broker data wiped while it is stopped",
        "every queued task runs within 90 s",
        Said("broker", "Degraded", "without its data"),
    )
    BROKER_AWAY = Row(
        "9",
        "broker away while 100 tasks become due",
        "0 tries consumed, scheduler healthy throughout",
        NO_BROKER,
        outage=300,
    )
    BROKER_FROZEN = Row("10a", "broker frozen", "resumes within 60 s of its return, 0 lost", NO_BROKER, outage=120)
    PACKETS_DROPPED = Row(
        "10b", "packets between workers and broker dropped", "resumes within 60 s of their return, 0 lost",
        Said("workers", "Unhealthy", "last heard of"),
        outage=120, ci=COMPOSE, runtimes=(COMPOSE,), stock=False,
    )  # fmt: skip
    BROKER_FULL = Row(
        "11",
        "broker full (maxmemory, noeviction)",
        "alarm in status and log, 0 lost, recovers when there is room",
        Said("broker", "Unhealthy", "maxmemory"),
        ci=COMPOSE,
    )
    RESULTS_AWAY = Row(
        "12a",
        "results database away",
        "0 failed, executor slots all back",
        Said("results-database", "Unhealthy", "not currently accepting connections"),
        outage=30,
        ci=COMPOSE,
    )
    POSTGRES_AWAY = Row(
        "12b", "PostgreSQL away", "0 failed, executor slots all back", NO_DATABASE, outage=30, ci=COMPOSE
    )
    POSTGRES_AWAY_WORKER_KILLED = Row(
        "12c", "PostgreSQL away, a worker killed meanwhile", "0 events lost: every start is on record", NO_DATABASE, outage=60, stock=False
    )  # fmt: skip
    API_AWAY = Row(
        "13", "api-server away, 50 short and 5 long tasks", "0 failed", Said("api-server", "Unhealthy"), outage=120
    )
    SCHEDULER_KILLED = Row(
        "14a",
        "scheduler killed in mid-load, restarted at once",
        "all finish, 0 run twice, adopted within 60 s",
        SCHEDULER_ANEW,
    )
    SCHEDULER_AND_WORKER_KILLED = Row(
        "14b", "scheduler and a worker killed together", "all finish, 0 run twice but the killed, adopted within 60 s", SCHEDULER_ANEW, ci=COMPOSE
    )  # fmt: skip
    WORKERS_AWAY = Row(
        "15",
        "all workers stopped under load, then started",
        "queue drained, 0 lost",
        Said("workers", "Unhealthy", "no worker reports"),
        outage=120,
        ci=COMPOSE,
    )
    SCHEDULER_WITHOUT_BROKER = Row(
        "16a",
        "broker down when the scheduler starts",
        "tasks wait, then run; the scheduler never gives up",
        NO_BROKER,
    )
    WORKER_WITHOUT_BROKER = Row(
        "16b",
        "broker down when a worker starts",
        "tasks wait, then run; the worker never gives up",
        NO_BROKER,
        ci=COMPOSE,
    )
    REDELIVERED = Row(
        "17",
        "running messages delivered again",
        "0 run twice, 0 failed, one warning each",
        "nothing: workers refuse the second",
        ci=COMPOSE,
    )
    WORKERS_SILENT = Row(
        "18", "a worker that consumes nothing though it answers ping; a frozen one", "reported within 60 s, replaced within 120 s",
        Said("workers", "Unhealthy", "does not listen", "airflow-worker-1"),
    )  # fmt: skip
    WORKER_OUT_OF_DISK = Row(
        "18b", "a worker's disk for temporary files full, tasks running",
        "reported within 60 s, takes no task, replaced within 120 s once it runs none, 0 failed",
        Said("workers", "Unhealthy", "out of disk", "airflow-worker-2"), ci=COMPOSE, runtimes=(COMPOSE,), stock=False,
    )  # fmt: skip
    WORKERS_CUT_OFF = Row(
        "18c", "workers that alone are cut off, one with tasks from the broker, one without from everything",
        "reported within 60 s, replaced within 120 s once they run none, 0 failed, 0 run twice",
        Said("workers", "Unhealthy", "last heard of", "airflow-worker-2"), ci=COMPOSE, runtimes=(COMPOSE,), stock=False,
    )  # fmt: skip
    SERVICES_STOPPED = Row(
        "14c", "scheduler, Dag processor, triggerer and Flower stopped, one after the other",
        "told by name and cause within 60 s, healthy within 30 s of the return", "each by its name", stock=False,
    )  # fmt: skip
    CALM = Row(
        "21",
        "30 minutes of short tasks without a fault",
        "0 alarms of health",
        "nothing, which is the bar",
        outage=1800,
        runtimes=(EMBEDDED,),
        stock=False,
    )
    LEADER_KILLED = Row(
        "19a", "controller that leads killed", "another acts within 15 s", LED_ANEW, ci=COMPOSE, stock=False
    )
    LEADER_FROZEN = Row(
        "19b", "controller that leads frozen", "another acts within 15 s, the old one is refused", LED_ANEW, stock=False
    )
    SOAK = Row(
        "20", "soak: short tasks, each minute one random fault of at most 30 s", "0 lost, 0 run twice, none in limbo", "as above of each",
        outage=1200, runtimes=(EMBEDDED,), stock=False,
    )  # fmt: skip

    @property
    def row(self) -> Row:
        """What stands in the table."""
        return self.value
