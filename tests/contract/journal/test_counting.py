"""Counters and histograms of what happened to tasks: each attempt once, whatever else is said of it, and in the same words as the metrics."""

import psycopg2
import pytest

from airflow_celery_kit.api.metrics import tasks
from airflow_celery_kit.controller import counting

ON_WHEELS_ALONE = True
COUNTED_FROM_ZERO = ("SUCCESS", "FAILURE", "TIMEOUT", "RETRY")


@pytest.fixture
def count(journal):
    """Counts up as the controller does, at once."""
    connection = psycopg2.connect(journal.address("kit"))
    yield lambda dags=50, **more: counting.count_up(connection, dags, settle=0, **more)
    connection.close()


def found(journal) -> dict[tuple[str, ...], float]:
    """Each sample that a scrape would give."""
    return {(name, *labels): value for name, labels, value in tasks.samples(journal.reader)}


def ended(journal) -> dict[tuple[str, ...], float]:
    """How many attempts have ended, and how."""
    return {name: value for name, value in found(journal).items() if name[0] == "kit_tasks_ended_total"}


def whole(one) -> list[dict]:
    """A life from being asked for to its end, a tenth of a second between two words."""
    return [
        *one.airflow("asked", "scheduled", "queued"), one.says("scheduler", "published"), one.says("worker", "received"),
        *one.airflow("running", "success"),
    ]  # fmt: skip


def test_an_attempt_counts_once_with_the_time_of_each_hop(journal, life, count):
    one = life()
    events = whole(one)
    journal.write(*events)
    assert count() > 0 and count() == 0
    said = found(journal)
    assert said["kit_tasks_ended_total", "sales", "default", "SUCCESS"] == 1
    hops = {name[3]: value for name, value in said.items() if name[0] == "kit_task_hop_seconds"}
    assert set(hops) == {"airflow", "sending", "broker", "starting", "running"}
    assert all(
        value.total == pytest.approx(0.1, abs=0.001) and value.cumulated[-1] == ("+Inf", 1) for value in hops.values()
    )
    journal.write(*events)
    journal.write(*one.airflow("failed"))
    count()
    again = {name: value for name, value in found(journal).items() if name[0].startswith("kit_task")}
    before = {name: value for name, value in said.items() if name[0].startswith("kit_task")}
    assert again.pop(("kit_tasks_counted_timestamp_seconds",)) > before.pop(("kit_tasks_counted_timestamp_seconds",))
    assert again == before


def test_what_waits_for_its_workers_word_is_not_counted_yet(journal, life, count):
    journal.write(*whole(life()))
    connection = psycopg2.connect(journal.address("kit"))
    assert counting.count_up(connection, 50) == 0
    connection.close()
    assert count() > 0


def test_retries_redeliveries_repairs_deaths_and_lost_events_are_counted(journal, life, count):
    one = life()
    journal.write(
        *one.airflow("asked", "scheduled", "queued", "running", "up_for_retry", "replaced"),
        one.says("controller", "repaired", action="free"), one.says("controller", "error", error="set aside", deaths=3),
    )  # fmt: skip
    said = [
        one.says("worker", "redelivered"), one.says("worker", "lost"), one.says("worker", "lost", leaving=True),
        one.says("worker", "gap", lost=7), one.says("worker", "gap", lost="many"),
    ]  # fmt: skip
    journal.write(*said, as_role="journal_writer")
    count()
    values = found(journal)
    assert values["kit_tasks_ended_total", "sales", "default", "RETRY"] == 1
    assert (values["kit_redeliveries_total",], values["kit_journal_lost_events_total",]) == (1, 7)
    assert (values["kit_repairs_total", "free"], values["kit_repairs_total", "requeue"]) == (1, 0)
    assert (values["kit_task_deaths_total", "killed"], values["kit_task_deaths_total", "worker_stopped"]) == (1, 1)
    assert values["kit_tasks_set_aside_total",] == 1
    assert (values["kit_journal_events_total", "worker"], values["kit_journal_events_total", "operator"]) == (5, 0)


