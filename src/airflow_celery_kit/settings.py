"""Runs in: the command line and the embedded runtime's launcher; the only reader of `.env`.

`Settings.load` is called once at a process's entry; everything else is handed the frozen object.
"""

import io
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.knobs import KNOBS

Env = Mapping[str, str | None]

MARKER = Path("config", "airflow.env")
# Who listens everywhere is reached on loopback.
EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def find_root(start: Path | None = None) -> Path:
    """Return the checkout that `start` (the working folder by default) lies in; `KIT_ROOT` decides it by hand.

    Raises ConfigurationError outside a checkout.
    """
    start = Path(os.environ.get("KIT_ROOT") or start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / MARKER).is_file():
            return _usable(folder)
    raise ConfigurationError(f"{start} is not in a checkout of the kit: change to its folder or set KIT_ROOT")


def _usable(folder: Path) -> Path:
    if bad := set(str(folder)) & set("%;'\"\n$"):
        raise ConfigurationError(f"the checkout's path must not contain {' '.join(map(repr, sorted(bad)))}: move it")
    return folder


@dataclass(frozen=True)
class Settings:
    """One stack: where its checkout is and what its `.env` says.

    `values` holds every knob as text; it never appears in `repr`, because secrets are among them.
    """

    root: Path
    values: Mapping[str, str] = field(repr=False)

    @classmethod
    def load(cls, root: Path | None = None) -> "Settings":
        """Read and check `.env`. Raises ConfigurationError when it is missing, half-written or has a bad value."""
        root = root or find_root()
        found = read_env_file(root / ".env")
        if found is None:
            raise ConfigurationError(f"{root / '.env'} is missing: run 'make' or 'kit init' first")
        check(found, root / ".env")
        return cls(root, {name: found[name] or "" for name in KNOBS})

    def __getitem__(self, name: str) -> str:
        return self.values[name]

    def number(self, name: str) -> int:
        """Return a knob that holds a count, a port, or a duration such as `600s`, as an integer."""
        return int(self.values[name].rstrip("s"))

    @property
    def env_file(self) -> Path:
        """The file the values came from."""
        return self.root / ".env"

    @property
    def var(self) -> Path:
        """Folder of everything the embedded runtime writes."""
        return self.root / "var"

    @property
    def secrets(self) -> Path:
        """Folder of the secret files, one for each reader's need."""
        return self.root / "secrets"

    @property
    def project(self) -> str:
        """Name of the stack."""
        return self.values["COMPOSE_PROJECT_NAME"]

    @property
    def host(self) -> str:
        """The address at which this machine reaches UI and Flower itself, as URLs write it."""
        bind = self.values["BIND_ADDRESS"]
        if bind in EVERY_ADDRESS:
            return EVERY_ADDRESS[bind]
        return f"[{bind}]" if ":" in bind else bind

    def url(self, port_knob: str) -> str:
        """Return the address a browser on this machine uses for the service behind `port_knob`."""
        return f"http://{self.host}:{self.values[port_knob]}"


def read_env_file(path: Path) -> Env | None:
    """Return the assignments of `path`, or None when there is no such file. Raises ConfigurationError when it is not text."""
    try:
        return parse_env(path.read_text(encoding="utf-8")) if path.is_file() else None
    except UnicodeDecodeError as problem:
        raise ConfigurationError(
            f"{path} is not a text file (UTF-8): put it back from secrets/env or a backup"
        ) from problem


def parse_env(text: str) -> Env:
    """Return the assignments in the text of an `.env` file; None for a name without a value."""
    return dotenv_values(stream=io.StringIO(text), interpolate=False)


def check(found: Env, path: Path) -> None:
    """Raise ConfigurationError for the first group of problems in an `.env` file, by name and with the cure."""
    if missing := [name for name in KNOBS if found.get(name) is None]:
        raise ConfigurationError(
            f"{path} lacks {_some(missing)}: run 'kit init', it adds what is missing and keeps the rest"
        )
    if empty := [name for name, knob in KNOBS.items() if knob.secret and not found[name]]:
        raise ConfigurationError(
            f"{path}: secret {_some(empty)} is empty: put the old value back, or delete the line and run 'kit init' for a new one"
        )
    for name, knob in KNOBS.items():
        value = found[name] or ""
        if not re.fullmatch(knob.pattern, value):
            shown = "its value" if knob.secret else repr(value)
            raise ConfigurationError(
                f"{path}: {name} cannot be {shown}: {knob.help} (such as {knob.default or 'kit init makes it'})"
            )
    _refuse_equal_ports(found, path)


def _refuse_equal_ports(found: Env, path: Path) -> None:
    ports = {name: found[name] for name in KNOBS if name.endswith("_PORT")}
    for name, port in ports.items():
        if twin := next((other for other in ports if other > name and ports[other] == port), None):
            raise ConfigurationError(f"{path}: {name} and {twin} are both {port}: give one of them another port")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
