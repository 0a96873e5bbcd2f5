"""Logging as a task's process configures it: the same, and every logger's memory is emptied once."""

import json
import os
import subprocess
import sys

import pytest

# In a process of its own: what is configured stays configured.
SCRIPT = """
import json, logging, os, sys
from airflow.sdk.execution_time import supervisor
from airflow_celery_kit.worker import log_levels
if sys.argv[1] == "ours":
    log_levels.install()
for name in ("airflow.mine.deep", "sqlalchemy.engine.mine", "mine"):
    logging.getLogger(name).isEnabledFor(logging.DEBUG)  # remembered before the levels change
logging.getLogger("mine").setLevel(logging.DEBUG)
emptied = 0
stock = logging.Manager._clear_cache
def count(self):
    global emptied
    emptied += 1
    stock(self)
logging.Manager._clear_cache = count
supervisor._configure_logs_over_json_channel(os.open(os.devnull, os.O_WRONLY))
loggers = {name: logger for name, logger in logging.root.manager.loggerDict.items() if isinstance(logger, logging.Logger)}
seen = {
    name: [logger.level, logger.getEffectiveLevel(), logger.propagate, logger.disabled, len(logger.handlers)]
    + [logger.isEnabledFor(level) for level in (logging.DEBUG, logging.INFO, logging.WARNING)]
    for name, logger in {**loggers, "": logging.root}.items()
}
print(json.dumps([emptied, seen, "_clear_cache" in vars(logging.root.manager)]))
"""


@pytest.fixture(scope="module")
def configured() -> dict:
    """What each way of configuring leaves: how often memories were emptied, every logger, whether the change is still there."""
    environment = os.environ | {"AIRFLOW__LOGGING__NAMESPACE_LEVELS": "mine=ERROR"}
    ended = {
        way: subprocess.run([sys.executable, "-c", SCRIPT, way], env=environment, capture_output=True, text=True, check=True)
        for way in ("stock", "ours")
    }  # fmt: skip
    return {way: json.loads(one.stdout.splitlines()[-1]) for way, one in ended.items()}


def test_every_logger_is_as_airflow_leaves_it(configured):
    assert len(configured["stock"][1]) > 50
    assert configured["ours"][1] == configured["stock"][1]


def test_memories_are_emptied_once(configured):
    assert configured["stock"][0] > 10
    assert (configured["ours"][0], configured["ours"][2]) == (1, False)
