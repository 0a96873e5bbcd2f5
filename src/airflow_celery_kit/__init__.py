"""Runs in: every process of the kit; kept empty so that importing the package costs nothing."""
