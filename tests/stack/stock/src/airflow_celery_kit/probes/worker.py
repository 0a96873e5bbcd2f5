"""Runs in: the health check of a stock worker; the ping that the quick-start file asks for, every 30 s and cut off before the kit would."""

import os
import subprocess
import sys
import time
from pathlib import Path

APP = "airflow.providers.celery.executors.celery_executor.app"
EVERY_SECONDS = 30.0
TIMEOUT = 13.0


def ping() -> int:
    """Return the exit code of Celery's own question, 1 when it takes too long."""
    command = ["celery", "--app", APP, "inspect", "ping", "--destination", f"celery@{os.environ['KIT_INSTANCE']}"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT).returncode
    except subprocess.TimeoutExpired:
        return 1


last = Path(os.environ["KIT_BEAT_FILE"] + ".ping")
if not last.exists() or time.time() - last.stat().st_mtime > EVERY_SECONDS:
    last.write_text(str(ping()))
sys.exit(int(last.read_text()))
