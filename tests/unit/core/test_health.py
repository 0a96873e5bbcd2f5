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
def test_a_state_holds_until_so_many_looks_in_a_row_were_all_better_or_all_worse(states, confirm):
    found, changed = after(states, confirm), 0
    starting = states[0] != State.HEALTHY
    for at in range(1, len(states)):
        before, now = found[at - 1].state, found[at].state
        if starting and states[at].rank < before.rank:
            assert now == states[at]
            changed, starting = at, now != State.HEALTHY
            continue
        lately = states[max(changed + 1, at - confirm + 1) : at + 1]
        sides = {(one.rank > before.rank) - (one.rank < before.rank) for one in lately}
        agreed = len(lately) == confirm and sides in ({1}, {-1})
        nearest = min(lately, key=lambda one: abs(one.rank - before.rank)) if agreed else before
        assert now == nearest
        changed = at if agreed else changed


def test_what_is_slow_and_away_by_turns_is_not_well():
    found = after([State.HEALTHY, *[State.UNHEALTHY, State.DEGRADED] * 3], 2)
    assert [one.state for one in found[2:]] == [State.DEGRADED] * 5 and found[2].why == "look 2"


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
    begun = [State.HEALTHY] + [state] * confirm
    assert {one.state for one in after(begun + [other, state] * rounds, confirm)[confirm:]} == {state}


@given(STATES, st.integers(1, 20), st.integers(2, 5))
def test_what_was_not_well_at_first_is_well_as_soon_as_it_is_seen_well_and_then_as_steady_as_all(state, looks, confirm):
    found = after([state] * looks + [State.HEALTHY] + [State.GONE] * confirm, confirm)
    assert {one.state for one in found[:looks]} == {state}
    assert [one.state for one in found[looks:-1]] == [State.HEALTHY] * confirm and found[-1].state == State.GONE


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
