"""Metrics that tasks fill by themselves: what they say is added up, bounded, and told to Prometheus; nothing that is written stops the counting."""

import json

import psycopg2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from airflow_celery_kit.api.metrics import tasks, users
from airflow_celery_kit.controller import counting
from airflow_celery_kit.core.user_metrics import BOUNDS

ON_WHEELS_ALONE = True
EMPTY = [0] * (len(BOUNDS) + 1)


@pytest.fixture
def count(journal):
    """Counts up as the controller does, at once."""
    connection = psycopg2.connect(journal.address("kit"))
    yield lambda: counting.count_up(connection, 50, settle=0)
    connection.close()


def series(name="rows", value=1, kind="counter", buckets=None, **labels):
    """One figure, as a task says it."""
    return {"name": name, "kind": kind, "labels": labels, "value": value} | ({"buckets": buckets} if buckets else {})


def say(journal, one, *figures):
    """Have a task say figures in one event, by way of a worker."""
    journal.write(one.says("code", "metric", series=list(figures)), as_role="journal_writer")


def told(journal):
    """What a scrape gives of tasks' own metrics, as Prometheus reads it: values by the name and the labels of each sample."""
    text = "".join(users.lines(journal.reader))
    return {
        (one.name, *sorted(one.labels.items())): one.value for family in text_string_to_metric_families(text) for one in family.samples
    }  # fmt: skip


def dropped(journal):
    """How much was left out, by cause, what is 0 left out."""
    found = {
        one.labels[0]: one.value for one in tasks.samples(journal.reader) if one.name == "kit_metrics_dropped_total"
    }
    assert set(found) == {"invalid", "kind", "names", "series"}
    return {cause: number for cause, number in found.items() if number}


DAG = ("dag_id", "sales")


def test_counters_are_added_up_the_last_gauge_counts_and_histograms_have_their_buckets(journal, life, count):
    one, buckets = life(), [1, *EMPTY[1:]]
    say(journal, one, series(value=5, table="a"), series(value=2, table="b"), series("depth", 7, "gauge"))
    say(
        journal,
        one,
        series(value=1.5, table="a"),
        series("depth", 3, "gauge"),
        series("wait", 0.05, "histogram", buckets),
    )
    assert count() > 0
    assert told(journal)["kit_user_rows_total", DAG, ("table", "a")] == 6.5
    say(journal, one, series(value=10, table="a"), series("wait", 9, "histogram", [1, 0, 0, 0, 0, 2, *EMPTY[6:]]))
    count()
    assert count() == 0
    found = told(journal)
    assert (found["kit_user_rows_total", DAG, ("table", "a")], found["kit_user_rows_total", DAG, ("table", "b")]) == (
        16.5,
        2,
    )
    assert found["kit_user_depth", DAG] == 3
    assert (found["kit_user_wait_count", DAG], found["kit_user_wait_sum", DAG]) == (4, 9.05)
    reached = {key[2][1]: value for key, value in found.items() if key[0] == "kit_user_wait_bucket"}
    assert (reached["0.1"], reached["5.0"], reached["10.0"], reached["+Inf"]) == (2, 2, 4, 4)
    assert dropped(journal) == {}


def test_a_gauge_that_was_said_before_and_comes_later_does_not_count(journal, life, count):
    early, late = life(), life(at=2_000_000_000.0)
    say(journal, late, series("depth", 9, "gauge"))
    count()
    say(journal, early, series("depth", 1, "gauge"))
    count()
    assert told(journal)["kit_user_depth", DAG] == 9


def test_names_and_series_have_an_end_and_what_is_beyond_is_counted(journal, life, count):
    one = life()
    for start in range(0, 250, 50):
        say(journal, one, *(series(f"n{number:03}") for number in range(start, start + 50)))
    count()
    assert len(told(journal)) == 100 and ("kit_user_n099_total", DAG) in told(journal)
    assert dropped(journal) == {"names": 150}
    for start in range(0, 250, 50):
        say(journal, one, *(series("n000", id=str(number)) for number in range(start, start + 50)))
    count()
    assert len([key for key in told(journal) if key[0] == "kit_user_n000_total"]) == 100
    assert dropped(journal) == {"names": 150, "series": 151}


def test_all_series_together_have_an_end(journal, life, count):
    for name in range(15):
        say(journal, life(), *(series(f"n{name:02}", id=str(number)) for number in range(100)))
    count()
    assert len(told(journal)) == 1000 and dropped(journal) == {"series": 500}


