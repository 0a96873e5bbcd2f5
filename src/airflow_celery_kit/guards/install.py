"""Runs in: airflow-init; the SQL of limits and breakers, for the owner of the metadata database. Safe to run again."""

from importlib.resources import files

# In this order: functions of one name those of the files before.
FILES = (
    "tables.sql",
    "breakers.sql",
    "limits.sql",
    "admission.sql",
    "catching_up.sql",
    "sending.sql",
    "reading.sql",
    "storing.sql",
    "told.sql",
    "hands.sql",
)
# What they make on Airflow's tables.
TRIGGERS = ("kit_hold_guarded", "kit_hold_sent", "kit_hold_left", "kit_hold_dag", "kit_hold_paused")
TABLES = ("task_instance", "serialized_dag", "dag")


def statements() -> str:
    """Return the SQL that makes tables, functions and triggers, after those of the journal (`journal.install.outbox`)."""
    folder = files("airflow_celery_kit.guards")
    return "\n".join(folder.joinpath(name).read_text() for name in FILES)
