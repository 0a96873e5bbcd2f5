"""What people see of one attempt: `kit tasks show` on an ordinary screen."""

from datetime import datetime

import pytest

from airflow_celery_kit.cli.story_lines import folded, story
from airflow_celery_kit.core.journal.hops import hops
from airflow_celery_kit.core.journal.open_hop import open_hop
from tests.unit.test_record_commands import AT, TASK, shown

NOW = datetime.fromisoformat(AT.format(9))
TIMES = ("due_at", "queued_at", "published_at", "received_at", "started_at", "completed_at")
INPUT = {"fields": {"op_args": "['s3://a']", "op_kwargs": "{}", "templates_dict": None}, "hash": "0123" * 16}
WHOLE = TASK | {
    "pool": "default_pool", "priority": 256, "operator": "@task", "progress": {"done": 27, "total": 240, "note": "n=1"}, "result": None,
    "input": INPUT, "instead_of": None, "replaced_by": None,
}  # fmt: skip


def event(kind, **facts):
    """One event of the code's."""
    return {"at": AT.format(5), "source": "code", "kind": kind, "facts": facts}


def told(*events, width=80, whole=False, **other):
    """The lines of a story."""
    one = WHOLE | other
    return shown(story(one | {"hops": hops(one), "events": list(events)}, whole, NOW), width).splitlines()


def test_a_story_has_hops_events_and_the_error_as_it_is():
    text = "\n".join(told(event("asked", queue="heavy", trace="long"), width=240))
    assert "waiting in the broker" in text and "2.000 s" in text and "queue heavy" in text and "long" not in text
    assert "ValueError: [red]no[/] rows" in text


def test_an_ordinary_screen_says_where_it_ran_when_and_how_long():
    lines = [" ".join(line.split()) for line in told()]
    for line in (
        "worker airflow-worker-1",
        "queue default",
        "created 2026-01-31 12:00:00",
        "took 4 s",
        "progress 27 of 240: n=1",
    ):
        assert line in lines, lines
    assert "FAILURE load[3], try 2, " + TASK["id"] in lines and "sales r1" in lines


def test_what_it_was_given_is_shown_and_no_hash_of_it():
    text = "\n".join(told(event("input", **INPUT)))
    assert "op_args: ['s3://a']" in text and "op_kwargs" not in text and "templates_dict" not in text
    assert "0123" not in text


def test_what_stands_above_is_not_said_again_with_each_event():
    facts = {"pool": "default_pool", "queue": "default", "operator": "@task", "priority": 256}
    text = "\n".join(told(event("asked", **facts), event("scheduled", **facts | {"pool": "small"})))
    assert text.count("@task") == 1 and text.count("default_pool") == 1 and "pool small" in text


def test_what_is_said_again_and_again_is_one_line_unless_all_is_asked_for():
    many = [event("progress", done=number, total=40, note="n") for number in range(37)]
    events = [event("asked"), *many, event("checkpoint"), *many[:2]]
    assert [(one["kind"], one["times"]) for one in folded(events)] == [
        ("asked", 1), ("progress", 37), ("checkpoint", 1), ("progress", 2),
    ]  # fmt: skip
    brief, whole = told(*events, progress=None), told(*events, progress=None, whole=True)
    assert [" ".join(line.split()) for line in brief if "progress" in line] == [
        "12:00:05.000 code progress x 37 36 of 40: n", "12:00:05.000 code progress x 2 1 of 40: n",
    ]  # fmt: skip
    assert len([line for line in whole if "progress" in line]) == 39


@pytest.mark.parametrize(
    ("status", "known", "hop"),
    [
        ("PENDING", 0, ("until it was due", 9.0)),
        ("PENDING", 1, ("waiting in Airflow", 8.0)),
        ("PENDING", 5, ("until it was due", 4.0)),
        ("QUEUED", 2, ("on its way to the broker", 7.0)),
        ("QUEUED", 3, ("waiting in the broker", 6.0)),
        ("RECEIVED", 4, ("starting", 5.0)),
        ("PROCESSING", 5, ("running", 4.0)),
        ("PROCESSING", 4, None),
        ("SUCCESS", 5, None),
    ],
)
def test_the_hop_that_goes_on_is_told_with_its_time_so_far(status, known, hop):
    times = {name: AT.format(number + 1) if number < known else None for number, name in enumerate(TIMES)}
    one = TASK | times | {"status": status}
    assert open_hop(one, NOW) == hop
    assert open_hop(one, datetime.fromisoformat(AT.format(0))) in (None, hop and (hop[0], 0.0))
    line = f"{hop[0]} {hop[1]:.0f} s so far" if hop else "so far"
    lines = [" ".join(line.split()) for line in told(**times, status=status)]
    assert (line in lines) == bool(hop)


@pytest.mark.parametrize(
    "series", [None, "x", [3, {"name": "rows", "value": 5, "labels": {"table": "a"}}, {"name": "depth", "value": 2}]]
)
def test_metrics_are_told_by_name_whatever_was_written(series):
    text = "\n".join(told(event("metric", series=series), event("metric", series=series), width=200))
    assert "metric x 2" in text and "labels" not in text
    assert not isinstance(series, list) or "rows 5, depth 2" in text
