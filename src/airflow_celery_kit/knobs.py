"""Runs in: the command line; the table of every knob and secret that `.env` may hold.

`.env.example`, `kit init`, validation and `docs/reference/knobs.md` all read this table.
"""

from collections.abc import Callable
from dataclasses import dataclass

from airflow_celery_kit.random_values import fernet_key, signing_key, token


@dataclass(frozen=True)
class Knob:
    """One line of `.env`.

    `make` generates the value of a secret; `pattern` is the regular expression a value must match in full.
    """

    name: str
    help: str
    default: str = ""
    make: Callable[[], str] | None = None
    pattern: str = r".*"

    @property
    def secret(self) -> bool:
        """Whether `kit init` generates the value and nothing may print it."""
        return self.make is not None


@dataclass(frozen=True)
class Group:
    """A titled block of `.env`."""

    title: str
    knobs: tuple[Knob, ...]


NAME = r"[a-z0-9][a-z0-9_-]*"
PORT = r"[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5]"
OCTET = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
ADDRESS = rf"({OCTET}\.){{3}}{OCTET}|[0-9a-fA-F:]*:[0-9a-fA-F:]*"
COUNT = r"[1-9]\d{0,5}"
FEW_OR_NONE = r"[1-9]?\d|[1-4]\d\d|500"
# Shorter than the broker's visibility timeout of a day.
TIMEOUT = r"[1-9]\d{0,3}|[1-7]\d{4}"
# More is not meant (policies/task_policy.py).
RETRIES = r"\d|[1-9]\d|100"
SECONDS = r"[1-9]\d{0,3}s|[1-7]\d{4}s"
SIZE = r"[1-9]\d*[kmg]"
LOG_SIZE = r"[1-9]\d{2,}k|[1-9]\d*[mg]"
CPUS = r"\d+(\.\d+)?"
BOOLEAN = r"true|false"
FOUND = r"auto|true|false"
QUEUE = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
QUEUES = rf"{QUEUE}(,{QUEUE})*"
# Tasks that name no queue go there.
WITH_DEFAULT = rf"({QUEUE},)*default(,{QUEUE})*"
# Built in, or a class of your own as `module.Class`.
POLICY = r"airflow|finish-first|aging|deadline|class|fast-and-heavy|saturation|[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"
OWN = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+"
OWN_ONES = rf"({OWN}(,{OWN})*)?"
FERNET = r"[A-Za-z0-9_-]{43}="
URL = r"https?://[A-Za-z0-9._-]+(:\d+)?(/[A-Za-z0-9._~/-]*)?|https?://\[[0-9a-fA-F:]+\](:\d+)?(/[A-Za-z0-9._~/-]*)?"
# No quote, dollar or white space: such a value means the same in every reader of `.env`.
UNQUOTED = r"[A-Za-z0-9_=.~+/-]{8,}"


def _secret(name: str, help: str, make: Callable[[], str] = token) -> Knob:
    return Knob(name, help, make=make, pattern=UNQUOTED)


def _limits(prefix: str, service: str, cpus: str, memory: str, pids: str) -> tuple[Knob, ...]:
    return (
        Knob(f"{prefix}_CPUS", f"CPU limit of {service}, in cores; Compose only", cpus, pattern=CPUS),
        Knob(f"{prefix}_MEMORY", f"memory limit of {service}; Compose only", memory, pattern=SIZE),
        Knob(f"{prefix}_PIDS", f"limit of processes and threads of {service}; Compose only", pids, pattern=COUNT),
    )


