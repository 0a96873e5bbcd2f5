"""The controller's part, on a real PostgreSQL: the file is in force when it changes, ranges follow what decides them, events are said."""

import contextlib
import json
import time

import pytest

from airflow_celery_kit.api.metrics.guards import GUARDS
from airflow_celery_kit.controller import database
from airflow_celery_kit.controller.guarding import Guarding
from airflow_celery_kit.controller.ranges import Ranges
from airflow_celery_kit.guards import install
from tests.contract.guards.conftest import breaker, limit
from tests.contract.servers import wait_for

ON_WHEELS_ALONE = True


class Reports:
    """What workers report, in place of the broker that they report to."""

    def __init__(self, *found):
        self.found = found

    def reports(self):
        return dict(enumerate(self.found))


class Seen:
    """The connections of a controller that leads."""

    def __init__(self, metadata, *reports):
        self.metadata, self.broker = metadata, Reports(*reports)


@pytest.fixture
def metadata(airflow):
    """The controller's own connection."""
    with contextlib.closing(airflow.connect("kit")) as connection:
        yield connection


@pytest.fixture
def guarding(tmp_path):
    """A controller's keeper of a file, and what it says."""
    said = []
    made = Guarding(tmp_path / "limits.yaml", lambda event, **facts: said.append((event, facts)))
    made.path.write_text("limits: {crm-db: {slots: 1, when: {}}}")
    made.said = said
    return made


def look(guarding, metadata, *reports, now=0.0):
    """Have it look once."""
    guarding.look(Seen(metadata, *reports), lambda: database.transaction(metadata), now)


def test_a_file_is_in_force_when_it_changes_and_a_bad_one_changes_nothing(airflow, metadata, guarding):
    look(guarding, metadata)
    ids = airflow.tasks(4)
    assert airflow.schedule(ids) == 1
    guarding.path.write_text("limits: {crm-db: {slots: 3, when: {}}}")
    look(guarding, metadata)
    assert airflow.schedule(ids) == 2
    guarding.path.write_text("limits: {crm-db: {slots: three, when: {}}}")
    look(guarding, metadata)
    look(guarding, metadata)
    assert airflow.schedule(ids) == 0 and airflow.one("SELECT slots FROM kit.guard") == 3
    refused = [facts["reason"] for event, facts in guarding.said if event == "limits_refused"]
    assert len(refused) == 1 and "limits.yaml, line 1, column 19: limits.crm-db.slots" in refused[0]
    assert "column 19" in airflow.one("SELECT problem FROM kit.guard_file")
    guarding.path.write_text("")
    look(guarding, metadata)
    assert airflow.schedule(ids) == 1 and airflow.one("SELECT problem FROM kit.guard_file") == ""


def test_tables_of_before_become_those_of_now(airflow, metadata, guarding):
    airflow.query("ALTER TABLE kit.guard_file ADD COLUMN digest text NOT NULL DEFAULT ''")
    airflow.query(
        "CREATE OR REPLACE FUNCTION kit.guards_adopt() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 0'"
    )
    airflow.query("CREATE FUNCTION kit.guards_tidy() RETURNS void LANGUAGE sql SECURITY DEFINER AS ''")
    airflow.query(
        "ALTER TABLE kit.admitted DROP COLUMN extra_try; ALTER TABLE kit.guard_suspended DROP COLUMN looked_at"
    )
    airflow.query(install.statements().replace("%", "%%"))
    look(guarding, metadata)
    assert airflow.query("SELECT what, problem FROM kit.guard_file") == [("limits.yaml", "")]
    gone = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'kit' AND column_name = 'digest'"
    assert airflow.one(gone) == 0 and airflow.one("SELECT kit.guards_adopt()") == 0


REFUSE = """
CREATE FUNCTION kit.refuse_of_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'out of range' USING ERRCODE = '22003'; END $$;
CREATE TRIGGER refuse_of_test BEFORE INSERT ON kit.guard FOR EACH ROW WHEN (NEW.name = 'odd') EXECUTE FUNCTION kit.refuse_of_test()
"""


def test_a_file_that_the_database_does_not_take_is_its_problem_and_changes_nothing(airflow, metadata, guarding):
    look(guarding, metadata)
    airflow.query(REFUSE)
    try:
        guarding.path.write_text("limits: {odd: {slots: 3, when: {}}}")
        look(guarding, metadata)
        look(guarding, metadata, now=100.0)
        assert airflow.query("SELECT name, slots FROM kit.guard") == [("crm-db", 1)]
        problem = airflow.one("SELECT problem FROM kit.guard_file")
        assert problem == f"{guarding.path}: the database does not take it: out of range"
        assert [facts["reason"] for event, facts in guarding.said if event == "limits_refused"] == [problem]
        assert [facts["limits"] for event, facts in guarding.said if event == "limits"] == [["crm-db"]]
    finally:
        airflow.query("DROP FUNCTION kit.refuse_of_test CASCADE")


