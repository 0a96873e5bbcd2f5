"""What a call of a task asks of the api-server's threads, and that its database session is still committed, rolled back and given back."""

import json
import os
import subprocess
import sys

import pytest

ON_WHEELS_ALONE = True
# The endpoint itself, and the end of the one session that was used.
NEEDED = 2
# What tells one of the kit's own stacks from others (stack.py).
WHOLE = "airflow_celery_kit.worker.celery_settings.CELERY_CONFIG"


def ask(stack, home, side: str) -> dict:
    """Return what an application of the one or the other side answers."""
    settings = stack.settings
    address = (
        f"postgresql+psycopg2://postgres:{settings['POSTGRES_PASSWORD']}@127.0.0.1:{settings['POSTGRES_PORT']}/postgres"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "tests.contract.counted_threads", side],
        env=os.environ | {"DATABASE": address, "AIRFLOW_HOME": str(home), "AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS": WHOLE},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.parametrize(("side", "threads"), [("stock", 8), ("kit", NEEDED)])
def test_a_call_goes_to_a_thread_as_often_as_it_must(stack, tmp_path, side, threads):
    seen = ask(stack, tmp_path, side)
    assert seen["threads"] == threads, seen["first"]
    assert seen["codes"] == {"one": 200, "refused": 409, "broken": 500}
    assert set(seen["many"]) == {200}, "sessions wait for the one connection and none is kept from giving it back"
    assert seen["noted"] == ["one", *["many"] * len(seen["many"])], "what went wrong is rolled back"
    assert seen["held"] == 0
