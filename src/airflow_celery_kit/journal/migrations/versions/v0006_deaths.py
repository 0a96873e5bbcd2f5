"""Runs in: airflow-init, or a scheduler that is alone; what was killed or repaired of late, for health. It only adds."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the function."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
