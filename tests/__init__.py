"""Runs in: tests."""
