"""Runs in: every process that opens a PostgreSQL database; its address as libpq and as SQLAlchemy write it. Pure."""

import re

SCHEME = re.compile(r"^postgres(ql)?(\+\w+)?://")


def is_postgres(address: str) -> bool:
    """Return whether an address, libpq's or SQLAlchemy's, is of a PostgreSQL database."""
    return bool(SCHEME.match(address))


def libpq(address: str) -> str:
    """Return an address of either kind as libpq takes it."""
    return SCHEME.sub("postgresql://", address)


def sqlalchemy(address: str) -> str:
    """Return an address of either kind as SQLAlchemy takes it."""
    return SCHEME.sub("postgresql+psycopg2://", address)
