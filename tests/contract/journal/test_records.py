"""Records that are derived from events, on a real PostgreSQL: whatever the order and however often they are sent."""

import contextlib
import random
import time
import uuid

import psycopg2
import pytest

from airflow_celery_kit.controller.journal import prune
from airflow_celery_kit.core.journal.hops import hops
from airflow_celery_kit.core.journal.statuses import NEXT, OF_STATE, Status

ON_WHEELS_ALONE = True
# What depends on the order in which events came, or on how many there are.
ORDER_ALONE = {"impossible"}


def whole_life(life):
    """Everything that is said of a task that succeeds."""
    return [
        *life.airflow("asked", "scheduled", "queued"),
        life.says("scheduler", "published", queue="default"),
        life.says("worker", "received"),
        life.says("worker", "started", pid=7),
        *life.airflow("running"),
        life.says("code", "progress", done=3, total=5, note="half way"),
        life.says("code", "business_result", rows=17),
        *life.airflow("success"),
        life.says("worker", "succeeded"),
    ]


def test_each_step_of_a_life_has_its_status(journal, life):
    one, seen = life(), []
    for event in whole_life(one):
        journal.write(event)
        seen.append((event["kind"], journal.task(one.id)["status"]))
    assert seen == [
        ("asked", "PENDING"), ("scheduled", "PENDING"), ("queued", "QUEUED"), ("published", "QUEUED"), ("received", "RECEIVED"),
        ("started", "RECEIVED"), ("running", "PROCESSING"), ("progress", "PROCESSING"), ("business_result", "PROCESSING"),
        ("success", "SUCCESS"), ("succeeded", "SUCCESS"),
    ]  # fmt: skip
    record = journal.task(one.id)
    assert record["progress"] == {"done": 3, "total": 5, "note": "half way"} and record["result"] == {"rows": 17}
    assert (record["queue"], record["priority"], record["events"], record["impossible"]) == ("default", 256, 11, 0)
    assert [hop["seconds"] for hop in hops(record)] == [0.1, 0.1, 0.1, 0.1, 0.2, 0.3]


@pytest.mark.parametrize("seed", range(12))
def test_the_order_in_which_events_come_changes_nothing(journal, life, seed):
    one, chance = life(), random.Random(seed)
    events = whole_life(one)
    journal.write(*events)
    expected = journal.task(one.id)
    journal.query("TRUNCATE journal.event, journal.task")
    chance.shuffle(events)
    while events:
        some = chance.randint(1, 4)
        journal.write(*events[:some])
        events = events[some:]
    found = journal.task(one.id)
    assert {k: v for k, v in found.items() if k not in ORDER_ALONE} == {
        k: v for k, v in expected.items() if k not in ORDER_ALONE
    }


def test_what_is_sent_twice_is_there_once(journal, life):
    one = life()
    events = whole_life(one)
    journal.write(*events[:6])
    journal.write(*events)
    assert journal.task(one.id)["events"] == len(events)
    assert journal.query("SELECT count(*) FROM journal.event") == [(len(events),)]


