"""Runs in: airflow-apiserver; what is known of limits and breakers, from the metadata database."""

from typing import Any

from sqlalchemy import text

LIMITS = text("SELECT * FROM kit.limits_told()")
BREAKERS = text("SELECT * FROM kit.breakers_told()")
UNKNOWN = text("""
SELECT DISTINCT name FROM kit.guard_said, LATERAL jsonb_array_elements_text(said -> 'limit') AS name
WHERE NOT EXISTS (SELECT FROM kit.guard WHERE id = 'limit ' || name) ORDER BY name
""")
FAULTS = text(
    "SELECT count(*) AS count, max(at) AS at, (array_agg(what ORDER BY id DESC))[1] AS last FROM kit.guard_fault"
)
FILE = text("SELECT problem, at FROM kit.guard_file WHERE what = 'limits.yaml'")
CHECKS = text("SELECT facts -> 'checks' FROM kit.seen WHERE what = 'health'")
BY_CHECK = text("""
SELECT name AS breaker, check_name AS check, origin FROM kit.guard WHERE kind = 'breaker' AND check_name IS NOT NULL ORDER BY name
""")
WAITS = text("SELECT because, since FROM kit.waits(:task)")


def limits(session: Any) -> dict[str, Any]:
    """Return every limit with what it holds, what Dags and breakers name that is not there, mistakes, and the problem of the file."""
    file, faults = session.execute(FILE).one_or_none(), session.execute(FAULTS).one()
    checks = session.execute(CHECKS).scalar()
    by_check = [] if checks is None else [plain(row) for row in session.execute(BY_CHECK)]
    return {
        "limits": [plain(row) for row in session.execute(LIMITS)],
        "unknown": [row.name for row in session.execute(UNKNOWN)],
        "checks": checks,
        "unknown_checks": [one for one in by_check if one["check"] not in checks],
        "faults": plain(faults),
        "file": plain(file) if file else {"problem": "", "at": None},
    }


def breakers(session: Any) -> list[dict[str, Any]]:
    """Return every breaker with its state; one that is counted by something is there once for each."""
    return [plain(row) for row in session.execute(BREAKERS)]


def waits(session: Any, task: Any) -> dict[str, Any]:
    """Return what a task waits for, and since when; nothing where no limit and no breaker keeps it out."""
    row = session.execute(WAITS, {"task": task}).one_or_none()
    return {"waits_for": row.because if row else None, "since": row.since.isoformat() if row else None}


def plain(row: Any) -> dict[str, Any]:
    """Return a row as JSON takes it."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row._mapping.items()}
