"""Runs in: tests; what follows from looks at health: verdicts that do not flap, the worst of all, and what is vital."""

import json

from hypothesis import given
from hypothesis import strategies as st

from airflow_celery_kit.core.health import (
    Finding,
    Held,
    State,
    Verdict,
    is_ready,
    judge,
    report,
    worst,
    worst_first,
)

STATES = st.sampled_from(State)
LOOKS = st.lists(STATES, min_size=1, max_size=60)
VERDICTS = st.builds(
    Verdict,
    st.sampled_from("abc"),
    st.sampled_from("xyz"),
    STATES,
    st.floats(0, 2e9),
    st.text(),
    st.text(),
    st.booleans(),
)


def after(states: list[State], confirm: int) -> list[Verdict]:
    """The verdict after each look; one a second."""
    held: Held | None = None
    found = []
    for at, state in enumerate(states):
        held = judge(held, "check", Finding("subject", state, f"look {at}"), float(at), confirm)
        found.append(held.verdict)
    return found


@given(LOOKS, st.integers(1, 5))
def test_a_state_holds_until_another_was_seen_so_often_in_a_row(states, confirm):
    found = after(states, confirm)
    for at in range(1, len(states)):
        before, now = found[at - 1].state, found[at].state
        lately = states[max(0, at - confirm + 1) : at + 1]
        agreed = len(lately) == confirm and set(lately) == {lately[-1]} and lately[-1] != before
        assert (now != before) == agreed
        assert now == (lately[-1] if agreed else before)


@given(LOOKS, st.integers(1, 5))
def test_since_is_when_the_state_began_and_the_reason_is_of_a_look_that_saw_it(states, confirm):
    found = after(states, confirm)
    for at, verdict in enumerate(found):
        assert verdict.since <= at and states[int(verdict.why.removeprefix("look "))] == verdict.state
        if at and verdict.state == found[at - 1].state:
            assert verdict.since == found[at - 1].since
        elif at:
            assert verdict.since == at


@given(STATES, st.integers(2, 5), st.integers(1, 20))
def test_what_changes_with_each_look_changes_no_verdict(state, confirm, rounds):
    other = State.HEALTHY if state != State.HEALTHY else State.UNHEALTHY
    assert {one.state for one in after([state, other] * rounds, confirm)} == {state}


@given(st.lists(VERDICTS))
def test_the_worst_wins_and_comes_first(verdicts):
    shown = worst_first(verdicts)
    assert sorted(map(repr, shown)) == sorted(map(repr, verdicts))
    assert worst(verdicts) == (shown[0].state if shown else State.HEALTHY)
    assert [one.state.rank for one in shown] == sorted((one.state.rank for one in verdicts), reverse=True)


@given(st.lists(VERDICTS))
def test_only_what_is_vital_and_fails_makes_it_unready(verdicts):
    failing = [one for one in verdicts if one.vital and one.state in (State.UNHEALTHY, State.GONE)]
    assert is_ready(verdicts) == (not failing)
    assert report(verdicts)["ready"] == (not failing)


@given(VERDICTS)
def test_a_verdict_survives_json(verdict):
    assert Verdict.of(json.loads(json.dumps(verdict.as_dict()))) == verdict


def test_the_states_are_those_of_the_specification_from_good_to_bad():
    assert list(map(str, sorted(State, key=lambda one: one.rank))) == [
        "Healthy",
        "Degraded",
        "Insecure",
        "Unhealthy",
        "Permanently Unavailable",
    ]
    assert [str(one) for one in State if one.fails] == ["Unhealthy", "Permanently Unavailable"]
