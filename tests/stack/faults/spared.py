"""Runs in: stack tests; who stays well while another one is ill, by the checks of the instances and by health."""

import contextlib
from collections.abc import Collection, Iterator
from threading import Event, Thread

from tests.stack.faults.evidence import Evidence
from tests.stack.faults.health import EVERY_SECONDS, verdicts
from tests.stack.harness.stack import Stack


def unwell(stack: Stack, names: Collection[str]) -> set[tuple[str, str]]:
    """Return which of these instances fail their own check, or are Unhealthy to health, each with the reason."""
    failing = {(one["instance"], one["detail"]) for one in stack.instances(*names) if one["healthy"] is False}
    told = {
        (one["subject"], one["why"])
        for one in verdicts(stack)
        if one["state"] == "Unhealthy" and one["subject"].endswith(tuple(names))
    }
    return failing | told


@contextlib.contextmanager
def spared(evidence: Evidence, *names: str) -> Iterator[None]:
    """Around a fault: none of these instances is unwell at two looks in a row, two seconds apart. Stock has no such checks."""
    seen, over = [set[str]()], Event()

    def run() -> None:
        while not over.wait(EVERY_SECONDS):
            with contextlib.suppress(Exception):
                found = unwell(evidence.stack, names)
                said.update(one for one in found if one[0] in seen[-1])
                seen.append({name for name, _ in found})

    said: set[tuple[str, str]] = set()
    thread = Thread(target=run, daemon=True)
    if not evidence.is_stock:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if not evidence.is_stock:
            thread.join(60)
    assert evidence.is_stock or len(seen) > 1, "nobody could be looked at"
    assert not said, f"these are not ill themselves: {sorted(said)}"
