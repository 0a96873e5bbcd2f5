"""Runs in: airflow-apiserver; the kit's REST API below /kit/v1, kept empty."""