def test_histograms_have_an_end_of_their_own(journal, life, count):
    for name in range(3):
        say(
            journal,
            life(),
            *(series(f"h{name}", kind="histogram", buckets=[1, *EMPTY[1:]], id=str(number)) for number in range(100)),
        )
    say(journal, life(), series())
    count()
    found = told(journal)
    assert len([key for key in found if key[0].endswith("_sum")]) == 200 and ("kit_user_rows_total", DAG) in found
    assert dropped(journal) == {"series": 100}


def test_a_name_has_the_kind_that_came_first(journal, life, count):
    say(journal, life(), series("rows", 5), series("rows", 3, "gauge"), series("rows", 1, "counter"))
    count()
    assert told(journal) == {("kit_user_rows_total", DAG): 6} and dropped(journal) == {"kind": 1}


def test_a_name_that_was_not_used_for_a_month_makes_room(journal, life, count):
    say(journal, life(), series("old"), series("rows", table="a"), series("rows", table="b"))
    count()
    journal.query("UPDATE journal.user_metric SET used_at = now() - interval '31 days' WHERE name = 'old'")
    journal.query(
        "UPDATE journal.user_series SET used_at = now() - interval '31 days' WHERE name = 'old' OR labels ->> 'table' = 'b'"
    )
    say(journal, life(), series("rows", table="a"))
    count()
    assert told(journal) == {("kit_user_rows_total", DAG, ("table", "a")): 2}


def test_dags_have_series_of_their_own(journal, life, count):
    other = life()
    other.names["dag_id"] = "stock"
    say(journal, life(), series())
    say(journal, other, series(value=4))
    count()
    assert told(journal) == {("kit_user_rows_total", DAG): 1, ("kit_user_rows_total", ("dag_id", "stock")): 4}


BUCKETS = ([1, 2], [-1, *EMPTY[1:]], ["1", *EMPTY[1:]], [10**9, *EMPTY[1:]], {"a": 1})
LABELS = (
    [], {"x": 1}, {"le": "1"}, {"__x": "1"}, {"a-b": "1"}, {"dag_id": "other"}, {f"l{number}": "1" for number in range(9)}, {"x": "y" * 101}
)  # fmt: skip
WRONG = [
    None, 3, "x", [], {}, series(kind="summary"), series(kind=[1]), series(kind="histogram"),
    *(series(name) for name in ("1x", "a b", "a" * 101, "rows_total", "x_bucket", {"a": 1})),
    *(series(value=value) for value in ("7", None, -1, 1e200, True, [1])),
    *(series() | {"labels": labels} for labels in LABELS),
    *(series(kind="histogram", buckets=buckets) for buckets in BUCKETS),
]  # fmt: skip
# As no program of the kit's writes: a number that JSON has and a double precision has not.
INSERT = """
INSERT INTO journal.event (id, at, kind, source, task, dag_id, facts)
SELECT (j ->> 'id')::uuid, to_timestamp((j ->> 'at')::float8), j ->> 'kind', j ->> 'source', (j ->> 'task')::uuid, j ->> 'dag_id', j -> 'facts'
FROM (SELECT %s::jsonb AS j) AS said
"""


def test_whatever_a_task_writes_the_rest_is_counted(journal, life, count):
    one = life()
    say(journal, one, series(value=1), *WRONG, series(value=2))
    for facts in (
        {},
        {"series": None},
        {"series": {"a": 1}},
        {"series": "x"},
        {"series": []},
        {"series": [[[]]] * 200},
    ):
        journal.write(one.says("code", "metric") | {"facts": facts}, as_role="journal_writer")
    journal.write(one.says("worker", "metric", series=[series(value=100)]), as_role="journal_writer")
    say(
        journal,
        one,
        series("tiny", 0) | {"value": 0.0},
        series("big", 1e15, "gauge", **{f"l{n}": "é" * 100 for n in range(8)}),
    )
    exact = json.dumps(one.says("code", "metric", series=[series("tiny", 5)])).replace('"value": 5', '"value": 1e-400')
    journal.query(INSERT, exact)
    count()
    found = told(journal)
    assert found["kit_user_rows_total", DAG] == 3 and found["kit_user_tiny_total", DAG] == 0
    assert not journal.refused and dropped(journal) == {"invalid": len(WRONG) + 100}


def test_the_bounds_are_those_of_the_database(journal):
    ((bounds,),) = journal.query("SELECT journal.bounds()")
    assert tuple(map(float, bounds)) == BOUNDS


@pytest.mark.parametrize("role", ["journal_writer", "journal_scheduler", "journal_reader", "kit"])
def test_nobody_changes_what_was_counted(journal, role):
    for statement in (
        "UPDATE journal.user_series SET value = 0",
        "DELETE FROM journal.user_metric",
        "SELECT journal.add_user_metrics('{}')",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            journal.query(statement, role=role)
