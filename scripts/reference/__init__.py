"""Runs in: `make docs`; one module for each page below docs/reference."""
