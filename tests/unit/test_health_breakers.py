"""Runs in: tests; which looks are made in a hurry because a breaker counts what they find, and that this ends."""

import pytest

from airflow_celery_kit.core.health import Finding, State
from airflow_celery_kit.health.breakers import MOST_HURRIED, Breakers

ILL, WELL = Finding("a", State.UNHEALTHY, ""), Finding("b", State.HEALTHY, "")


@pytest.fixture
def breakers():
    """Those of which one counts when a shop is Unhealthy."""
    return Breakers(counted={("shop", "unhealthy"), ("shop", "within")})


def test_the_worst_subject_of_a_look_counts(breakers):
    assert breakers.hear("shop", [WELL, ILL]) and breakers.hurry
    assert [one[:2] for one in breakers.news] == [("shop", State.UNHEALTHY)]
    assert not breakers.hear("shop", [WELL]) and not breakers.hurry


def test_what_no_breaker_counts_is_in_no_hurry(breakers):
    assert not breakers.hear("other", [ILL]) and not breakers.hear("shop", [Finding("a", State.DEGRADED, "")])
    assert not breakers.hear("shop", []) and not breakers.hurry


def test_a_hurry_ends_where_the_breaker_does_not_open_and_begins_anew_with_another_state(breakers):
    looks = [breakers.hear("shop", [ILL]) for _ in range(MOST_HURRIED + 5)]
    assert looks == [True] * (MOST_HURRIED - 1) + [False] * 6 and not breakers.hurry
    breakers.hear("shop", [WELL])
    assert breakers.hear("shop", [ILL])
