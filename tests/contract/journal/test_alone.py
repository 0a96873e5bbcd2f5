"""The journal in an Airflow of somebody's own: one role makes, writes and reads it, on a real PostgreSQL."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest
from sqlalchemy.dialects import postgresql

from airflow_celery_kit.api import actions
from airflow_celery_kit.errors import ConfigurationError
from airflow_celery_kit.journal import install
from airflow_celery_kit.journal.forwarder import Forwarder
from airflow_celery_kit.journal.outbox import OutboxSupply
from airflow_celery_kit.journal.sink import Sink
from airflow_celery_kit.scheduler import alone
from tests.contract.tables import TABLE

ON_WHEELS_ALONE = True
OTHER = "SELECT count(*) FROM journal.event_other"


class Owner:
    """Somebody's own server: a role with a database for Airflow and another one for the journal."""

    def __init__(self, stack):
        self.stack = stack
        for name in ("anna", "berta"):
            stack.query(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
        for name in ("airflows", "journals"):
            stack.query(f"CREATE DATABASE {name} OWNER anna")
        self.query("airflows", TABLE)

    def address(self, database, role="anna", scheme="postgresql+psycopg2"):
        return self.stack.address(role, database, role).replace("postgresql", scheme, 1)

    def connect(self, role="anna"):
        return psycopg2.connect(self.address("airflows", role, "postgresql"))

    def query(self, database, statement, *values, role="anna"):
        return self.stack.query(statement, *values, role=role, database=database, password=role)

    def remove(self):
        for name in ("airflows", "journals"):
            self.stack.query(f"DROP DATABASE {name} WITH (FORCE)")
        for name in ("anna", "berta"):
            self.stack.query(f"DROP ROLE {name}")


@pytest.fixture
def owner(prepared, monkeypatch):
    """The server, with empty databases."""
    monkeypatch.setitem(prepared.settings.values, "ANNA_DB_PASSWORD", "anna")
    monkeypatch.setitem(prepared.settings.values, "BERTA_DB_PASSWORD", "berta")
    made = Owner(prepared)
    yield made
    made.remove()


def upkeep(owner, clock=lambda: 0.0):
    """What the scheduler calls before it carries events on."""
    return alone.Upkeep(owner.address("journals"), owner.connect, clock)


def test_the_scheduler_makes_what_is_missing_and_carries_events_on(owner):
    supply = OutboxSupply(owner.connect, lambda value: value)
    carrier = Forwarder(Sink(owner.address("journals")), (supply,), upkeep(owner))
    assert carrier.turn()
    owner.query("airflows", "INSERT INTO task_instance (dag_id, state) VALUES ('sales', 'queued')")
    assert carrier.turn()
    supply.drop()
    assert owner.query("journals", "SELECT dag_id, status FROM journal.task") == [("sales", "QUEUED")]
    assert owner.query("journals", OTHER) == [(0,)]
    ((who,),) = owner.query("journals", "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'journal'")
    assert who == "anna"


def test_what_people_do_over_rest_is_told_where_there_are_no_guards(owner):
    upkeep(owner)()
    values = dict.fromkeys(("task", "run_id", "task_id", "map_index", "attempt", "message"))
    with contextlib.closing(owner.connect()) as connection, connection, connection.cursor() as cursor:
        statement = actions.TELL.compile(dialect=postgresql.dialect(paramstyle="pyformat"))
        cursor.execute(str(statement), values | {"kind": "run_paused", "dag_id": "sales", "facts": "{}"})
    assert owner.query("airflows", "SELECT kind FROM kit.change") == [("run_paused",)]


@pytest.mark.parametrize("role", ["anna", "berta"])
def test_what_happened_is_counted_every_few_seconds_where_no_controller_is(owner, role):
    alone.make_journal(owner.address("journals"))
    alone.grant(owner.address("journals"), "berta")
    now = [0.0]
    keep = alone.Upkeep(owner.address("journals", role), owner.connect, lambda: now[0])
    keep()
    owner.query(
        "journals", "INSERT INTO journal.uncounted (noted_at, what) VALUES (now() - interval '1 min', 'redelivered')"
    )
    for now[0] in (1.0, 2.0):
        keep()
    counted = "SELECT name, value FROM journal.counter"
    assert owner.query("journals", counted) == [("kit_redeliveries_total", 1.0)]
    owner.query(
        "journals", "INSERT INTO journal.uncounted (noted_at, what) VALUES (now() - interval '1 min', 'redelivered')"
    )
    now[0] = 5.0
    keep()
    assert owner.query("journals", counted) == [("kit_redeliveries_total", 1.0)]
    now[0] = 6.0
    keep()
    assert owner.query("journals", counted) == [("kit_redeliveries_total", 2.0)]
    keep.counting.drop()


def test_what_is_there_is_looked_at_and_left_alone(owner, monkeypatch):
    upkeep(owner)()
    monkeypatch.setattr(install, "migrate", lambda *_, **__: pytest.fail("made again"))
    made = "SELECT oid, xmin::text FROM pg_trigger WHERE starts_with(tgname, 'kit_') ORDER BY oid"
    before = owner.query("airflows", made)
    upkeep(owner)()
    assert owner.query("airflows", made) == before and len(before) == 8


def test_a_trigger_that_went_with_a_table_is_made_again(owner):
    upkeep(owner)()
    owner.query("airflows", "DROP TRIGGER kit_journal ON dag_run")
    upkeep(owner)()
    assert owner.query("airflows", "SELECT count(*) FROM pg_trigger WHERE starts_with(tgname, 'kit_')") == [(8,)]
    alone.remove_triggers(owner.connect)
    assert owner.query("airflows", "SELECT count(*) FROM pg_trigger WHERE starts_with(tgname, 'kit_')") == [(0,)]


def test_schedulers_that_start_at_the_same_time_make_it_once(owner):
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda make: make(), [upkeep(owner) for _ in range(3)])) == [None] * 3


