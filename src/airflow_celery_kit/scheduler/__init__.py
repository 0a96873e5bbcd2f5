"""Runs in: the scheduler and its publishing processes; kept empty."""
