"""Runs in: airflow-init, or a scheduler that is alone; kept empty."""
