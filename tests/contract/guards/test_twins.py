"""The arithmetic in PostgreSQL is that of the core: the same sequence of events has the same verdicts."""

import contextlib
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from airflow_celery_kit.core.guards import patterns
from airflow_celery_kit.core.guards.breaker import Breaker, Terms
from airflow_celery_kit.core.guards.rate import Rate
from tests.contract.guards.conftest import QUIETLY, breaker, limit

ON_WHEELS_ALONE = True
T0 = datetime(2026, 1, 1, tzinfo=UTC)
LIGHT = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TERMS = Terms(failures=3, within=60, open_for=30, growth="exponential", most=100)
WHICH = "breaker crm"
KNOWN = "SELECT state, probe::text, openings, until, cardinality(failed_at) FROM kit.breaker WHERE guard = %s"
ENDS = ["queued", "running", "deferred", "success", "failed", "up_for_retry", "up_for_reschedule", "restarting", None]


def moment(at: float) -> datetime:
    """A time of the database's."""
    return T0 + timedelta(seconds=at)


@pytest.fixture
def connection(airflow):
    """A connection whose changes are never committed."""
    airflow.guards(breaker(growth="exponential", open_most=100), limit(slots=2))
    with contextlib.closing(airflow.connect()) as made:
        yield made


class Twins(RuleBasedStateMachine):
    """A breaker of the core's beside one of PostgreSQL's; a test gives it a connection and tasks."""

    connection, ids = None, ()

    def __init__(self):
        super().__init__()
        self.connection.rollback()
        self.cursor = self.connection.cursor()
        self.cursor.execute("INSERT INTO kit.breaker (guard, token) VALUES (%s, '')", (WHICH,))
        self.twin, self.at, self.active = Breaker(TERMS), 0.0, set()

    def sql(self, statement, *values):
        """The first row of what a statement finds."""
        self.cursor.execute(statement, values)
        return self.cursor.fetchone()

    @rule(seconds=some.sampled_from([0.5, 7.0, 30.0, 61.0, 400.0, 2000.0]))
    def time_passes(self, seconds):
        """Nothing happens for a while."""
        self.at += seconds

    @rule(data=some.data())
    def a_task_asks(self, data):
        """A task is let in by both or by none."""
        task = data.draw(some.sampled_from(self.ids))
        said = self.twin.ask(task, self.at, self.twin.probe in self.active)
        assert self.sql("SELECT kit.breaker_ask(%s, '', %s::uuid, %s)", WHICH, task, moment(self.at)) == (said,)
        if said in ("closed", "probe"):
            self.active.add(task)
            self.cursor.execute(QUIETLY, {"state": "running", "task": task})
            if said == "probe":
                self.twin.begin_probe(task)
                self.sql("SELECT kit.breaker_probe(%s, '', %s::uuid, %s)", WHICH, task, moment(self.at))

    @precondition(lambda self: self.active)
    @rule(data=some.data(), became=some.sampled_from(["worked", "broke", "broke", "left"]))
    def a_task_ends(self, data, became):
        """Both hear of it."""
        task = data.draw(some.sampled_from(sorted(self.active)))
        self.active.discard(task)
        self.cursor.execute(QUIETLY, {"state": None, "task": task})
        self.twin.heard(task, became, self.at)
        self.sql("SELECT kit.breaker_heard(%s, '', %s::uuid, %s, %s)", WHICH, task, became, moment(self.at))

    @rule()
    def a_person_trips_it(self):
        """It is as loud in both."""
        self.twin.open(self.at)
        self.sql("SELECT kit.breaker_open(%s, '', 'maintenance', 'anna', %s)", WHICH, moment(self.at))
        assert self.sql("SELECT level FROM kit.guard_event ORDER BY seq DESC LIMIT 1") == (self.twin.level(self.at),)

    @invariant()
    def they_are_one(self):
        """Whatever is known of one is known of the other."""
        state, probe, openings, until, failed = self.sql(KNOWN, WHICH)
        wanted = moment(self.twin.until) if self.twin.state == "open" else until
        assert (state, probe, openings, until, failed) == (
            self.twin.state, self.twin.probe, self.twin.openings, wanted, len(self.twin.failed_at))  # fmt: skip


