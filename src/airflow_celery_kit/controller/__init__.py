"""Runs in: airflow-controller; the control loops, kept empty."""
