"""Runs in: the embedded runtime, as each Airflow process before it becomes Airflow.

The supervisor knows instances by name alone; environment and command are made here at every start, so that a changed
setting takes effect with a restart and no secret stands in the supervisor's files.
"""

import os
import sys
from pathlib import Path

from airflow_celery_kit.runtimes import changed, orphans, services
from airflow_celery_kit.runtimes.environment import inherited
from airflow_celery_kit.service_log import for_airflow
from airflow_celery_kit.settings import Settings


def main(arguments: list[str]) -> None:
    """Become the instance named by the only argument, of the checkout in `KIT_ROOT`."""
    (instance,) = arguments
    settings = Settings.load(Path(os.environ["KIT_ROOT"]))
    orphans.end_last_group(settings.var / "run" / f"{instance}.group")
    environment = services.environment_of(settings, instance, inherited(os.environ))
    environment = for_airflow(environment) | environment
    command = services.command_of(settings, instance)
    changed.note(settings, instance)
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    main(sys.argv[1:])
