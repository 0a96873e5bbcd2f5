"""Runs in: contract tests; limits and breakers on a real PostgreSQL."""
