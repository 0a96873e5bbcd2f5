"""Runs in: tests; when looks begin, how soon they are confirmed, and what one that hangs costs the others."""

import json
import time
from threading import Event

import pytest

from airflow_celery_kit.core.health import Finding, State, Verdict
from airflow_celery_kit.health.check import Check
from airflow_celery_kit.health.looking import MOST_OF_A_TEXT, Looker, look
from airflow_celery_kit.health.main import AGAIN_SECONDS, Health, from_environment


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


def test_the_names_of_all_checks_are_kept_for_whoever_asks():
    class Other(Told):
        """Has another name."""

        name = "other"

    assert Health([Looker(Told(), {}), Looker(Other(), {})], lambda *_, **__: None).facts()["checks"] == [
        "other",
        "told",
    ]


def test_another_state_is_confirmed_soon_and_so_is_the_way_back():
    check = Told()
    health = Health([Looker(check, {})], lambda *_, **__: None)
    assert turned(health, 0, 12)[-1][1] == "Healthy" and check.looks == 2
    for number, state in enumerate((State.UNHEALTHY, State.HEALTHY), 1):
        check.state = state
        seen = turned(health, 100.0 * number, 20)
        first = next(second for second, name in seen if name == str(state))
        assert AGAIN_SECONDS <= first <= AGAIN_SECONDS + 1, "one look, and one that confirms it"


def test_what_starts_is_well_with_the_first_look_that_finds_it_so_and_is_looked_at_often_until_then():
    check = Told()
    check.state = State.UNHEALTHY
    health = Health([Looker(check, {})], lambda *_, **__: None)
    assert turned(health, 0, 9)[-1][1] == "Unhealthy" and check.looks == 3
    check.state = State.HEALTHY
    seen = turned(health, 9, 10)
    assert next(second for second, name in seen if name == "Healthy") <= AGAIN_SECONDS + 1


def test_what_never_starts_is_looked_at_less_often_after_two_minutes():
    check = Told()
    check.state = State.UNHEALTHY
    health = Health([Looker(check, {})], lambda *_, **__: None)
    turned(health, 0, 121)
    before = check.looks
    turned(health, 121, 30)
    assert before >= 30 and check.looks - before <= 7


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


class Finds(Check):
    """Finds what it is given."""

    name = "finds"

    def __init__(self, *found: object) -> None:
        self.found = found

    def look(self) -> list:
        """Return it, or raise it."""
        if isinstance(self.found[0], Exception):
            raise self.found[0]
        return list(self.found)


@pytest.mark.parametrize(
    ("why", "kept"),
    [
        ("BadStatusLine: J\0\0\0", "BadStatusLine: J"),
        (OSError("away"), "away"),
        ("half of a pair \udc80", "half of a pair ?"),
        ("x" * 70_000, "x" * MOST_OF_A_TEXT),
    ],
)
def test_whatever_a_look_has_read_can_be_kept(why, kept):
    (one,) = look(Finds(Finding("finds", State.UNHEALTHY, why)), {})
    assert (one.state, one.why) == (State.UNHEALTHY, kept)
    assert "\\u0000" not in json.dumps(Verdict("finds", one.subject, one.state, 0.0, one.why).as_dict())


@pytest.mark.parametrize("found", ["all is well", Finding("finds", "unhealthy", "so its author spells it"), None])
def test_what_is_no_finding_is_told_and_leads_to_no_verdict_that_nobody_can_read(found):
    (one,) = look(Finds(found), {})
    assert one.state == State.DEGRADED and one.why.startswith("cannot look: ")


def test_a_look_that_sees_nothing_says_nothing_of_other_subjects():
    check = Finds(Finding("finds", State.HEALTHY, ""), Finding("worker-3", State.UNHEALTHY, "lost"))
    health = Health([], lambda *_, **__: None)
    health.take(check, look(check, {}), 1.0)
    check.found, both = (ConnectionError("away"),), check.found
    for at in (2.0, 3.0):
        health.take(check, look(check, {}), at)
    assert {one.subject: (one.state, one.since) for one in health.verdicts()} == {
        "finds": (State.DEGRADED, 3.0),
        "worker-3": (State.UNHEALTHY, 1.0),
    }
    check.found = both
    for at in (4.0, 5.0):
        health.take(check, look(check, {}), at)
    assert {one.subject: one.since for one in health.verdicts()} == {"finds": 5.0, "worker-3": 1.0}


