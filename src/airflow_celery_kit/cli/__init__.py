"""Runs in: your shell; the `kit` command."""
