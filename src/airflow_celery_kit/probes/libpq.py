"""Runs in: health checks; one query through libpq, PostgreSQL's own client library, as psycopg2's wheel carries it.

Importing psycopg2 costs twice what a whole check may need on a slow machine (ADR 0006); the C library underneath is the
same, with the same password file and the same messages.
"""

import ctypes
import os
import sys

CONNECTED, ROWS = 0, 2
FOLDER = "psycopg2_binary.libs"


class QueryError(Exception):
    """PostgreSQL is away, refuses or cannot answer; the text is libpq's."""


def first_row(conn: str, query: str, parameters: tuple[str, ...]) -> list[str] | None:
    """Return the first row's columns as text, None when there is no row.

    `conn` is a libpq URI or keyword string; libpq reads `PGPASSFILE` and its other variables as ever. `query` numbers
    its parameters `$1`, `$2`. Raises QueryError.
    """
    libpq = _library()
    connection = libpq.PQconnectdb(conn.encode())
    try:
        if libpq.PQstatus(connection) != CONNECTED:
            raise QueryError(libpq.PQerrorMessage(connection).decode(errors="replace").strip())
        values = (ctypes.c_char_p * len(parameters))(*(one.encode() for one in parameters))
        result = libpq.PQexecParams(connection, query.encode(), len(parameters), None, values, None, None, 0)
        if libpq.PQresultStatus(result) != ROWS:
            raise QueryError(libpq.PQerrorMessage(connection).decode(errors="replace").strip())
        if not libpq.PQntuples(result):
            return None
        return [libpq.PQgetvalue(result, 0, column).decode() for column in range(libpq.PQnfields(result))]
    finally:
        # What is left goes with the process, which ends here.
        libpq.PQfinish(connection)


def _library() -> ctypes.CDLL:
    """Load libpq from beside the installed psycopg2. Raises QueryError when the wheel has none."""
    libpq = ctypes.CDLL(_path())
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, answer, *takes in (
        ("PQconnectdb", pointer, text),
        ("PQstatus", number, pointer),
        ("PQerrorMessage", text, pointer),
        ("PQexecParams", pointer, pointer, text, number, pointer, pointer, pointer, pointer, number),
        ("PQresultStatus", number, pointer),
        ("PQntuples", number, pointer),
        ("PQnfields", number, pointer),
        ("PQgetvalue", text, pointer, number, number),
        ("PQfinish", None, pointer),
    ):
        function = getattr(libpq, name)
        function.restype, function.argtypes = answer, takes
    return libpq


def _path() -> str:
    folders = [f"{folder}/{FOLDER}" for folder in sys.path if os.path.isdir(f"{folder}/{FOLDER}")]
    for folder in folders:
        for name in os.listdir(folder):
            if name.startswith("libpq-"):
                return f"{folder}/{name}"
    raise QueryError("no libpq here: psycopg2-binary is not installed as its wheel")
