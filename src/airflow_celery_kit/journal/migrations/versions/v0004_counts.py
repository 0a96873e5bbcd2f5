"""Runs in: airflow-init, or a scheduler that is alone; counters and histograms of what happened to tasks, for Prometheus. It only adds."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the tables, and have them filled."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
