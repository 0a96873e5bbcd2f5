"""What the api-server reads of the journal, page by page."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from airflow_celery_kit.journal.overview import ENDED, FRESH, Overview
from airflow_celery_kit.journal.reader import CursorError

ON_WHEELS_ALONE = True


@pytest.fixture
def filled(journal, life):
    """Seven attempts of two Dags, one a second: four that succeeded, two that failed, one that waits."""
    lives = []
    for number in range(7):
        one = life(at=1_800_000_000.0 + number)
        one.names |= {"dag_id": "sales" if number % 2 else "stock", "task_id": f"t{number}"}
        end = ("running", "success") if number < 4 else ("running", "failed") if number < 6 else ()
        journal.write(*one.airflow("asked", "scheduled", "queued", *end))
        lives.append(one)
    journal.write(lives[5].says("code", "error", error="ValueError: no 100%_sure rows", trace="somewhere"))
    return journal.reader, [one.id for one in lives]


def ids(page):
    """The ids of a page's tasks."""
    return [one["id"] for one in page.records]


def test_pages_follow_each_other_newest_first_and_hold_everything_once(filled):
    reader, known = filled
    pages, cursor = [], None
    while True:
        page = reader.tasks({}, 3, cursor)
        pages.append(ids(page))
        if not (cursor := page.next):
            break
    assert pages == [known[6:3:-1], known[3:0:-1], known[:1]]


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({"status": ["FAILURE"]}, [5, 4]), ({"status": ["FAILURE", "QUEUED"]}, [6, 5, 4]), ({"dag_id": "sales"}, [5, 3, 1]),
        ({"dag_id": "sales", "status": ["SUCCESS"]}, [3, 1]), ({"visible": ["stock"]}, [6, 4, 2, 0]), ({"visible": []}, []),
        ({"error": "valueerror"}, [5]), ({"error": "100%_s"}, [5]), ({"error": "%"}, [5]), ({"task_id": "t2"}, [2]), ({"queue": "heavy"}, []),
    ],
)  # fmt: skip
def test_lists_are_narrowed_by_what_is_asked_for(filled, wanted, numbers):
    reader, known = filled
    assert ids(reader.tasks(wanted)) == [known[number] for number in numbers]


def test_one_record_is_whole_and_its_events_are_in_order(filled):
    reader, known = filled
    record = reader.task(uuid.UUID(known[5]))
    assert record["error"].startswith("ValueError") and record["trace"] == "somewhere"
    assert [one["kind"] for one in reader.events(uuid.UUID(known[5]))] == [
        "asked",
        "scheduled",
        "queued",
        "running",
        "failed",
        "error",
    ]
    assert reader.task(uuid.uuid4()) is None


@pytest.mark.parametrize("cursor", ["x", "bm9uZQ", "WzFd", "W10", "é"])
def test_a_cursor_that_was_never_given_out_is_refused(filled, cursor):
    reader, _ = filled
    with pytest.raises(CursorError):
        reader.tasks({}, 3, cursor)


def test_a_run_counts_its_tasks_by_status_and_a_replaced_attempt_not_at_all(journal, life):
    run = life(names={"dag_id": "sales", "run_id": "r1"})
    asked = run.says("airflow", "run_running", type="manual", user="anna", conf={"size": 3})
    journal.write(asked | {"task": None})
    first, second, third = life(), life(), life()
    journal.write(
        *first.airflow("asked", "scheduled", "queued", "running"), first.says("airflow", "replaced", by=second.id)
    )
    journal.write(*second.airflow("asked", "scheduled", "queued", "running", "success"), *third.airflow("asked"))
    (found,) = journal.reader.workflows({}).records
    assert (found["state"], found["user_name"], found["conf"]) == ("running", "anna", {"size": 3})
    assert (found["progress"], found["counts"]) == ("1/2", {"SUCCESS": 1, "PENDING": 1})
    assert (
        journal.reader.workflow("sales", "r1") == found | {"graph": None}
        and journal.reader.workflow("sales", "r2") is None
    )


