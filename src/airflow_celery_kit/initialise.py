"""Runs in: `kit init`, which `kit up` calls when there is no `.env`; makes `.env`, `secrets/` and the folders.

What is there is kept. Nothing is written before everything was checked.
"""

import hashlib
import os
from pathlib import Path

from airflow_celery_kit import env_file, knobs, secret_files
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.runtimes import compose, docker_engine, ports
from airflow_celery_kit.runtimes.base import Say
from airflow_celery_kit.runtimes.servers import Servers
from airflow_celery_kit.settings import Env, Settings, check, parse_env, read_env_file

# Any user but root may be the containers' user; this is the one of the official Airflow image.
UID_FOR_ROOT = "50000"
# Secrets that data was made with, and how a change is meant where it is.
FIXED = {
    "POSTGRES_PASSWORD": ", or, where you changed it in the database too, remove secrets/env",
    "FERNET_KEY": "; to change it, see 'airflow rotate-fernet-key' and remove secrets/env",
}
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")


def initialise(root: Path, say: Say) -> Settings:
    """Make whatever of `.env`, `secrets/` and folders is missing and return the settings.

    What `.env` lacks is taken from its copy in `secrets/`, else made anew; lines that are there stay as they are.
    Raises ConfigurationError for a bad value, and when data is there whose secrets are gone.
    """
    path, copy = root / ".env", root / "secrets" / "env"
    backup = copy.read_text() if copy.is_file() else ""
    read_env_file(path)
    text = path.read_text() if path.is_file() else ""
    whole = without_cut_line(text, parse_env(backup)) or backup
    found, kept = parse_env(whole), parse_env(backup)
    missing = [name for name in knobs.KNOBS if found.get(name) is None]
    if any(name in FIXED and name not in kept for name in missing):
        refuse_orphaned_data(root)
    refuse_changed(root, found, kept)
    values = complete(root, found, kept, say)
    wanted = knobs.render(values) if not whole else whole + "".join(f"{name}={values[name]}\n" for name in missing)
    check(parse_env(wanted), path)
    if wanted != text:
        env_file.write(path, wanted)
        say(f"{'completed' if text else 'restored' if kept else 'wrote'} .env{' from secrets/env' if kept else ''}")
    return finish(Settings.load(root), say)


def without_cut_line(text: str, kept: Env) -> str:
    """Return an `.env`'s text with all lines ended; a last one that was cut off while it was written is left out."""
    _, _, tail = text.rpartition("\n")
    if not tail:
        return text
    name, has_value, value = tail.partition("=")
    cut = not has_value or (
        name in knobs.KNOBS and (kept.get(name) or "") != value and (kept.get(name) or value).startswith(value)
    )
    return text[: len(text) - len(tail)] if cut else text + "\n"


def finish(settings: Settings, say: Say) -> Settings:
    """Make secret files, their copy of `.env`, and folders."""
    make_folders(settings)
    if written := secret_files.write(settings):
        say(f"wrote {len(written)} files in secrets/")
    env_file.write(settings.secrets / "env", settings.env_file.read_text())
    for name, variables in (("ca_bundle", CA_VARIABLES), ("index_url", INDEX_VARIABLES)):
        _build_secret(settings.secrets / name, variables)
    return settings


def complete(root: Path, found: Env, kept: Env, say: Say) -> dict[str, str]:
    """Return a value for every knob: the one found, the one kept, a generated secret, or a default that fits."""
    values = {knob.name: knob.make() if knob.make else knob.default for knob in knobs.KNOBS.values()}
    if not found and not kept:
        values |= fitted(root, say)
    for known in (kept, found):
        values |= {name: value for name, value in known.items() if name in values and value is not None}
    return values


def fitted(root: Path, say: Say) -> dict[str, str]:
    """Return the defaults that depend on the machine: user, project name, free ports, cores."""
    values = {
        "KIT_UID": str(os.geteuid()) if os.geteuid() else UID_FOR_ROOT,
        "COMPOSE_PROJECT_NAME": project_name(root),
    }
    taken: set[int] = set()
    for name in ("AIRFLOW_PORT", "FLOWER_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT", "POSTGRES_PORT", "VALKEY_PORT"):
        wanted = int(knobs.KNOBS[name].default)
        free = ports.next_free(wanted, taken=frozenset(taken))
        taken.add(free)
        values[name] = str(free)
        if free != wanted:
            say(f"port {wanted} is taken: {name}={free}")
    cores = os.cpu_count() or 1
    small = {
        name: str(cores) for name, knob in knobs.KNOBS.items() if name.endswith("_CPUS") and float(knob.default) > cores
    }
    return values | small


def project_name(root: Path) -> str:
    """Return `lakehouse`, or `lakehouse-` and a part of the checkout's hash where another stack has that name."""
    default = knobs.KNOBS["COMPOSE_PROJECT_NAME"].default
    if not docker_engine.answers() or not (compose.has_data(default) or docker_engine.containers(default)):
        return default
    return f"{default}-{hashlib.sha256(str(root).encode()).hexdigest()[:6]}"


def refuse_orphaned_data(root: Path) -> None:
    """Raise ConfigurationError when this checkout has a database but its secrets stand nowhere any more."""
    if place := place_of_data(root, {}):
        raise ConfigurationError(
            f"secrets are missing in .env, and {place} holds data made with them: "
            "put .env back from a backup, or begin anew with 'kit down --delete-data --yes'"
        )


def refuse_changed(root: Path, found: Env, kept: Env) -> None:
    """Raise ConfigurationError when a secret that a database was made with is another one now; its copy stays."""
    for name, cure in FIXED.items():
        if found.get(name) and kept.get(name) and found[name] != kept[name] and (place := place_of_data(root, found)):
            raise ConfigurationError(
                f"{name} is not the one that {place} was made with: put the one of secrets/env back{cure}"
            )


def place_of_data(root: Path, found: Env) -> str:
    """Return where this checkout has a database, nothing where there is none."""
    settings = Settings(root, {name: found.get(name) or knob.default for name, knob in knobs.KNOBS.items()})
    servers = Servers.of(settings)
    if servers.has_data:
        return str(servers.postgres_data)
    if settings.var.is_dir() and docker_engine.answers() and compose.has_data(settings.project):
        return f"volume {settings.project}_postgres-data"
    return ""


def make_folders(settings: Settings) -> None:
    """Make the folders that containers and processes write to; as root the containers' user gets them."""
    output = settings.var / "output"
    output.mkdir(parents=True, exist_ok=True)
    settings.secrets.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(output, settings.number("KIT_UID"), 0)


def _build_secret(path: Path, variables: tuple[str, ...]) -> None:
    """Keep the builder's CA bundle or index address in a file that the image build mounts; empty where none was ever set."""
    value = next((os.environ[name] for name in variables if os.environ.get(name)), "")
    if path.is_file() and not value:
        return
    env_file.write(path, Path(value).read_text() if path.name == "ca_bundle" and Path(value).is_file() else value)
