"""Runs in: your shell; the parts of `install_docker_engine.py`, standard library only."""
