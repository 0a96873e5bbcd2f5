"""Runs in: whatever parses Dags or computes priority weights; kept empty."""