def test_a_range_follows_a_metric_and_stays_in_its_bounds(airflow, metadata, guarding):
    guarding.path.write_text("limits: {crm-db: {slots: {low: 2, high: 5, by: worker_slots}, when: {}}}")
    worker = {"slots": 4, "queues": ["default"]}
    for reports, slots in (((), 2), ((worker,), 4), ((worker, worker), 5)):
        look(guarding, metadata, *reports)
        assert airflow.one("SELECT kit.limit_slots(g) FROM kit.guard AS g") == slots
    assert airflow.one("SELECT workers FROM kit.guard_workers") == 2


def test_a_function_that_breaks_keeps_the_last_value_and_is_said_once(
    airflow, metadata, guarding, tmp_path, monkeypatch
):
    (tmp_path / "sizes.py").write_text("values = [3, 100]\ndef size():\n    return values.pop(0)")
    monkeypatch.syspath_prepend(tmp_path)
    guarding.path.write_text("limits: {crm-db: {slots: {low: 2, high: 5, by: sizes.size}, when: {}}}")
    for slots in (3, 5, 5, 5):
        look(guarding, metadata)
        assert airflow.one("SELECT kit.limit_slots(g) FROM kit.guard AS g") == slots
    fails = [facts["reason"] for event, facts in guarding.said if event == "range_fails"]
    assert fails == ["sizes.size: IndexError: pop from empty list"]
    assert "IndexError" in airflow.one("SELECT problem FROM kit.guard_value")


