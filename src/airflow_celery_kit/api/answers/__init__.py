"""Runs in: airflow-apiserver; what the routes answer, field by field, kept empty."""
