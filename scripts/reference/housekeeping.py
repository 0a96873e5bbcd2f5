"""Runs in: `make docs`; housekeeping.md, every limit of config/housekeeping.yaml and what it is for."""

from airflow_celery_kit.core.housekeeping import BY_NAME, LIMITS, age, share, size
from airflow_celery_kit.triggerer.tables import TABLES
from reference.markdown import code, listed, page, table

FORMS = {
    age: "an age: `30m`, `12h`, `90d`, `never`",
    size: "a size: `500MB`, `20GB`, `never`",
    share: "a share: `90%`, `never`",
}
OTHERS = {
    "results": ("airflow-controller", "`celery_taskmeta` in the database `celery`"),
    "keys": ("airflow-controller", "control queues of workers that left, replies that nobody reads, deliveries of nothing"),
    "logs": ("airflow-triggerer", "files below the log folder, and folders that are empty for an hour"),
    "spool": ("airflow-scheduler, airflow-worker", "`refused.jsonl` in each one's own spool; not in the table of `kit housekeeping`"),
}  # fmt: skip


def housekeeping_page() -> str:
    """Every limit, and what each one removes."""
    intro = (
        "`config/housekeeping.yaml` holds one `NAME: VALUE` a line; what it does not name has its default, and so has everything where the file is "
        "empty or not there. See [How do I keep it small?](../how-to/how-do-i-keep-it-small.md)"
    )
    limits = [(code(one.name), code(one.default), one.meaning, FORMS[one.read], code(one.least)) for one in LIMITS]
    rows = [(code(name), service, what) for name, (service, what) in OTHERS.items()]
    rows += [(code(limit), "airflow-triggerer", listed(names)) for limit, names in TABLES.items()]
    assert {row[0] for row in rows} <= {code(name) for name in BY_NAME}
    return page(
        "Housekeeping",
        "`src/airflow_celery_kit/core/housekeeping.py` and `src/airflow_celery_kit/triggerer/tables.py`",
        intro,
        f"## Limits\n\n{table(('Limit', 'Default', 'What is kept so long', 'Accepted', 'Least'), limits)}",
        f"## What goes, and who removes it\n\n{table(('Limit', 'Service', 'What'), rows)}",
    )