@pytest.mark.parametrize(
    ("wanted", "runs"),
    [(["running"], ["r2", "r1"]), (["paused"], ["r2"]), (["paused", "success"], ["r3", "r2"]), (["failed"], [])],
)
def test_runs_are_looked_for_by_state_and_a_paused_one_has_two(journal, life, wanted, runs):
    for number, kinds in enumerate((("running",), ("running", "paused"), ("running", "paused", "success")), 1):
        run = life(at=1_800_000_000.0 + number, names={"dag_id": "sales", "run_id": f"r{number}"})
        for kind in kinds:
            ended = {"ended_at": "2027-01-15T09:00:00+00:00"} if kind == "success" else {}
            journal.write(
                run.says("operator" if kind == "paused" else "airflow", f"run_{kind}", **ended) | {"task": None}
            )
    assert [one["run_id"] for one in journal.reader.workflows({"state": wanted}).records] == runs


def test_an_older_word_of_a_run_changes_nothing(journal, life):
    run = life(names={"dag_id": "sales", "run_id": "r1"})
    words = [run.says("airflow", kind) | {"task": None} for kind in ("run_queued", "run_running", "run_success")]
    journal.write(words[2])
    journal.write(words[0], words[1])
    assert journal.reader.workflow("sales", "r1")["state"] == "success"


def test_the_overview_says_how_many_events_no_disk_took(journal):
    assert journal.reader.overview.look(["sales"])["lost"] == 0
    now = journal.query("SELECT extract(epoch FROM now())::float8")[0][0]
    gaps = [
        {"id": str(uuid.uuid4()), "at": now - age, "kind": "gap", "source": "worker", "facts": {"lost": lost}}
        for age, lost in ((1, 3), (60, 4), (8 * 86400, 100))
    ]
    journal.write(*gaps, as_role="journal_writer")
    assert journal.reader.overview.look(["sales"])["lost"] == 7


def test_the_overview_counts_what_is_open_and_what_has_ended_in_each_minute_of_the_hour(journal, life):
    moment = datetime.now(UTC).replace(second=0, microsecond=0)
    now = moment.timestamp()
    for at, last in ((-90, "success"), (-80, "failed"), (-3500, "success"), (-3700, "success"), (-50, "running")):
        one = life(at=now + at)
        journal.write(*one.airflow("asked", "scheduled", "queued", "running", *([last] if last != "running" else [])))
    elsewhere = life(at=now - 80)
    elsewhere.names |= {"dag_id": "hidden"}
    journal.write(*elsewhere.airflow("asked", "failed"))
    found = journal.reader.overview.look(["sales"], moment)
    assert {status: number for status, number in found["statuses"].items() if number} == {
        "SUCCESS": 2, "FAILURE": 1, "PROCESSING": 1,
    }  # fmt: skip
    assert {type(one[name]) for one in found["minutes"] for name in ("done", "failed")} == {int}, (
        "JSON has them as numbers"
    )
    assert len(found["minutes"]) == 60 and found["minutes"][0]["at"] < found["minutes"][59]["at"]
    assert [(one["done"], one["failed"]) for one in found["minutes"] if one["done"] or one["failed"]] == [
        (1, 0),
        (1, 1),
    ]


def test_what_has_settled_is_counted_once_a_minute(journal, life):
    asked, reader = [], journal.reader
    overview = Overview(lambda query, values: asked.append(query) or reader._rows(query, values))
    now = datetime.now(UTC).replace(second=10)
    before = life(at=now.timestamp() - 600)
    journal.write(*before.airflow("asked", "success"))
    assert overview.look(["sales"], now)["statuses"]["SUCCESS"] == 1
    fresh = life(at=now.timestamp() - 20)
    journal.write(*fresh.airflow("asked", "success"))
    assert overview.look(["sales"], now)["statuses"]["SUCCESS"] == 2
    assert asked == [FRESH, ENDED, FRESH]
    assert overview.look(["hidden"], now)["statuses"]["SUCCESS"] == 0
    assert overview.look(["sales"], now + timedelta(minutes=1))["statuses"]["SUCCESS"] == 2
    assert asked.count(ENDED) == 3
