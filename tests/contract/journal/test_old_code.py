"""Processes of an older version meet newer tables while a deployment is under way: what they send still works (pre-deploy migrations)."""

import json

import pytest

from tests.contract.journal.version_0001 import READ_0001, WRITE_0001

ON_WHEELS_ALONE = True


@pytest.mark.parametrize("role", ["journal_scheduler", "journal_writer"])
def test_what_version_0001_writes_is_taken(journal, life, role):
    one = life()
    events = (
        one.airflow("asked", "scheduled", "queued") if role == "journal_scheduler" else [one.says("worker", "lost")]
    )
    journal.query(WRITE_0001, json.dumps(events), role=role)
    assert journal.task(one.id)["events"] == len(events)


@pytest.mark.parametrize("statement", READ_0001)
def test_what_version_0001_reads_is_there(journal, life, statement):
    one = life()
    journal.write(*one.airflow("asked"))
    journal.query(statement, role="journal_reader")


@pytest.mark.parametrize("statement", ["SELECT journal.make_partitions(7)", "SELECT journal.prune(90, true)"])
def test_what_the_controller_of_version_0001_calls_is_there(journal, statement):
    journal.query(statement, role="kit")
