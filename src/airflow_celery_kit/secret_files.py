"""Runs in: `kit init` and the embedded runtime; one file for each reader's need, made from `.env`.

A service is given the files it needs and no others, so a worker's password file opens the result database alone.
"""

import os
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

from airflow_celery_kit.settings import Settings

Values = Mapping[str, str]

# Celery needs INFO for its start-up check and KEYS for purging; ADMIN and DANGEROUS hold everything that
# reconfigures, wipes or spies on the server. Scripting stays: kombu and its locks use it.
BROKER_RULES = "~* &* +@all -@admin -@dangerous +info +keys"


def _pgpass(*lines: tuple[str, str, str]) -> Callable[[Values], str]:
    """Return a renderer of libpq's password file; each line is (database, role, knob of the password)."""
    return lambda values: "".join(f"*:*:{database}:{role}:{values[knob]}\n" for database, role, knob in lines)


def _plain(knob: str) -> Callable[[Values], str]:
    return lambda values: values[knob]


# The controller reads everything, removes what nobody will acknowledge or read any more, and dates a delivery back.
CONTROLLER_RULES = (
    "~* -@all +@read +@connection +info +multi +exec +del +hset +hdel +zadd +zrem +srem +eval +lrem +lpush +rpush +time"
)


def _users(values: Values) -> str:
    users = (("airflow", "VALKEY_PASSWORD", BROKER_RULES), ("kit", "CONTROLLER_PASSWORD", CONTROLLER_RULES))
    lines = [f"user {name} on #{sha256(values[knob].encode()).hexdigest()} {rules}" for name, knob, rules in users]
    return "\n".join(["user default off", *lines]) + "\n"


SUPERUSER = ("*", "postgres", "POSTGRES_PASSWORD")
METADATA = ("airflow", "airflow", "AIRFLOW_DB_PASSWORD")
RESULTS = ("celery", "celery", "CELERY_DB_PASSWORD")
CONTROLLER = ("*", "kit", "KIT_DB_PASSWORD")
JOURNAL_WRITER = ("kit", "journal_writer", "JOURNAL_WRITER_PASSWORD")
JOURNAL_SCHEDULER = ("kit", "journal_scheduler", "JOURNAL_SCHEDULER_PASSWORD")
JOURNAL_READER = ("kit", "journal_reader", "JOURNAL_READER_PASSWORD")

FILES: dict[str, Callable[[Values], str]] = {
    "postgres_password": _plain("POSTGRES_PASSWORD"),
    "airflow_db_password": _plain("AIRFLOW_DB_PASSWORD"),
    "celery_db_password": _plain("CELERY_DB_PASSWORD"),
    "pgpass_superuser": _pgpass(SUPERUSER),
    "pgpass_init": _pgpass(SUPERUSER, METADATA, RESULTS),
    "pgpass_metadata": _pgpass(METADATA),
    "pgpass_apiserver": _pgpass(METADATA, JOURNAL_READER),
    "pgpass_scheduler": _pgpass(METADATA, RESULTS, JOURNAL_SCHEDULER),
    "pgpass_worker": _pgpass(RESULTS, JOURNAL_WRITER),
    "pgpass_controller": _pgpass(CONTROLLER),
    "kit_db_password": _plain("KIT_DB_PASSWORD"),
    "journal_writer_password": _plain("JOURNAL_WRITER_PASSWORD"),
    "journal_scheduler_password": _plain("JOURNAL_SCHEDULER_PASSWORD"),
    "journal_reader_password": _plain("JOURNAL_READER_PASSWORD"),
    "controller_password": _plain("CONTROLLER_PASSWORD"),
    "valkey_password": _plain("VALKEY_PASSWORD"),
    "valkey_users": _users,
    "fernet_key": _plain("FERNET_KEY"),
    "jwt_secret": _plain("JWT_SECRET"),
    "api_secret_key": _plain("API_SECRET_KEY"),
    "admin_password": _plain("AIRFLOW_ADMIN_PASSWORD"),
    "flower_password": _plain("FLOWER_PASSWORD"),
    "flower_cookie_secret": _plain("FLOWER_COOKIE_SECRET"),
    "metrics_token": _plain("METRICS_TOKEN"),
    "grafana_password": _plain("GRAFANA_PASSWORD"),
}


def write(settings: Settings) -> list[str]:
    """Write every secret file that is missing or differs from `.env`; return the names of those it wrote.

    Files are readable by their owner alone (libpq insists). As root they are given to `KIT_UID`, the user of
    every container; an ordinary user's are their own.
    """
    settings.secrets.mkdir(mode=0o700, exist_ok=True)
    return [name for name, render in FILES.items() if _write(settings, name, render(settings.values))]


def stale(settings: Settings) -> list[str]:
    """Return the names of the files that are missing or differ from `.env`."""
    return [name for name, render in FILES.items() if _read(settings.secrets / name) != render(settings.values)]


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def _write(settings: Settings, name: str, text: str) -> bool:
    path = settings.secrets / name
    if _read(path) == text:
        return False
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    if os.geteuid() == 0:
        os.chown(path, settings.number("KIT_UID"), 0)
    return True
