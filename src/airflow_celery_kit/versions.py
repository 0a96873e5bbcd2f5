"""Runs in: every service, once at its start; the versions that all services of a stack should have in common."""

from importlib.metadata import PackageNotFoundError, version

PACKAGES = {"kit": "airflow-celery-kit", "Airflow": "apache-airflow-core", "Celery": "celery"}


def installed() -> dict[str, str]:
    """Return the version of each package that is there."""
    found = {}
    for name, package in PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found
