"""Runs in: contract tests."""
