"""Runs in: your shell; measurements that the documentation quotes."""
