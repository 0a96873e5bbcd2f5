"""A task that takes memory until something stops it; it gives up at eight gigabytes."""

import os
import time
from pathlib import Path

from airflow.sdk import dag, get_current_context, task


@dag(schedule=None)
def hungry():
    @task(retries=0)
    def eat() -> None:
        """Say which process eats, wait until it is allowed to, and take 64 MB at a time."""
        folder = Path(os.environ["KIT_OUTPUT_DIR"]) / "hungry"
        folder.mkdir(exist_ok=True)
        run = get_current_context()["run_id"].replace("/", "_").replace(":", "_")
        (folder / run).write_text(f"{os.environ['KIT_INSTANCE']} {os.getpid()}")
        while not (folder / f"{run}.go").exists():
            time.sleep(0.2)
        taken = []
        for _ in range(128):
            taken.append(bytearray(os.urandom(1 << 20) * 64))

    eat()


hungry()
