"""Runs in: airflow-init and `kit journal migrate`; kept empty."""
