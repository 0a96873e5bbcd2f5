"""Runs in: airflow-init, or a scheduler that is alone; the journal's tables. Before the new version's processes start: it only adds."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables, what derives records from events, and the rights."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
