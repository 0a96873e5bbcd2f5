"""Runs in: Flower, which executes this file as its configuration; login, read-only mode and readable task names."""

import os
from pathlib import Path


def _secret(variable):
    return Path(os.environ[variable]).read_text().strip()


basic_auth = [f"{os.environ['KIT_FLOWER_USER']}:{_secret('KIT_FLOWER_PASSWORD_FILE')}"]
cookie_secret = _secret("KIT_FLOWER_COOKIE_FILE")
# Workers that left are forgotten after five minutes.
purge_offline_workers = 300
max_tasks = 20000
# `args` would say what `name` says.
tasks_columns = "name,uuid,state,received,started,runtime,worker"


def format_task(task):
    """Show `dag/run/task`, which the scheduler's router puts in place of the arguments, as the task's name."""
    if task.args:
        task.name = task.args.strip("'\"")
    return task
