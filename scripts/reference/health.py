"""Runs in: `make docs`; health.md, every state, every check, what it may find and what to do."""

from airflow_celery_kit.core.health import State
from airflow_celery_kit.health import table as checks
from airflow_celery_kit.health.check import Check
from reference.markdown import code, page, table

STATES = {
    State.HEALTHY: "It does what it is for.",
    State.DEGRADED: "It does, but slowly, or not for long; or nobody could look.",
    State.INSECURE: "It does, and somebody else may listen or get in.",
    State.UNHEALTHY: "It does not do what it is for.",
    State.GONE: "It will not before somebody changes something: there is no such address, or what is asked for is not allowed.",
}


def health_page() -> str:
    """Every state and every check."""
    intro = (
        "The leading controller looks at all of this, each check in a thread of its own, and keeps the verdicts; `kit health`, "
        "[`GET /kit/v1/health`](rest.md) and the page *Tasks and workflows* show them. The worst state is that of the whole. "
        "A verdict changes when so many looks in a row agree; a look that is not back in time, or cannot see, is a finding too. "
        "[How do I see whether all is well?](../how-to/how-do-i-see-whether-all-is-well.md)"
    )
    rows = [(str(state), text) for state, text in STATES.items()]
    sources = "`src/airflow_celery_kit/health`"
    return page(
        "Health",
        sources,
        intro,
        table(("State", "What it means"), rows),
        "*Vital* is a cause without which no task runs: the stack is not ready.",
        *(part for kind in checks.BUILT_IN for part in check_part(kind)),
        "# For tasks",
        "Made in a file of your own, with a name and where it is.",
        *(part for kind in checks.FOR_TASKS for part in check_part(kind)),
    )


def check_part(kind: type[Check]) -> list[str]:
    """One check: what it looks at, how often, what it may find."""
    rows = [
        (str(cause.state), cause.when, cause.cure, "vital" if cause.vital else "") for cause in kind.causes.values()
    ]
    looks = "one look" if kind.confirm == 1 else f"{kind.confirm} looks in a row"
    times = f"Every {kind.every:.0f} s; {looks} make a verdict; one that takes longer than {kind.deadline:.0f} s is {kind.hangs}."
    if kind in checks.FOR_TASKS:
        times = f"Every {kind.every:.0f} s; {looks} make a verdict."
    text = " ".join(line.strip() for line in (kind.__doc__ or "").strip().splitlines())
    title = code(kind.name) if kind.name else kind.__name__
    return [f"## {title}", text, times, table(("State", "When", "What to do", ""), rows)]
