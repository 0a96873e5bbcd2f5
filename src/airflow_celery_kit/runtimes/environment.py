"""Runs in: the embedded runtime; the addresses, ports, paths and secrets that docker-compose.yml sets for containers.

Every other setting comes from `config/airflow.env`, a profile and a service's own file, as it does there.
"""

import shlex
import string
from collections.abc import Mapping

from dotenv import dotenv_values

from airflow_celery_kit.settings import Settings

LOOPBACK = "127.0.0.1"
# What tasks need for the outside world passes through, `AIRFLOW_CONN_*` too; settings of another Airflow, Flower or
# libpq do not. Without bytecode files every process would compile all of Airflow again.
FOREIGN = ("AIRFLOW__", "AIRFLOW_HOME", "AIRFLOW_CONFIG", "CELERY_", "FLOWER_", "KIT_", "PG", "PYTHONDONTWRITEBYTECODE")


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment without what would configure Airflow, and with loopback kept off proxies."""
    kept = {name: value for name, value in environment.items() if not name.startswith(FOREIGN)}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, (environment.get(name), LOOPBACK, "localhost")))
    return kept


def airflow_settings(settings: Settings, *own: str) -> dict[str, str]:
    """Return `config/airflow.env`, the chosen profile and a service's `own` files with the knobs of `.env` filled in, as Compose does."""
    names = ("airflow.env", f"profiles/{settings['KIT_PROFILE']}.env", *own)
    files = [settings.root / "config" / name for name in names]
    found = {name: value for file in files for name, value in dotenv_values(file, interpolate=False).items()}
    return {name: string.Template(value or "").substitute(settings.values) for name, value in found.items()}


def addresses(settings: Settings) -> dict[str, str]:
    """Return where things are for every Airflow process."""
    return {
        "AIRFLOW_HOME": str(settings.var / "airflow"),
        "AIRFLOW_CONFIG": str(settings.root / "config" / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.root / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.root / "plugins"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.url('AIRFLOW_PORT')}/execution/",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(settings.var / "airflow" / "logs"),
        "KIT_ROUTING_FILE": str(settings.root / "config" / "routing.yaml"),
        "KIT_HOUSEKEEPING_FILE": str(settings.root / "config" / "housekeeping.yaml"),
        "KIT_LIMITS_FILE": str(settings.root / "config" / "limits.yaml"),
        "KIT_OUTPUT_DIR": str(settings.var / "output"),
    }


def metadata(settings: Settings) -> dict[str, str]:
    """Return what opens the metadata database."""
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://airflow@{LOOPBACK}:{settings['POSTGRES_PORT']}/airflow",
        "AIRFLOW__CORE__FERNET_KEY_CMD": _cat(settings, "fernet_key"),
        "PGPASSFILE": str(settings.secrets / "pgpass_metadata"),
    }


def broker(settings: Settings) -> dict[str, str]:
    """Return what opens the broker."""
    return {
        "AIRFLOW__CELERY__BROKER_URL": f"redis://{LOOPBACK}:{settings['VALKEY_PORT']}/0",
        "KIT_BROKER_USER": "airflow",
        "KIT_BROKER_PASSWORD_FILE": str(settings.secrets / "valkey_password"),
    }


def controller(settings: Settings) -> dict[str, str]:
    """Return what opens both databases and the broker for the controller, as users of its own."""
    server = f"postgresql://kit@{LOOPBACK}:{settings['POSTGRES_PORT']}"
    return {
        "KIT_METADATA_CONN": f"{server}/airflow",
        "KIT_RESULTS_CONN": f"{server}/celery",
        "KIT_JOURNAL_CONN": f"{server}/kit",
        "KIT_APISERVER_URL": settings.url("AIRFLOW_PORT"),
        "KIT_FLOWER_URL": settings.url("FLOWER_PORT"),
        "PGPASSFILE": str(settings.secrets / "pgpass_controller"),
        "AIRFLOW__CELERY__BROKER_URL": f"redis://{LOOPBACK}:{settings['VALKEY_PORT']}/0",
        "KIT_BROKER_USER": "kit",
        "KIT_BROKER_PASSWORD_FILE": str(settings.secrets / "controller_password"),
    }


def results(settings: Settings) -> dict[str, str]:
    """Return what opens the result database."""
    return {
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql://celery@{LOOPBACK}:{settings['POSTGRES_PORT']}/celery",
        "PGPASSFILE": str(settings.secrets / "pgpass_worker"),
    }


def journal_writer(settings: Settings) -> dict[str, str]:
    """Return where events of workers and tasks wait and where they go."""
    return {
        "KIT_JOURNAL_CONN": f"postgresql://journal_writer@{LOOPBACK}:{settings['POSTGRES_PORT']}/kit",
        "KIT_SPOOL_DIR": str(settings.var / "airflow" / "spool" / "workers"),
    }


def journal_scheduler(settings: Settings) -> dict[str, str]:
    """Return the same for the scheduler, whose events no task may write."""
    return {
        "KIT_JOURNAL_CONN": f"postgresql://journal_scheduler@{LOOPBACK}:{settings['POSTGRES_PORT']}/kit",
        "KIT_SPOOL_DIR": str(settings.var / "airflow" / "spool" / "scheduler"),
    }


def journal_reader(settings: Settings) -> dict[str, str]:
    """Return what opens the journal for reading, and the one password file that opens the metadata database too."""
    return {
        "KIT_JOURNAL_CONN": f"postgresql://journal_reader@{LOOPBACK}:{settings['POSTGRES_PORT']}/kit",
        "PGPASSFILE": str(settings.secrets / "pgpass_apiserver"),
    }


def init(settings: Settings) -> dict[str, str]:
    """Return what airflow-init needs on top of the metadata database."""
    return {
        "PGPASSFILE": str(settings.secrets / "pgpass_init"),
        "AIRFLOW_ADMIN_USER": settings["AIRFLOW_ADMIN_USER"],
        "KIT_SECRETS": str(settings.secrets),
    }


def scheduler(settings: Settings) -> dict[str, str]:
    """Return the one password file that opens both databases."""
    return {"PGPASSFILE": str(settings.secrets / "pgpass_scheduler")}


def signing(settings: Settings) -> dict[str, str]:
    """Return what signs tokens; a worker never gets it."""
    return {"AIRFLOW__API_AUTH__JWT_SECRET_CMD": _cat(settings, "jwt_secret")}


def sessions(settings: Settings) -> dict[str, str]:
    """Return what signs the sessions of the UI."""
    return {"AIRFLOW__API__SECRET_KEY_CMD": _cat(settings, "api_secret_key")}


def scraped(settings: Settings) -> dict[str, str]:
    """Return what lets Prometheus read the metrics."""
    return {"KIT_METRICS_TOKEN_FILE": str(settings.secrets / "metrics_token")}


def flower(settings: Settings) -> dict[str, str]:
    """Return Flower's login."""
    return {
        "FLOWER_READ_ONLY": settings["FLOWER_READ_ONLY"],
        "KIT_FLOWER_USER": settings["FLOWER_USER"],
        "KIT_FLOWER_PASSWORD_FILE": str(settings.secrets / "flower_password"),
        "KIT_FLOWER_COOKIE_FILE": str(settings.secrets / "flower_cookie_secret"),
    }


def _cat(settings: Settings, name: str) -> str:
    # Airflow splits the command with shlex.
    return shlex.join(["cat", str(settings.secrets / name)])
