"""Runs in: airflow-init; what tasks keep for each other, and what the controller asks of the journal. It only adds."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the schema `state`, its functions, and the rights."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
