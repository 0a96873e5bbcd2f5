"""Runs in: airflow-triggerer; what has the metadata database and the logs, but no broker and no signing key."""