def test_what_may_end_badly_is_there_as_zero_while_it_is_under_way(journal, life, count):
    one = life()
    journal.write(*one.airflow("asked", "scheduled", "queued", "running"))
    count()
    zeros = {("kit_tasks_ended_total", "sales", "default", status): 0 for status in COUNTED_FROM_ZERO}
    assert ended(journal) == zeros
    journal.write(*one.airflow("failed"))
    count()
    assert ended(journal) == zeros | {("kit_tasks_ended_total", "sales", "default", "FAILURE"): 1}


def test_zeros_have_an_end_as_the_figures_have(journal, life, count):
    for number in range(3):
        one = life()
        one.names["dag_id"] = f"dag_{number}"
        journal.write(*one.airflow("asked"))
    count(dags=1)
    assert {name[1] for name in ended(journal)} == {"dag_0", "other"}
    assert len(ended(journal)) == 2 * len(COUNTED_FROM_ZERO)


def test_open_attempts_are_those_of_now(journal, life, count):
    one = life()
    journal.write(*one.airflow("asked", "scheduled", "queued"))
    count()
    assert found(journal)["kit_tasks_open", "default", "QUEUED"] == 1
    journal.write(*one.airflow("running"))
    count()
    assert [name for name in found(journal) if name[0] == "kit_tasks_open"] == [
        ("kit_tasks_open", "default", "PROCESSING")
    ]


def test_dags_beyond_the_most_count_as_other_and_none_is_lost(journal, life, count):
    for number in range(5):
        one = life()
        one.names["dag_id"] = f"dag_{number}"
        journal.write(*whole(one))
    count(dags=2)
    assert {name[1]: value for name, value in ended(journal).items() if value} == {"dag_0": 1, "dag_1": 1, "other": 3}


def test_a_name_of_long_ago_makes_room(journal, life, count):
    journal.write(*whole(life()))
    count(dags=1)
    journal.query("UPDATE journal.label SET used_at = now() - interval '31 days' WHERE kind = 'dag'")
    other = life()
    other.names["dag_id"] = "newer"
    journal.write(*whole(other))
    count(dags=1)
    assert {name[1] for name in found(journal) if name[0] in ("kit_tasks_ended_total", "kit_task_hop_seconds")} == {
        "newer"
    }


def test_where_nobody_counts_nothing_piles_up(journal, life):
    journal.query("UPDATE journal.counting SET at = now() - interval '2 days'")
    journal.write(*whole(life()))
    assert journal.query("SELECT count(*) FROM journal.uncounted") == [(0,)]
    journal.query("UPDATE journal.counting SET at = now()")


def test_the_bounds_are_those_of_the_database(journal):
    ((bounds,),) = journal.query("SELECT journal.bounds()")
    assert tuple(map(str, map(float, bounds))) + ("+Inf",) == tasks.BOUNDS


def test_a_value_on_a_bound_is_below_it(journal, life, count):
    one = life()
    journal.write(
        *one.airflow("asked", "scheduled", "queued", "running"),
        one.says("airflow", "success") | {"at": one.at + 0.9, "seq": 9},
    )
    count()
    (running,) = (
        value for name, value in found(journal).items() if name[0] == "kit_task_hop_seconds" and name[3] == "running"
    )
    assert dict(running.cumulated)["1.0"] == 1 and dict(running.cumulated)["0.5"] == 0


@pytest.mark.parametrize("role", ["journal_writer", "journal_scheduler", "journal_reader"])
def test_nobody_else_counts_or_changes_what_was_counted(journal, role):
    for statement in (
        "SELECT journal.count_up(1, 1, 0, false)",
        "UPDATE journal.counter SET value = 0",
        "DELETE FROM journal.uncounted",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            journal.query(statement, role=role)
