"""Runs in: every service, once at its start; what may be said of its secrets: a salted hash, whether others may read it, whether it is a default."""

import os
import shlex
import stat
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

# By what people call them; Airflow also takes `_CMD` behind the name of a variable.
SECRETS = {
    "Fernet key": "AIRFLOW__CORE__FERNET_KEY",
    "JWT secret": "AIRFLOW__API_AUTH__JWT_SECRET",
    "session key": "AIRFLOW__API__SECRET_KEY",
}
FILES = {"broker password": "KIT_BROKER_PASSWORD_FILE"}
# What quick starts and examples have, and what is too short to be a secret.
DEFAULTS = {"airflow", "admin", "password", "secret", "changeme", "default", "temporary_key", "airflow_jwt_secret"}
LEAST_CHARACTERS = 12


def about(environment: Mapping[str, str], salt: str) -> dict[str, Any]:
    """Return `hashes` by name, and the names of those that are `exposed` to every user of the machine, or `weak`."""
    found = {name: place for name in (*SECRETS, *FILES) if (place := _place(name, environment))}
    known = {name: value.strip() for name, (path, value) in found.items() if value.strip()}
    return {
        "hashes": {name: digest(value, salt) for name, value in known.items()},
        "exposed": sorted(name for name, (path, _) in found.items() if path and readable_by_all(path)),
        "weak": sorted(name for name, value in known.items() if is_weak(value)),
    }


def digest(value: str, salt: str) -> str:
    """Return sixteen hexadecimal digits that say whether two services have the same secret, and nothing else."""
    return blake2b(value.encode(), key=salt.encode()[:64], digest_size=8).hexdigest()


def is_weak(value: str) -> bool:
    """Return whether a secret is a known default, or short enough to be guessed."""
    return value.lower() in DEFAULTS or len(value) < LEAST_CHARACTERS


def readable_by_all(path: Path) -> bool:
    """Return whether every user of the machine may read a file."""
    try:
        return bool(os.stat(path).st_mode & stat.S_IROTH)
    except OSError:
        return False


def _place(name: str, environment: Mapping[str, str]) -> tuple[Path | None, str] | None:
    """Return the file of a secret, where it is in one, and its value; None for one that this service was not given."""
    variable = SECRETS.get(name) or FILES[name]
    if name in SECRETS and environment.get(variable):
        return None, environment[variable]
    if name in FILES:
        named = environment.get(variable)
    else:
        words = shlex.split(environment.get(f"{variable}_CMD", ""))
        named = words[1] if len(words) == 2 and words[0] == "cat" else None
    try:
        return (Path(named), Path(named).read_text()) if named else None
    except OSError:
        return None
