"""Runs in: anywhere; pure decisions, without Airflow, Celery, databases, clock or network."""
