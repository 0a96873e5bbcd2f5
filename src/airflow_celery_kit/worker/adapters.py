"""Runs in: a worker's first process, before it forks; builds once the pydantic adapters that every task process would build.

Airflow makes a `TypeAdapter` where it uses one: twice for the messages of a task and once for each rendered field. Building one takes
longer than using it. Text of the report to Airflow: ADR 0016.
"""

from typing import Any

from pydantic import TypeAdapter

from airflow_celery_kit import patching

# Of the modules `comms` and `task_runner`.
WRITTEN_AGAINST = ({"CommsDecoder": "93919e4dc0bb"}, {"_serialize_rendered_fields": "cacd37ff4beb"})


class Adapters:
    """Stands where Airflow calls `TypeAdapter(type)`; gives the same adapter for the same type, and is pydantic's own in all else."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, TypeAdapter[Any]]] = {}

    def __call__(self, kind: Any, **options: Any) -> TypeAdapter[Any]:
        """Return the adapter of a type, which is kept with it so that its id stays its own; with options a new one."""
        if options:
            return TypeAdapter(kind, **options)
        if id(kind) not in self.made:
            self.made[id(kind)] = kind, TypeAdapter(kind)
        return self.made[id(kind)][1]

    def __getitem__(self, kind: Any) -> Any:
        return TypeAdapter[kind]

    def __getattr__(self, name: str) -> Any:
        return getattr(TypeAdapter, name)


def install() -> None:
    """Change the two modules that talk for a task, and build what they will ask for."""
    from airflow.sdk.execution_time import comms, task_runner
    from pydantic import JsonValue

    change = "building pydantic's adapters once"
    if not all(
        patching.fits(change, owner, known) for owner, known in zip((comms, task_runner), WRITTEN_AGAINST, strict=True)
    ):
        return
    adapters = Adapters()
    for module in (comms, task_runner):
        module.TypeAdapter = adapters
    for kind in (comms.ToTask, JsonValue):
        adapters(kind)
