"""Runs in: airflow-dag-processor; what reading a Dag costs less."""