def test_a_role_that_may_not_make_it_is_told_once_what_to_do_and_may_use_what_another_made(owner, caplog):
    now = [0.0]
    carrier = Forwarder(Sink(""), (), alone.Upkeep(owner.address("journals", "berta"), owner.connect, lambda: now[0]))
    for now[0] in (0.0, 1.0, 40.0):
        assert not carrier.turn()
    (said,) = [one.message for one in caplog.records]
    assert "let its role create a schema" in said and "scheduler.alone --role berta" in said and "berta@" not in said
    alone.make_journal(owner.address("journals"))
    alone.grant(owner.address("journals"), "berta")
    now[0] = 80.0
    assert carrier.turn() and owner.query("journals", OTHER, role="berta") == [(0,)]


def test_an_airflow_that_may_not_make_its_own_is_told_so(owner):
    with pytest.raises(ConfigurationError, match="create a schema there"):
        alone.make_triggers(lambda: owner.connect("berta"))


def test_a_busy_table_is_not_waited_for(owner):
    """Whoever holds it is in no transaction's way for longer than that, and the next look finds it free."""
    with contextlib.closing(owner.connect()) as busy, busy.cursor() as cursor:
        cursor.execute("LOCK TABLE task_instance IN ROW EXCLUSIVE MODE")
        with pytest.raises(psycopg2.errors.LockNotAvailable):
            alone.make_triggers(owner.connect)
    alone.make_triggers(owner.connect)


def test_partitions_are_made_and_what_is_old_goes_once_an_hour(owner):
    now = [0.0]
    look = upkeep(owner, lambda: now[0])
    look()
    parts = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'journal.event'::regclass"
    ((made,),) = owner.query("journals", parts)
    owner.query(
        "journals",
        "DROP TABLE journal.event_"
        + owner.query("journals", "SELECT to_char(now() AT TIME ZONE 'utc' + interval '5 day', 'YYYYMMDD')")[0][0],
    )
    now[0] = 3000.0
    look()
    assert owner.query("journals", parts) == [(made - 1,)]
    now[0] = 3601.0
    look()
    assert owner.query("journals", parts) == [(made,)]
