"""Runs in: airflow-controller; checks of health, one dependency a file, kept empty."""