def test_a_function_that_does_not_return_delays_nothing(airflow, metadata, tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text("import time\ndef size():\n    time.sleep(30)")
    monkeypatch.syspath_prepend(tmp_path)
    airflow.guards(limit(low=1, high=2, source="slow.size"))
    monkeypatch.setattr("airflow_celery_kit.controller.ranges.SLOW_SECONDS", 0.5)
    ranges, begun, news = Ranges(), time.monotonic(), []
    while time.monotonic() - begun < 1:
        news += ranges.look(metadata, lambda: database.transaction(metadata), {}).values()
        time.sleep(0.1)
    assert time.monotonic() - begun < 2 and news == ["slow.size has not answered for 0 s"]


def test_a_function_that_takes_its_time_is_heard(airflow, metadata, guarding, tmp_path, monkeypatch):
    (tmp_path / "late.py").write_text("import time\ndef size():\n    time.sleep(0.5)\n    return 4")
    monkeypatch.syspath_prepend(tmp_path)
    guarding.path.write_text("limits: {crm-db: {slots: {low: 2, high: 5, by: late.size}, when: {}}}")

    def slots() -> int:
        look(guarding, metadata)
        return airflow.one("SELECT kit.limit_slots(g) FROM kit.guard AS g")

    assert slots() == 2
    wait_for("its answer", lambda: slots() == 4, 5)
    airflow.query("UPDATE kit.guard_value SET slots = 3")
    wait_for("its answer, whatever another controller has written", lambda: slots() == 4, 5)
    assert not [facts for event, facts in guarding.said if event == "range_fails"]


def test_what_happens_to_a_breaker_is_said_once_with_its_level_and_reason(airflow, metadata, guarding):
    look(guarding, metadata)
    airflow.guards(breaker(open_for=0, open_most=0, failures=1))
    (id,) = airflow.tasks(1)
    airflow.schedule([id])
    for number in range(3):
        airflow.query("SELECT kit.breaker_open('breaker crm', '', %s, NULL, clock_timestamp())", f"trip {number}")
    look(guarding, metadata)
    look(guarding, metadata)
    told = [(facts["level"], facts["reason"]) for event, facts in guarding.said if event == "breaker_open"]
    assert told == [("warning", "trip 0"), ("warning", "trip 1"), ("error", "trip 2")]


def test_what_a_breaker_that_is_cleared_away_has_counted_is_kept(airflow, metadata, guarding):
    def trips():
        return airflow.query(GUARDS.text)[0][-1]

    guarding.path.write_text("breakers: {crm: {when: {}, per: dag}}")
    look(guarding, metadata)
    assert trips() == 0
    for dag in ("sales", "stock", "sales"):
        airflow.query("SELECT kit.breaker_trip('breaker crm', %s, 'anna', 'it moves')", dag)
    assert trips() == 3
    airflow.query(
        "UPDATE kit.breaker SET state = 'closed', trips = '{}', since = now() - interval '2 days', until = NULL WHERE token = 'sales'"
    )
    look(guarding, metadata, now=100.0)
    assert airflow.query("SELECT token FROM kit.breaker") == [("stock",)] and trips() == 3
    airflow.query("SELECT kit.breaker_trip('breaker crm', 'sales', 'anna', 'it moves')")
    assert trips() == 4
    guarding.path.write_text("")
    for now in (200.0, 300.0):
        look(guarding, metadata, now=now)
    assert airflow.query("SELECT * FROM kit.guard_trip") == []


def test_health_checks_open_a_breaker(airflow):
    airflow.guards(breaker(check_name="crm", health={"unhealthy": 2, "degraded": 10, "within": 10}, failures=0))
    tell = "SELECT kit.breaker_verdict('crm', %s, now() + make_interval(secs => %s))"
    with contextlib.closing(airflow.connect("kit")) as connection, connection, connection.cursor() as cursor:
        tripped = []
        for state, at in (
            ("Healthy", 0),
            ("Unhealthy", 0),
            ("Unhealthy", 11),
            *(("Degraded", 12) for _ in range(9)),
            ("Unhealthy", 13),
        ):
            cursor.execute(tell, (state, at))
            tripped.append(cursor.fetchone()[0])
    assert tripped == [0] * 12 + [1]
    assert airflow.breaker()[:2] == ("open", "health check crm: 2 Unhealthy in 10 s")


def test_what_dags_say_is_in_force_with_the_dag_that_says_it(airflow):
    kit = {"__type": "dict", "__var": {"kit": {"__type": "dict", "__var": {"limit": "crm-db", "breaker": "crm"}}}}
    task = {"__type": "operator", "__var": {"task_id": "load", "executor_config": kit}}
    mapped = {
        "__type": "operator",
        "__var": {"task_id": "many", "_is_mapped": True, "partial_kwargs": {"executor_config": kit}},
    }
    airflow.guards(limit(slots=1, named=True))
    data = json.dumps({"dag": {"tasks": [task, mapped]}})
    airflow.query("INSERT INTO serialized_dag (dag_id, data) VALUES ('sales', %s)", data)
    ids = airflow.tasks(2) + airflow.tasks(2, task="many")
    assert airflow.schedule(ids) == 1
    assert airflow.one("SELECT failures FROM kit.guard WHERE id = 'breaker crm'") == 3
    airflow.query("UPDATE serialized_dag SET data = %s", json.dumps({"dag": {"tasks": []}}))
    assert airflow.schedule(ids) == 3


def stored(limits):
    """A stored Dag whose one task says this of limits."""
    said = {"__type": "dict", "__var": {"kit": {"__type": "dict", "__var": limits}}}
    return json.dumps(
        {"dag": {"tasks": [{"__type": "operator", "__var": {"task_id": "load", "executor_config": said}}]}}
    )


def test_a_limit_that_a_dag_defines_changes_with_it_and_the_file_comes_first(airflow, metadata, guarding):
    def said(slots):
        define = [limit(slots=slots, named=True, origin="dag", rule={"__type": "dict", "__var": {"slots": slots}})]
        return stored({"limit": ["crm-db"], "define": define})

    airflow.query("INSERT INTO serialized_dag (dag_id, data) VALUES ('sales', %s)", said(2))
    airflow.query("UPDATE serialized_dag SET data = %s", said(3))
    assert airflow.query("SELECT slots, rule FROM kit.guard") == [(3, {"slots": 3})]
    guarding.path.write_text("limits: {crm-db: {slots: 1}}")
    look(guarding, metadata)
    airflow.query("UPDATE serialized_dag SET data = %s", said(4))
    assert airflow.query("SELECT slots, origin FROM kit.guard") == [(1, "file")]
    guarding.path.write_text("")
    look(guarding, metadata)
    assert airflow.query("SELECT slots, origin FROM kit.guard") == [(4, "dag")]
    airflow.query("DELETE FROM serialized_dag")
    look(guarding, metadata, now=100.0)
    assert airflow.query("SELECT count(*) FROM kit.guard") == [(0,)]


def test_what_is_suspended_waits_and_goes_on(airflow):
    airflow.guards(limit(slots=5, dags="^sales$"))
    ids = airflow.tasks(3)
    airflow.schedule(ids[:2])
    assert airflow.one("SELECT kit.guard_suspend('limit crm-db', 'anna', 'maintenance')") == 2
    assert airflow.states(ids) == [None] * 3 and airflow.schedule(ids) == 0
    assert airflow.why(ids[0]) == "waits for limit crm-db: suspended by anna, maintenance"
    assert airflow.one("SELECT kit.guard_suspend('limit crm-db', 'anna', 'again')") is None
    assert airflow.one("SELECT kit.guard_resume('limit crm-db', 'anna', 'done')") == 3
    assert airflow.schedule(ids) == 3


def test_a_breaker_is_tripped_and_reset_by_hand(airflow):
    airflow.guards(breaker(named=False))
    (id,) = airflow.tasks(1)
    assert airflow.one("SELECT kit.breaker_trip('breaker crm', '', 'anna', 'the CRM moves')") is True
    assert airflow.schedule([id]) == 0 and "the CRM moves" in airflow.why(id)
    assert airflow.one("SELECT kit.breaker_reset('breaker crm', '', 'anna', 'moved')") is True
    assert airflow.schedule([id]) == 1
    assert airflow.one("SELECT count(*) FROM kit.change WHERE source = 'operator' AND facts ->> 'who' = 'anna'") == 2