@pytest.mark.parametrize(
    ("words", "worker", "status"),
    [
        (("asked", "scheduled", "queued", "running", "failed"), (), "FAILURE"),
        (("asked", "scheduled", "queued", "running", "failed"), (("code", "timed_out"),), "TIMEOUT"),
        (("asked", "scheduled", "queued", "running", "failed"), (("operator", "cancelled"),), "CANCELLED"),
        (("asked", "scheduled", "queued", "running", "success"), (("code", "no_data"),), "NO_DATA"),
        (("asked", "scheduled", "queued", "running", "replaced"), (), "RETRY"),
        (("asked", "scheduled", "queued", "running", "success", "replaced"), (), "SUCCESS"),
        (("asked", "scheduled", "queued", "running", "failed", "replaced"), (), "FAILURE"),
        (("asked", "skipped"), (), "NO_DATA"),
        (("asked", "upstream_failed"), (), "CANCELLED"),
        (("asked", "scheduled", "queued"), (("worker", "received"), ("worker", "lost")), "QUEUED"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("together", [True, False])
def test_every_end_has_its_status(journal, life, words, worker, status, together):
    one = life()
    events = [*one.airflow(*words), *(one.says(*said) for said in worker)]
    if together:
        journal.write(*events)
    else:
        for event in events:
            journal.write(event)
    assert journal.task(one.id)["status"] == status


def test_a_message_that_was_lost_and_taken_again_is_received(journal, life):
    one = life()
    journal.write(
        *one.airflow("asked", "scheduled", "queued"), one.says("worker", "received"), one.says("worker", "lost")
    )
    journal.write(one.says("worker", "received"))
    assert journal.task(one.id)["status"] == "RECEIVED"


@pytest.mark.parametrize("together", [True, False])
def test_what_cannot_be_is_kept_and_flagged(journal, life, together):
    one = life()
    events = one.airflow("asked", "scheduled", "queued", "running", "success", "running")
    for part in [events] if together else [[event] for event in events]:
        journal.write(*part)
    record = journal.task(one.id)
    assert (record["impossible"], record["events"]) == (1, 6)


def test_the_database_knows_the_same_statuses_and_transitions_as_the_core(journal):
    allowed = {(str(before), str(after)) for before in NEXT for after in (before, *NEXT[before])}
    assert set(journal.query("SELECT before, after FROM journal.transition")) == allowed
    found = dict(journal.query("SELECT state, journal.plain_status(state) FROM unnest(%s) AS state", [*OF_STATE]))
    assert found == {state: str(status) for state, status in OF_STATE.items()}
    assert {status for _, status in allowed} == {str(one) for one in Status}


def test_an_attempt_knows_the_one_before_and_the_one_after(journal, life):
    first, second = life(), life()
    journal.write(
        *first.airflow("asked", "scheduled", "queued", "running"), first.says("airflow", "replaced", by=second.id)
    )
    journal.write(second.says("airflow", "asked", instead_of=first.id))
    assert journal.task(first.id)["replaced_by"] == second.id and journal.task(second.id)["instead_of"] == first.id


def test_an_event_that_can_never_be_written_keeps_no_other_one_away(journal, life):
    one, bad = life(), life()
    good = whole_life(one)
    journal.write(*good[:5], bad.says("worker", "received") | {"at": None}, *good[5:])
    assert journal.task(one.id)["events"] == len(good)
    assert len(journal.refused) == 1 and bad.id in journal.refused[0]


@pytest.mark.parametrize("source", ["airflow", "scheduler", "controller", "operator"])
def test_a_task_cannot_speak_for_others(journal, life, source):
    """It may use what its worker has; an event that it forges is refused, and the worker's own are written."""
    one = life()
    journal.write(
        one.says("worker", "received"),
        one.says(source, "cancelled"),
        one.says("code", "cancelled"),
        as_role="journal_writer",
    )
    assert len(journal.refused) == 1
    assert journal.task(one.id)["cancelled"] is False and journal.task(one.id)["events"] == 2


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("journal_scheduler", "SELECT 1 FROM journal.event"), ("journal_scheduler", "DELETE FROM journal.task"),
        ("journal_writer", "SELECT 1 FROM journal.event"), ("journal_writer", "DELETE FROM journal.event"),
        ("journal_writer", "UPDATE journal.event SET kind = ''"), ("journal_writer", "SELECT 1 FROM journal.task"),
        ("journal_writer", "INSERT INTO journal.task (id) VALUES (gen_random_uuid())"),
        ("journal_writer", "SELECT journal.make_partitions(1)"), ("journal_writer", "CREATE TABLE public.mine (x int)"),
        ("journal_reader", "DELETE FROM journal.event"), ("journal_reader", "UPDATE journal.task SET error = ''"),
        ("journal_reader", "INSERT INTO journal.event SELECT * FROM journal.event"),
        ("kit", "SELECT 1 FROM journal.event"), ("kit", "DELETE FROM journal.event"),
    ],
)  # fmt: skip
def test_no_role_may_do_more_than_it_is_for(journal, role, statement):
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        journal.query(statement, role=role)


def test_nobody_else_reaches_the_journal_and_the_journal_s_roles_reach_nothing_else(journal):
    for role, database in (("journal_writer", "airflow"), ("journal_reader", "airflow"), ("journal_writer", "celery")):
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            psycopg2.connect(journal.address(role, database))
    for role in ("airflow", "celery"):
        password = journal.stack.settings[f"{role.upper()}_DB_PASSWORD"]
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            psycopg2.connect(
                host="127.0.0.1",
                port=journal.stack.settings["POSTGRES_PORT"],
                user=role,
                dbname="kit",
                password=password,
            )


def test_days_have_partitions_and_what_fits_none_is_kept_too(journal, life):
    one = life()
    journal.write(one.says("worker", "received") | {"at": 0.0})
    assert journal.query("SELECT count(*) FROM journal.event_other") == [(1,)]
    assert journal.query("SELECT journal.make_partitions(7)", role="kit") == [(0,)]
    assert journal.query("SELECT journal.make_partitions(9)", role="kit") == [(2,)]


def test_what_is_old_goes_and_nothing_else(journal, life):
    """Events of a day, the records of what ended then; what still waits stays on record."""
    day = 86400.0
    begun = journal.query("SELECT extract(epoch FROM date_trunc('day', now(), 'utc'))::float8")[0][0]
    journal.query(
        "SET ROLE kit_owner; CREATE TABLE journal.event_20200101 PARTITION OF journal.event "
        "FOR VALUES FROM ('2020-01-01 00:00+00') TO ('2020-01-02 00:00+00')"
    )
    old, waiting, fresh = life(at=1577836800.0), life(at=1577836900.0), life(at=begun)
    journal.write(
        *whole_life(old),
        *waiting.airflow("asked"),
        *whole_life(fresh),
        life(at=begun - 40 * day).says("worker", "received"),
    )
    counted = journal.query("SELECT journal.prune(30, true)", role="kit")[0][0]
    assert (counted["partitions"], counted["events"], counted["tasks"]) == (["event_20200101"], 13, 1)
    assert journal.query("SELECT count(*) FROM journal.event") == [(24,)]
    pruned = journal.query("SELECT journal.prune(30, false)", role="kit")[0][0]
    assert pruned == counted | {"events": None}
    assert journal.query("SELECT count(*) FROM journal.event") == [(11,)]
    left = {id for (id,) in journal.query("SELECT id::text FROM journal.task")}
    assert old.id not in left and {waiting.id, fresh.id} <= left


def test_a_graph_stays_as_long_as_a_run_of_it_is_on_record(journal):
    graph = {"kind": "graph", "source": "airflow", "dag_id": "sales", "facts": {"number": 1, "tasks": []}}
    run = {"kind": "run_running", "source": "airflow", "dag_id": "sales", "run_id": "r1", "seq": 1, "facts": {}}
    used, unused, fresh = (str(uuid.uuid4()) for _ in range(3))
    at = {used: 1577836800.0, unused: 1577836800.0, fresh: time.time()}
    journal.write(
        *(graph | {"id": str(uuid.uuid4()), "at": at[one], "facts": graph["facts"] | {"version": one}} for one in at),
        run | {"id": str(uuid.uuid4()), "at": at[used], "facts": {"version": used}},
    )
    with contextlib.closing(psycopg2.connect(journal.address("kit"))) as connection:
        prune(connection, 30, dry=True)
        assert journal.query("SELECT count(*) FROM journal.graph") == [(3,)]
        prune(connection, 30, dry=False)
    assert {one for (one,) in journal.query("SELECT version::text FROM journal.graph")} == {used, fresh}