GROUPS = (
    Group(
        "Where and how the stack runs",
        (
            Knob(
                "COMPOSE_PROJECT_NAME",
                "name of the stack; containers and volumes begin with it",
                "lakehouse",
                pattern=NAME,
            ),
            Knob(
                "COMPOSE_PROFILES",
                "optional services: `heavy`: airflow-worker-heavy; on Compose `observability`: Prometheus and Grafana, `prometheus`: that alone",
                "heavy",
                pattern=r"[a-z,]*",
            ),
            Knob("KIT_UID", "user id of every container, owner of the files in `secrets/`", "50000", pattern=COUNT),
            Knob(
                "IMAGE_SOURCE",
                "`registry`: official images; `local`: built from Debian packages and Python wheels; decided once, when an engine answers",
                "",
                pattern=r"registry|local|",
            ),
            Knob(
                "BASE_IMAGE",
                "image that the Airflow image is built on; follows IMAGE_SOURCE",
                "python:3.13.14-slim-trixie",
            ),
            Knob("BIND_ADDRESS", "address that the UI and Flower listen on", "127.0.0.1", pattern=ADDRESS),
            Knob("AIRFLOW_PORT", "port of the UI and API", "8080", pattern=PORT),
            Knob("FLOWER_PORT", "port of Flower", "5555", pattern=PORT),
            Knob("PROMETHEUS_PORT", "port of Prometheus; profile `observability`, Compose only", "9090", pattern=PORT),
            Knob("GRAFANA_PORT", "port of Grafana; profile `observability`, Compose only", "3000", pattern=PORT),
            Knob("POSTGRES_PORT", "loopback port of PostgreSQL; embedded runtime only", "15432", pattern=PORT),
            Knob("VALKEY_PORT", "loopback port of Valkey; embedded runtime only", "16379", pattern=PORT),
        ),
    ),
    Group(
        "Who may log in",
        (
            Knob("AIRFLOW_ADMIN_USER", "first administrator of the UI", "admin", pattern=r"[A-Za-z0-9_.@-]+"),
            _secret("AIRFLOW_ADMIN_PASSWORD", "password that the first administrator is created with"),
            Knob("FLOWER_USER", "login of Flower", "admin", pattern=r"[A-Za-z0-9_.@-]+"),
            _secret("FLOWER_PASSWORD", "password of Flower"),
            _secret("GRAFANA_PASSWORD", "password that Grafana's `admin` is created with; profile `observability`"),
            Knob("FLOWER_READ_ONLY", "`false` lets Flower stop workers and revoke tasks", "true", pattern=BOOLEAN),
        ),
    ),
    Group(
        "Secrets between the services",
        (
            _secret(
                "POSTGRES_PASSWORD",
                "PostgreSQL superuser, for airflow-init and the health check; fixed once the database is made",
            ),
            _secret("AIRFLOW_DB_PASSWORD", "role `airflow`, owner of the metadata database"),
            _secret("CELERY_DB_PASSWORD", "role `celery`, owner of the result database"),
            _secret("KIT_DB_PASSWORD", "role `kit` of the controller, which reads task instances and frees stuck ones"),
            _secret(
                "JOURNAL_WRITER_PASSWORD",
                "role `journal_writer` of the workers, which adds what they and tasks say to the journal",
            ),
            _secret(
                "JOURNAL_SCHEDULER_PASSWORD",
                "role `journal_scheduler` of the scheduler, which adds to the journal what all others say",
            ),
            _secret("JOURNAL_READER_PASSWORD", "role `journal_reader` of the api-server, which reads the journal"),
            _secret("VALKEY_PASSWORD", "broker user `airflow`"),
            _secret("CONTROLLER_PASSWORD", "broker user `kit` of the controller, which reads and tidies"),
            Knob("FERNET_KEY", "encrypts connections and variables", make=fernet_key, pattern=FERNET),
            _secret("JWT_SECRET", "signs the tokens of tasks and of API clients; never given to a worker", signing_key),
            _secret("API_SECRET_KEY", "signs the sessions of the UI"),
            _secret("FLOWER_COOKIE_SECRET", "signs the sessions of Flower"),
            _secret("METRICS_TOKEN", "lets Prometheus read `/kit/v1/metrics` and nothing else"),
        ),
    ),
    Group(
        "Size",
        (
            Knob("WORKERS", "number of airflow-worker instances", "1", pattern=FEW_OR_NONE),
            Knob(
                "CONTROLLERS",
                "number of airflow-controller instances; one acts, the others take over; 0: nothing is repaired",
                "1",
                pattern=FEW_OR_NONE,
            ),
            Knob("WORKER_QUEUES", "queues of each airflow-worker", "default", pattern=WITH_DEFAULT),
            Knob("WORKER_CONCURRENCY", "slots of each airflow-worker", "4", pattern=COUNT),
            Knob("HEAVY_WORKER_QUEUES", "queues of airflow-worker-heavy", "heavy", pattern=QUEUES),
            Knob("HEAVY_WORKER_CONCURRENCY", "slots of airflow-worker-heavy", "1", pattern=COUNT),
            Knob(
                "PARALLELISM",
                "tasks that are queued or running at the same time in the whole stack",
                "32",
                pattern=COUNT,
            ),
            Knob(
                "MAX_ACTIVE_TASKS_PER_DAG",
                "tasks of one Dag run that are queued or running at the same time",
                "16",
                pattern=COUNT,
            ),
            Knob(
                "PRIORITY_POLICY",
                "what runs first: finish-first, aging, deadline, class, fast-and-heavy, saturation, airflow, or your own, `module.Class`",
                "finish-first",
                pattern=POLICY,
            ),
            Knob(
                "LONGEST_WAIT",
                "policies `aging` and `fast-and-heavy`: how long a task that could run may wait for a slot",
                "600s",
                pattern=SECONDS,
            ),
            Knob(
                "TASK_TIMEOUT",
                "seconds after which a task is ended that names no `execution_timeout`",
                "43200",
                pattern=TIMEOUT,
            ),
            Knob(
                "TASK_RETRIES",
                "how often a task that names no `retries` is tried again, a minute apart",
                "2",
                pattern=RETRIES,
            ),
            Knob(
                "QUARANTINE_AFTER",
                "a task that has killed what ran it so many times is set aside; 0: never",
                "3",
                pattern=FEW_OR_NONE,
            ),
            Knob(
                "HEALTH_CHECKS",
                "health checks of your own, as `module.Name` of files in `plugins/`, with commas between them",
                "",
                pattern=OWN_ONES,
            ),
            Knob("JOURNAL_DAYS", "how many days what has ended stays in the journal", "90", pattern=COUNT),
            Knob("JOURNAL", "keep a record of every task and workflow: `on` or `off`", "on", pattern=r"on|off"),
            Knob(
                "METRICS_DAGS",
                "how many Dags have metrics of their own; all others count as `other`",
                "50",
                pattern=FEW_OR_NONE,
            ),
            Knob(
                "TRACES", "`true` tells an OpenTelemetry collector what tasks wait for and do", "false", pattern=BOOLEAN
            ),
            Knob(
                "OTLP_ENDPOINT",
                "its address, as services reach it: OTLP over HTTP",
                "http://127.0.0.1:4318",
                pattern=URL,
            ),
            Knob(
                "KIT_PROFILE",
                "`latency`, `balanced` or `economy`: what is traded between speed and rest",
                "balanced",
                pattern=r"latency|balanced|economy",
            ),
            Knob("MAX_ACTIVE_RUNS_PER_DAG", "runs of one Dag at the same time", "16", pattern=COUNT),
            Knob("LOAD_EXAMPLES", "`true` shows Airflow's own example Dags", "false", pattern=BOOLEAN),
            Knob(
                "STOP_GRACE",
                "how long a stopping worker may take; tasks that still run 30 s before its end are ended",
                "600s",
                pattern=SECONDS,
            ),
            Knob("LOG_MAX_SIZE", "size of a service's log before it is rotated", "10m", pattern=LOG_SIZE),
            Knob(
                "PROMETHEUS_DAYS",
                "how many days Prometheus keeps metrics; profile `observability`",
                "15",
                pattern=COUNT,
            ),
            Knob(
                "LOG_JSON",
                "services log a line of JSON each: `true`, `false`, or `auto`: where a cluster collects them; to systemd's journal where it listens",
                "auto",
                pattern=FOUND,
            ),
            Knob("LOG_MAX_FILES", "rotated logs kept of each service", "3", pattern=COUNT),
        ),
    ),
    Group(
        "Limits",
        (
            *_limits("POSTGRES", "postgres", "2", "1g", "200"),
            *_limits("VALKEY", "valkey", "1", "512m", "50"),
            *_limits("CONTROL", "each of api-server, scheduler, Dag processor, triggerer and init", "2", "2g", "300"),
            *_limits("WORKER", "each airflow-worker", "2", "4g", "500"),
            *_limits("HEAVY_WORKER", "airflow-worker-heavy", "2", "4g", "500"),
            *_limits("CONTROLLER", "each airflow-controller", "1", "256m", "50"),
            *_limits("FLOWER", "airflow-flower", "1", "512m", "100"),
            *_limits("PROMETHEUS", "prometheus", "1", "1g", "100"),
            *_limits("GRAFANA", "grafana", "1", "512m", "100"),
        ),
    ),
)

KNOBS = {knob.name: knob for group in GROUPS for knob in group.knobs}


def render(values: dict[str, str]) -> str:
    """Return the text of an `.env` file: every knob with its comment, valued from `values` or its default."""
    lines = [
        "# Knobs and secrets of one stack. `kit init` fills the secrets in; keep this file to yourself and back it up."
    ]
    for group in GROUPS:
        lines += ["", f"## {group.title}"]
        for knob in group.knobs:
            lines += [f"# {knob.help}", f"{knob.name}={values.get(knob.name, knob.default)}"]
    return "\n".join(lines) + "\n"
