"""Runs in: airflow-init, or a scheduler that is alone; the task graph of each Dag version that a run was created with. It only adds."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the table, and have it filled and pruned."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
