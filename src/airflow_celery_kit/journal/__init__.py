"""Runs in: everything that writes or reads the journal; kept empty."""
