"""Runs in: airflow-apiserver; what is known of limits and breakers, from the metadata database."""

from typing import Any

from sqlalchemy import text

LIMITS = text("""
SELECT g.name, g.origin, g.rule, kit.limit_slots(g) AS slots, g.rate, g.period, g.per_worker, value.problem,
    CASE WHEN held_back.guard IS NOT NULL THEN jsonb_build_object('who', held_back.who, 'reason', held_back.reason, 'at', held_back.at) END AS suspended,
    coalesce((SELECT jsonb_agg(jsonb_build_object('token', token, 'taken', taken, 'waiting', waiting) ORDER BY token) FROM kit.guard_now()
        WHERE guard = g.id), '[]') AS tokens
FROM kit.guard AS g LEFT JOIN kit.guard_suspended AS held_back ON held_back.guard = g.id LEFT JOIN kit.guard_value AS value ON value.guard = g.id
WHERE g.kind = 'limit' AND g.id <> 'limit start' ORDER BY g.name
""")
BREAKERS = text("""
SELECT g.name, g.origin, g.rule, coalesce(b.token, '') AS token, coalesce(b.state, 'closed') AS state, b.reason, b.who, b.since,
    CASE WHEN b.until <> 'infinity' THEN b.until END AS until, coalesce(b.openings, 0) AS openings, b.probe::text AS probe,
    coalesce((SELECT count(*) FROM unnest(b.failed_at) AS one WHERE one > clock_timestamp() - make_interval(secs => g.failures_within)), 0) AS failures,
    CASE WHEN b.loud_until > clock_timestamp() THEN 'error' ELSE 'warning' END AS level,
    coalesce(now.taken, 0) AS taken, coalesce(now.waiting, 0) AS waiting
FROM kit.guard AS g LEFT JOIN kit.breaker AS b ON b.guard = g.id
LEFT JOIN kit.guard_now() AS now ON now.guard = g.id AND now.token = coalesce(b.token, '')
WHERE g.kind = 'breaker' ORDER BY g.name, b.token
""")
UNKNOWN = text("""
SELECT DISTINCT name FROM kit.guard_said, LATERAL jsonb_array_elements_text(said -> 'limit') AS name
WHERE NOT EXISTS (SELECT FROM kit.guard WHERE id = 'limit ' || name) ORDER BY name
""")
FAULTS = text("SELECT count(*) AS count, max(at) AS at, (array_agg(what ORDER BY id DESC))[1] AS last FROM kit.guard_fault")
FILE = text("SELECT problem, at FROM kit.guard_file WHERE what = 'limits.yaml'")
WAITS = text("SELECT because, since FROM kit.waits(:task)")


def limits(session: Any) -> dict[str, Any]:
    """Return every limit with what it holds, what Dags name that nobody defines, mistakes, and the problem of the file."""
    file, faults = session.execute(FILE).one_or_none(), session.execute(FAULTS).one()
    return {
        "limits": [plain(row) for row in session.execute(LIMITS)],
        "unknown": [row.name for row in session.execute(UNKNOWN)],
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
