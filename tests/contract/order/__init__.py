"""Runs in: contract tests; the order of work on real tables and real lists."""
