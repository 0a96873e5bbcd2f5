"""Runs in: health checks; one dependency a file, none imports Airflow."""