def test_a_breaker_is_that_of_the_core(airflow, connection):
    ids = airflow.tasks(6)
    run_state_machine_as_test(type("TwinsHere", (Twins,), {"connection": connection, "ids": ids}), settings=LIGHT)
    connection.rollback()


@settings(LIGHT, max_examples=100)
@given(
    number=some.integers(1, 500), period=some.sampled_from([1.0, 60.0, 3600.0]), data=some.data(),
    steps=some.lists(some.integers(0, 100_000), max_size=20),
)  # fmt: skip
def test_a_rate_is_that_of_the_core(connection, number, period, data, steps):
    rate = Rate(number, period, data.draw(some.integers(1, number)))
    at, following, kept = 0.0, 0.0, T0
    with connection.cursor() as cursor:
        for step in steps:
            at += step / 1000
            cursor.execute(
                "SELECT kit.rate_due(%(kept)s, gap, %(burst)s), kit.rate_take(%(kept)s, gap, %(at)s) "
                "FROM kit.rate_gap(%(number)s, %(period)s, %(burst)s) AS gap",
                {"kept": kept, "at": moment(at), "number": number, "period": period, "burst": rate.burst},
            )
            due, kept = cursor.fetchone()
            assert abs((due - moment(rate.due(following))).total_seconds()) < 1e-3
            following = rate.take(following, at)
            assert abs((kept - moment(following)).total_seconds()) < 1e-3


@settings(LIGHT, max_examples=300)
@example(pattern="[!!a]", name="!")
@example(pattern="[]", name="")
@given(pattern=some.text("ab*?[]!-.^\\$(|", max_size=8), name=some.text("ab*?[]!-.^\\$(|", max_size=6))
def test_a_pattern_fits_what_it_fits_in_the_shell(connection, pattern, name):
    with connection.cursor() as cursor:
        try:
            cursor.execute("SELECT %s ~ %s", (name, patterns.expression([pattern])))
            assert cursor.fetchone()[0] == fnmatchcase(name, pattern)
        finally:
            connection.rollback()


def machine_of_slots(airflow, ids):
    """A state machine of Airflow's: tasks that are scheduled, run, end, are cleared and retried under a limit of two."""
    states = ("queued", "running", "deferred", "awaiting_input", "restarting")
    ends = ("success", "failed", "up_for_retry", "up_for_reschedule", None)
    active = ("scheduled", *states)

    class Slots(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            airflow.query("UPDATE task_instance SET state = NULL")
            airflow.query("DELETE FROM kit.admitted")
            airflow.query("DELETE FROM kit.held")
            self.states = dict.fromkeys(ids)

        @rule(some_ids=some.lists(some.sampled_from(ids), min_size=1, max_size=6, unique=True))
        def a_scheduler_looks(self, some_ids):
            due = [id for id in some_ids if self.states[id] in (None, "up_for_retry", "up_for_reschedule")]
            free = 2 - sum(state in active for state in self.states.values())
            assert airflow.schedule(some_ids) == min(free, len(due))
            self.states = dict(zip(ids, airflow.states(ids), strict=True))

        @rule(id=some.sampled_from(ids), state=some.sampled_from([*states, *ends]))
        def a_state_changes(self, id, state):
            if self.states[id] in active:
                airflow.becomes(state, id)
                self.states[id] = state

        @invariant()
        def never_one_too_many(self):
            assert sum(state in active for state in self.states.values()) <= 2

    return Slots


def test_a_limit_holds_whatever_becomes_of_its_tasks(airflow):
    airflow.guards(limit(slots=2))
    run_state_machine_as_test(machine_of_slots(airflow, airflow.tasks(6)), settings=LIGHT)
