"""Runs in: the command line; the runtimes behind the same few verbs."""
