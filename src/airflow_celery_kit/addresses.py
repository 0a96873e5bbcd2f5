"""Runs in: every process that opens a PostgreSQL database; its address as libpq and as SQLAlchemy write it. Pure."""

import re

SCHEME = re.compile(r"^postgres(ql)?(\+\w+)?://")
# What is no address at all may be a password: it is not repeated.
NONE = "an address of a PostgreSQL database begins with postgresql://"


def is_postgres(address: str) -> bool:
    """Return whether an address, libpq's or SQLAlchemy's, is of a PostgreSQL database."""
    return bool(SCHEME.match(address))


def libpq(address: str) -> str:
    """Return an address of either kind as libpq takes it. Raises ValueError."""
    return _with_scheme(address, "postgresql://")


def sqlalchemy(address: str) -> str:
    """Return an address of either kind as SQLAlchemy takes it. Raises ValueError."""
    return _with_scheme(address, "postgresql+psycopg2://")


def _with_scheme(address: str, scheme: str) -> str:
    if not is_postgres(address):
        raise ValueError(NONE)
    return SCHEME.sub(scheme, address)
