"""Runs in: see the modules; pure: the arithmetic and the rules of limits and breakers."""
