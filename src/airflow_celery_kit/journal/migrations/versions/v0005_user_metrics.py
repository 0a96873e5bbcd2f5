"""Runs in: airflow-init, or a scheduler that is alone; counters, gauges and histograms that tasks fill by themselves. It only adds."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables, and have them filled."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
