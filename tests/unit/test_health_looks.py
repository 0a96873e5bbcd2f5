"""Runs in: tests; when looks begin, how soon they are confirmed, and what one that hangs costs the others."""

from threading import Event

from airflow_celery_kit.core.health import Finding, State
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.health.looking import Looker
from airflow_celery_kit.health.main import AGAIN_SECONDS, Health


class Told(Check):
    """Finds what it is told."""

    name = "told"

    def __init__(self) -> None:
        self.state, self.looks, self.gate = State.HEALTHY, 0, Event()
        self.gate.set()

    def look(self) -> list[Finding]:
        """Return the state, once the gate is open."""
        self.gate.wait(20)
        self.looks += 1
        return [Finding(self.name, self.state, "as told")]


def turned(health: Health, start: float, seconds: int) -> list[tuple[float, str]]:
    """Turn once a second; give the verdict's state after each turn."""
    seen = []
    for second in range(seconds):
        now = start + second
        health.turn(now, now)
        for looker in health.lookers:
            if looker.thread and looker.check.gate.is_set():
                looker.thread.join(5)
        health.turn(now + 0.5, now + 0.5)
        seen += [(second, str(one.state)) for one in health.verdicts() if one.check == "told"]
    return seen


def test_another_state_is_confirmed_soon_and_so_is_the_way_back():
    check = Told()
    health = Health([Looker(check, {})], lambda *_, **__: None)
    assert turned(health, 0, 12)[-1][1] == "Healthy" and check.looks == 2
    for number, state in enumerate((State.UNHEALTHY, State.HEALTHY), 1):
        check.state = state
        seen = turned(health, 100.0 * number, 20)
        first = next(second for second, name in seen if name == str(state))
        assert AGAIN_SECONDS <= first <= AGAIN_SECONDS + 1, "one look, and one that confirms it"


def test_a_look_that_hangs_is_told_at_its_deadline_and_again_and_is_over_when_it_comes_back():
    check, other = Told(), Told()
    other.__class__ = type("Other", (Told,), {"name": "other"})
    check.gate.clear()
    health = Health([Looker(check, {}), Looker(other, {})], lambda *_, **__: None)
    seen = turned(health, 0, 30)
    assert seen[0] == (check.deadline, "Unhealthy") and {name for _, name in seen} == {"Unhealthy"}
    assert other.looks == 3 and check.looks == 0
    check.gate.set()
    health.lookers[0].thread.join(5)
    assert turned(health, 40, 6)[-1][1] == "Healthy"