def loaded(tmp_path, monkeypatch, text: str, seconds: float = 5) -> tuple[Health, dict[str, Verdict]]:
    """The user's own checks of a file, and the verdicts once each has been looked at, or `seconds` are over."""
    name = f"own_{abs(hash(text))}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    health = from_environment({"KIT_HEALTH_CHECKS": f"{name}.CHECKS"}, lambda *_, **__: None)
    health.lookers = [one for one in health.lookers if one.check.name.startswith("own-check")]
    until = time.monotonic() + seconds
    while not health.whole and time.monotonic() < until:
        health.turn(time.monotonic(), 1.0)
        time.sleep(0.02)
    return health, {one.check: one for one in health.verdicts()}


MADE = """
from airflow_celery_kit.health.check import Check
class Mine(Check):
    def __init__(self, name):
        self.name = name
    def look(self):
        return [self.well("mine")]
"""


def test_own_checks_are_loaded_and_looked_at(tmp_path, monkeypatch):
    _, found = loaded(tmp_path, monkeypatch, f"{MADE}CHECKS = [Mine('one'), Mine('two')]")
    assert {name: one.why for name, one in found.items()} == {"one": "mine", "two": "mine"}


def test_two_checks_of_one_name_are_told_instead_of_hiding_one_another(tmp_path, monkeypatch):
    _, found = loaded(tmp_path, monkeypatch, f"{MADE}CHECKS = [Mine('one'), Mine('one')]")
    (one,) = found.values()
    assert one.state == State.DEGRADED and "there is another check called one" in one.why


def test_a_module_that_hangs_keeps_nobody_from_looking(tmp_path, monkeypatch):
    begun = time.monotonic()
    health, found = loaded(tmp_path, monkeypatch, "import time\ntime.sleep(20)", seconds=0.5)
    assert found == {} and not health.whole and time.monotonic() - begun < 3
    (looker,) = health.lookers
    health.turn(looker.begun + looker.check.deadline, 1.0)
    (one,) = health.verdicts()
    assert one.state == State.DEGRADED and "no answer within 8 s" in one.why and health.whole


@pytest.mark.parametrize(("age", "held"), [(5.0, ["finds"]), (31.0, [])])
def test_what_is_no_longer_fresh_is_looked_at_before_it_is_told_and_says_who_was_there(age, held):
    check, known = Finds(Finding("finds", State.HEALTHY, "")), []
    check.remember = known.append
    health = Health([Looker(check, {})], lambda *_, **__: None)
    health.restore({"verdicts": [Verdict("finds", "finds", State.UNHEALTHY, 1.0, "").as_dict()]}, age, 0.0)
    assert ([one.subject for one in health.verdicts()], health.whole, known) == (held, bool(held), [{"finds"}])


def led_before() -> tuple[Health, Looker, Told]:
    """Who had begun a look as things were ill, lost the lease, and leads again when all is well."""
    check = Told()
    check.gate.clear()
    health = Health([looker := Looker(check, {})], lambda *_, **__: None)
    check.state = State.UNHEALTHY
    health.turn(0.0, 0.0)
    return health, looker, check


@pytest.mark.parametrize("ends_first", [True, False])
def test_who_leads_again_judges_no_look_from_before(ends_first):
    health, looker, check = led_before()
    for step in (check.gate.set, lambda: health.restore({}, 31.0, 100.0))[:: 1 if ends_first else -1]:
        step()
        if check.gate.is_set():
            looker.thread.join(5)
    check.state = State.HEALTHY
    assert {state for _, state in turned(health, 100.0, 3)} == {"Healthy"} and check.looks == 2


def test_a_look_that_hangs_since_before_is_late_from_when_its_leader_leads_again():
    health, _, check = led_before()
    health.restore({}, 31.0, 100.0)
    assert turned(health, 100.0, 12)[0] == (check.deadline, "Unhealthy") and health.whole
    check.gate.set()
    health.lookers[0].thread.join(5)
    check.state = State.HEALTHY
    assert turned(health, 112.0, 8)[-1][1] == "Healthy"


@pytest.mark.parametrize("facts", [{"verdicts": [{"check": "x"}]}, {"verdicts": [{"state": "fine"}]}, {"verdicts": 3}])
def test_a_record_that_nobody_can_read_is_none(facts):
    health = Health([], lambda *_, **__: None)
    health.restore(facts, 1.0, 0.0)
    assert health.verdicts() == []
