"""Runs in: stack tests; the verbs they speak."""
