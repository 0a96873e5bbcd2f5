"""Runs in: airflow-init, or a scheduler that is alone; ends of attempts that count from 0, so that Prometheus sees the first of them."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Change how it is counted."""
    op.execute(Path(__file__).with_suffix(".sql").read_text())
