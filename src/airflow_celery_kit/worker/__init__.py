"""Runs in: Celery workers and whoever publishes to them; kept empty."""
