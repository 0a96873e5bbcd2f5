"""Runs in: the health check of a stock worker; the ping that the quick-start file asks for, no more than every 30 s as there."""

import os
import subprocess
import sys
import time
from pathlib import Path

APP = "airflow.providers.celery.executors.celery_executor.app"
EVERY_SECONDS = 30.0

last = Path(os.environ["KIT_BEAT_FILE"] + ".ping")
if not last.exists() or time.time() - last.stat().st_mtime > EVERY_SECONDS:
    ping = ["celery", "--app", APP, "inspect", "ping", "--destination", f"celery@{os.environ['KIT_INSTANCE']}"]
    last.write_text(str(subprocess.run(ping, capture_output=True, check=False).returncode))
sys.exit(int(last.read_text()))
