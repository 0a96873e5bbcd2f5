"""What comes in the controller's way, on a real PostgreSQL: transactions that end late, and a heap that is too large to clear away in time."""

import contextlib

import psycopg2
import pytest

from airflow_celery_kit.guards import install
from tests.contract.guards.conftest import breaker
from tests.contract.guards.test_controller_keeps_them import guarding, look, metadata  # noqa: F401

ON_WHEELS_ALONE = True
TELL = "SELECT kit.guard_tell('breaker crm', '', 'warning', 'breaker_open', %s, NULL)"
FOR_EVER = """
CREATE OR REPLACE FUNCTION kit.guards_tidy(most integer DEFAULT 2000) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014'; END $$
"""


def said_of(guarding):  # noqa: F811
    """The reasons that were said, in their order."""
    return [facts["reason"] for event, facts in guarding.said if event == "breaker_open"]


def test_an_event_that_is_committed_after_a_later_one_is_said_too_and_once(airflow, metadata, guarding):  # noqa: F811
    look(guarding, metadata)
    with contextlib.closing(airflow.connect()) as slow, slow.cursor() as cursor:
        cursor.execute(TELL, ("first",))
        airflow.query(TELL, "second")
        look(guarding, metadata)
        assert said_of(guarding) == ["second"]
        slow.commit()
    look(guarding, metadata)
    look(guarding, metadata)
    assert said_of(guarding) == ["second", "first"]


def test_what_is_known_to_be_said_does_not_grow_for_ever(airflow, metadata, guarding):  # noqa: F811
    look(guarding, metadata)
    for number in range(450):
        airflow.query(TELL, str(number))
    for _ in range(4):
        look(guarding, metadata)
    assert said_of(guarding) == [str(number) for number in range(450)]
    airflow.query("UPDATE kit.guard_event SET at = at - interval '2 min'")
    look(guarding, metadata)
    assert guarding.events.said == set() and len(said_of(guarding)) == 450


def test_a_file_is_in_force_although_a_heap_cannot_be_cleared_away_in_time(airflow, metadata, guarding):  # noqa: F811
    airflow.query(FOR_EVER)
    try:
        airflow.guards(breaker())
        with pytest.raises(psycopg2.errors.QueryCanceled):
            look(guarding, metadata)
        assert airflow.query("SELECT name FROM kit.guard") == [("crm-db",)]
        guarding.path.write_text("")
        look(guarding, metadata, now=1.0)
        assert airflow.query("SELECT name FROM kit.guard") == []
        with pytest.raises(psycopg2.errors.QueryCanceled):
            look(guarding, metadata, now=61.0)
    finally:
        airflow.query(install.statements().replace("%", "%%"))
