"""Rules that change while tasks are under way, on a real PostgreSQL: what is in force afterwards is the new one, and nothing of the old one."""

import json

from tests.contract.guards.conftest import breaker, limit
from tests.contract.guards.test_storing import STORE

ON_WHEELS_ALONE = True
USER = "INSERT INTO dag_run (dag_id, run_id, triggering_user_name) VALUES ('sales', %s, %s)"


def test_a_quicker_rate_owes_nothing_of_the_one_before(airflow):
    airflow.guards(limit("mails", rate=1, period=86400, burst=1))
    first, second = airflow.tasks(2)
    assert airflow.schedule([first, second]) == 1
    airflow.becomes("success", first)
    assert airflow.schedule([second]) == 0
    airflow.guards(limit("mails", rate=200, period=60, burst=1))
    airflow.later(1)
    assert airflow.schedule([second]) == 1


def test_a_rate_that_stays_as_it_is_forgets_nothing(airflow):
    rule = limit("mails", rate=1, period=86400, burst=1)
    airflow.guards(rule)
    first, second = airflow.tasks(2)
    airflow.schedule([first])
    airflow.becomes("success", first)
    airflow.guards(rule, limit("other", slots=1))
    airflow.later(80000)
    assert airflow.schedule([second]) == 0
    airflow.later(7000)
    assert airflow.schedule([second]) == 1


def test_tasks_under_way_count_by_what_a_limit_is_counted_by_now(airflow):
    for run, user in (("r1", "anna"), ("r2", "ben")):
        airflow.query(USER, run, user)
    ids = airflow.tasks(4, run="r1") + airflow.tasks(4, run="r2")
    airflow.guards(limit("crm", slots=3, token="user"))
    assert airflow.schedule(ids) == 6
    running = [id for id, state in zip(ids, airflow.states(ids), strict=True) if state]
    airflow.becomes("running", *running)
    airflow.guards(limit("crm", slots=7))
    assert airflow.schedule(ids) == 1, "six of seven are in use"
    airflow.guards(limit("crm", slots=4, token="user"))
    assert airflow.schedule(ids) == 1, "three of four of the other user"


def test_tasks_that_a_limit_is_not_for_any_more_have_none_of_its_slots(airflow):
    ids, others = airflow.tasks(2, task="load"), airflow.tasks(2, task="send")
    airflow.guards(limit("crm", slots=2))
    assert airflow.schedule(ids) == 2 and airflow.schedule(others) == 0
    airflow.guards(limit("crm", slots=2, tasks="^send$"))
    assert airflow.schedule(others) == 2


def stored(**said):
    """A stored Dag of one task that says this of guards."""
    return json.dumps({"dag": {"tasks": [{"__var": {"task_id": "load", "executor_config": {"kit": said}}}]}})


def test_what_a_dag_says_no_more_is_no_more_in_force(airflow):
    own = {**breaker(failures=10), "rule": {"failures": 10}}
    airflow.query(
        STORE, "sales", stored(breaker="crm", limit="db", define=[own, {**limit("db", slots=3), "rule": {"slots": 3}}])
    )
    assert airflow.query("SELECT id, failures, slots FROM kit.guard ORDER BY 1") == [
        ("breaker crm", 10, None),
        ("limit db", None, 3),
    ]
    airflow.query("UPDATE serialized_dag SET data = %s", stored(breaker="crm", limit="db"))
    assert airflow.query("SELECT id, failures FROM kit.guard") == [("breaker crm", 3)], "the usual values, and no limit"


def test_what_one_dag_says_no_more_another_may_say_still(airflow):
    ten, twenty = ({**breaker(failures=number), "rule": {"failures": number}} for number in (10, 20))
    airflow.query(STORE, "sales", stored(breaker="crm", define=[ten]))
    airflow.query(STORE, "other", stored(breaker="crm", define=[twenty]))
    airflow.query(STORE, "third", stored(breaker="crm"))
    airflow.query("UPDATE serialized_dag SET data = %s WHERE dag_id = 'other'", stored())
    assert airflow.query("SELECT id, failures FROM kit.guard") == [("breaker crm", 10)]
    airflow.query("UPDATE serialized_dag SET data = %s WHERE dag_id = 'sales'", stored())
    assert airflow.query("SELECT id, failures FROM kit.guard") == [("breaker crm", 3)], "the third still names it"


def test_what_a_dag_said_that_says_nothing_any_more_is_no_more_in_force(airflow):
    airflow.query(STORE, "sales", stored(breaker="crm", define=[{**breaker(failures=10), "rule": {"failures": 10}}]))
    airflow.query(STORE, "other", stored(breaker="crm"))
    airflow.query("UPDATE serialized_dag SET data = '{\"dag\": {\"tasks\": []}}' WHERE dag_id = 'sales'")
    assert airflow.query("SELECT id, failures FROM kit.guard") == [("breaker crm", 3)]
