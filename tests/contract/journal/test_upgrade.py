"""A journal that the first version made and filled is brought to this one: what is on record stays, and so does who may do what."""

import time
from collections import defaultdict

import pytest

from airflow_celery_kit.journal import install
from tests.contract.journal.conftest import Journal

ON_WHEELS_ALONE = True
NEWEST = "0007"
TABLES = ("journal.event", "journal.task", "journal.workflow", "journal.transition")
ROWS = "SELECT to_jsonb(one) || jsonb_build_object('xmin', one.xmin::text) FROM {} AS one ORDER BY to_jsonb(one)::text"
OBJECTS = """
SELECT oid, xmin::text, proname::text FROM pg_proc WHERE pronamespace IN ('journal'::regnamespace, 'state'::regnamespace)
UNION SELECT oid, xmin::text, tgname FROM pg_trigger WHERE tgrelid = 'journal.event'::regclass
UNION SELECT oid, relacl::text, relname FROM pg_class WHERE relnamespace IN ('journal'::regnamespace, 'state'::regnamespace) ORDER BY oid
"""
# Days' partitions are read and written through the table that they are part of.
RIGHTS = """
WITH object (name, owner, rights) AS (
    SELECT 'schema ' || nspname, nspowner, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace
    WHERE nspname IN ('journal', 'state')
    UNION ALL SELECT oid::regclass::text, relowner, coalesce(relacl, acldefault('r', relowner)) FROM pg_class
    WHERE relnamespace::regnamespace::text IN ('journal', 'state') AND relkind IN ('r', 'p') AND relname !~ '\\d{8}$'
    UNION ALL SELECT oid::regproc::text, proowner, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc
    WHERE pronamespace::regnamespace::text IN ('journal', 'state')
)
SELECT owner::regrole::text, coalesce(nullif(one.grantee, 0)::regrole::text, 'PUBLIC'), lower(one.privilege_type) || ' ' || name
FROM object, aclexplode(rights) AS one WHERE one.grantee <> owner
"""
MAY = {
    "journal_writer": {
        "usage schema journal", "insert journal.event",
        "usage schema state", "execute state.take", "execute state.finish", "execute state.release",
    },
    "journal_scheduler": {"usage schema journal", "insert journal.event"},
    "journal_reader": {
        "usage schema journal", "select journal.event", "select journal.event_other", "select journal.task", "select journal.workflow",
        "select journal.transition", "select journal.migration", "select journal.graph",
        "select journal.counter", "select journal.histogram", "select journal.counting",
        "select journal.user_metric", "select journal.user_series",
    },
    "kit": {
        "usage schema journal", "execute journal.make_partitions", "execute journal.prune", "execute journal.killers",
        "execute journal.prune_graphs", "execute journal.count_up", "execute journal.to_trace", "execute journal.were_traced",
        "execute journal.deaths",
        "usage schema state", "execute state.prune",
    },
}  # fmt: skip


@pytest.fixture
def old(made, monkeypatch):
    """A database beside the other one, as the first version makes it."""
    made.stack.query("CREATE DATABASE kit_before OWNER kit_owner")
    made.stack.query(install.GRANTS.replace("DATABASE kit ", "DATABASE kit_before "))
    before = Journal(made.stack, database="kit_before")
    with monkeypatch.context() as first:
        first.setattr(install, "NEWEST", "0001")
        assert upgrade(before) == "0001"
    yield before
    made.stack.query("DROP DATABASE kit_before WITH (FORCE)")


def upgrade(journal):
    """Bring a journal to the newest version, as airflow-init does; return which one that is."""
    return install.migrate(journal.address("postgres"))


def written(life):
    """What schedulers and workers of the first version say of two attempts and of a run that is paused, by who says it."""
    one, other = life(at=time.time()), life()
    run = {"dag_id": "sales", "run_id": "r1", "task_id": None, "map_index": None, "attempt": None}
    begun = one.says(
        "airflow", "run_running", type="manual", asked_by="rest_api", user="anna", version=life().id, conf={"rows": 3}
    )
    return [
        ("journal_scheduler", [begun | run | {"task": None}, *one.airflow("asked", "scheduled", "queued"), *other.airflow("asked")]),
        ("journal_writer", [one.says("worker", "received"), one.says("code", "progress", done=3), other.says("worker", "lost", error="gone")]),
        ("journal_scheduler", [one.says("operator", "run_paused") | run | {"task": None}, one.says("operator", "cancelled")]),
        ("journal_scheduler", [*one.airflow("running", "failed"), other.says("airflow", "replaced", by=one.id)]),
    ]  # fmt: skip


def rows(journal, names=TABLES):
    """Every row of the first version's tables, with the transaction that wrote it."""
    return {name: [row for (row,) in journal.query(ROWS.format(name))] for name in names}


def records(journal):
    """What was derived from events, but what later versions note for themselves."""
    found = rows(journal, ("journal.task", "journal.workflow"))
    return {
        name: [{field: row[field] for field in row.keys() - {"xmin", "counted"}} for row in some]
        for name, some in found.items()
    }


def test_what_was_on_record_is_on_record_and_a_second_upgrade_changes_nothing(old, life):
    for role, events in written(life):
        old.write_0001(*events, as_role=role)
    before = rows(old)
    assert [len(before[name]) for name in TABLES[:3]] == [13, 2, 1]
    assert upgrade(old) == NEWEST and install.is_migrated(old.address("postgres"))
    after, made = rows(old), old.query(OBJECTS)
    assert {name: [row | was for row, was in zip(after[name], before[name], strict=True)] for name in TABLES} == after
    assert upgrade(old) == NEWEST
    assert (rows(old), old.query(OBJECTS)) == (after, made)


@pytest.mark.parametrize("told", range(5))
def test_records_are_what_they_would_have_been_whenever_the_upgrade_comes(old, life, told):
    parts = written(life)
    for role, events in parts:
        old.write_0001(*events, as_role=role)
    expected = records(old)
    assert [one["status"] for one in expected["journal.task"]].count("CANCELLED") == 1
    old.query("TRUNCATE journal.event, journal.task, journal.workflow")
    for role, events in parts[:told]:
        old.write_0001(*events, as_role=role)
    upgrade(old)
    for role, events in parts[told:]:
        old.write(*events, as_role=role)
    assert records(old) == expected and not old.refused


def test_roles_may_do_the_same_in_a_new_database_and_in_one_that_was_upgraded(old, made):
    upgrade(old)
    for journal in (made, old):
        may, owners = defaultdict(set), set()
        for owner, role, right in journal.query(RIGHTS):
            may[role].add(right)
            owners.add(owner)
        assert owners == {"kit_owner"}
        assert {
            role: (may[role] - MAY.get(role, set()), MAY[role] - may[role]) for role in may if role in MAY
        } == dict.fromkeys(MAY, (set(), set()))
        assert may.keys() == MAY.keys(), {role: may[role] for role in may.keys() - MAY.keys()}
