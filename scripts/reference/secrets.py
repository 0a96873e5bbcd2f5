"""Runs in: `make docs`; secrets.md, the secret files with their readers."""

import re
from pathlib import Path

from airflow_celery_kit import knobs, secret_files
from airflow_celery_kit.runtimes import services as embedded
from airflow_celery_kit.settings import Settings
from reference.checkout import COMPOSE, SERVICES
from reference.markdown import code, listed, page, table

USES = {
    "postgres_password": "password that the superuser `postgres` is created with",
    "airflow_db_password": "given to the role `airflow` at every start",
    "celery_db_password": "given to the role `celery` at every start",
    "pgpass_superuser": "health check of PostgreSQL",
    "pgpass_init": "opens the server as superuser, and both databases as their owners",
    "pgpass_metadata": "opens the metadata database",
    "pgpass_apiserver": "opens the metadata database, and the journal for reading",
    "pgpass_scheduler": "opens the metadata and the result database, and the journal for adding events",
    "pgpass_worker": "opens the result database, and the journal for adding events of workers and tasks, and nothing else",
    "pgpass_controller": "opens the metadata and the result database for the few rights of the role `kit`",
    "journal_writer_password": "given to the role `journal_writer` at every start",
    "journal_scheduler_password": "given to the role `journal_scheduler` at every start",
    "journal_reader_password": "given to the role `journal_reader` at every start",
    "kit_db_password": "given to the role `kit` at every start",
    "controller_password": "login at the broker, to read and to tidy",
    "valkey_password": "login at the broker; on the broker itself for its health check",
    "valkey_users": "users and rights of the broker; holds a digest, not the password",
    "fernet_key": "encrypts connections and variables in the metadata database",
    "jwt_secret": "signs the tokens of tasks and API clients",
    "api_secret_key": "signs the sessions of the UI",
    "admin_password": "password that the first administrator is created with",
    "flower_password": "login at Flower; also for its health check",
    "flower_cookie_secret": "signs the sessions of Flower",
    "metrics_token": "opens `/kit/v1/metrics` and nothing else",
    "grafana_password": "password of Grafana's `admin`; profile `observability`",
    "ca_bundle": "certificates that the image build trusts; empty where none are needed",
    "index_url": "package index of the image build, with its login; empty for the default one",
}
# What the launcher itself does with a file on the embedded runtime, besides the services.
USED_BY_KIT = {
    "postgres_password": "the knob itself, by `kit`, when it makes the cluster",
    "pgpass_superuser": "`kit` for its health check",
    "valkey_users": "copied for Valkey by `kit`",
    "valkey_password": "`kit` for its health check",
}


def secrets_page() -> str:
    """The secret files."""
    intro = (
        "`kit init` writes these files into `secrets/` from the values in `.env`. Each service gets the files it needs "
        "and no others. Their owner alone can read them: the user that ran `kit init`, or the user `KIT_UID` when "
        "that was root. `secrets/env` is a copy of `.env`, from which a lost `.env` is restored."
    )
    titles = ("File", "Holds", "For", "Compose", "Embedded")
    sources = "`secret_files.py`, `docker-compose.yml` and `services.py`"
    return page("Secrets", sources, intro, table(titles, map(secret_row, COMPOSE["secrets"])))


def secret_row(name: str) -> tuple[str, str, str, str, str]:
    """One file, what it holds and who reads it."""
    return code(name), content_of(name), USES[name], compose_readers(name), embedded_readers(name)


def content_of(name: str) -> str:
    """What a file holds, with the names of knobs in place of their values."""
    if name not in secret_files.FILES:
        return "what the environment of `kit init` names"
    if name == "valkey_users":
        return "Valkey's ACL file, with the SHA-256 of `VALKEY_PASSWORD` and `CONTROLLER_PASSWORD`"
    values = {knob: f"<{knob}>" for knob in knobs.KNOBS}
    return "<br>".join(code(line) for line in secret_files.FILES[name](values).splitlines())


def compose_readers(name: str) -> str:
    """The services that mount a file."""
    readers = [service for service, one in SERVICES.items() if name in one.get("secrets", ())]
    return listed(readers) or "image builds"


def embedded_readers(name: str) -> str:
    """The processes that are told where a file is."""
    told = [service.name for service in embedded.BY_NAME.values() if name in files_of(service)]
    return ", ".join(filter(None, (listed(told), USED_BY_KIT.get(name)))) or "nobody"


def files_of(service: embedded.Service) -> set[str]:
    """The secret files that an embedded service's environment names; airflow-init is given the folder."""
    settings = Settings(Path("checkout"), {name: knob.default for name, knob in knobs.KNOBS.items()})
    merged = {name: value for group in service.groups for name, value in group(settings).items()}
    named = set(re.findall(r"checkout/secrets/(\w+)", " ".join(merged.values())))
    every = {
        name
        for name in secret_files.FILES
        if name.endswith("_db_password") or re.fullmatch("journal_.*_password", name)
    }
    return named | (every | {"admin_password"} if "KIT_SECRETS" in merged else set())
