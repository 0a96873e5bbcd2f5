"""Runs in: stack tests; the fault suite."""
