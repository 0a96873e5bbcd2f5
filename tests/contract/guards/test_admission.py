"""Who is let in, on a real PostgreSQL: limits that hold, breakers that open and close, what a task that waits costs."""

import contextlib
import json
import threading
import time

import pytest

from tests.contract.guards.conftest import SCHEDULE, breaker, limit

ON_WHEELS_ALONE = True


def test_without_guards_everything_is_scheduled(airflow):
    assert airflow.schedule(airflow.tasks(5)) == 5


def test_a_task_that_is_not_let_in_keeps_its_state_and_its_try_and_says_why(airflow):
    airflow.guards(limit(slots=3))
    ids = airflow.tasks(5)
    assert airflow.schedule(ids) == 3
    assert airflow.schedule(ids) == 0
    assert airflow.query("SELECT state, try_number, count(*) FROM task_instance GROUP BY 1, 2 ORDER BY 2") == [
        (None, 0, 2), ("scheduled", 1, 3),
    ]  # fmt: skip
    (waiting,) = {airflow.why(id) for id, state in zip(ids, airflow.states(ids), strict=True) if state is None}
    assert waiting == "waits for limit crm-db (3 of 3 in use)"


@pytest.mark.parametrize("end", ["success", "failed", "up_for_retry", "up_for_reschedule", None, "removed"])
def test_a_slot_is_given_back_by_whatever_ends_the_task(airflow, end):
    airflow.guards(limit(slots=1))
    first, second = airflow.tasks(2)
    assert airflow.schedule([first]) == 1
    for state in ("queued", "running"):
        airflow.becomes(state, first)
        assert airflow.schedule([second]) == 0
    airflow.becomes(end, first)
    assert airflow.schedule([second]) == 1


def test_a_task_that_is_deleted_or_gets_another_id_loses_no_slot(airflow):
    airflow.guards(limit(slots=1))
    first, second, third = airflow.tasks(3)
    airflow.schedule([first])
    airflow.query("UPDATE task_instance SET id = gen_random_uuid() WHERE id = %s", first)
    assert airflow.schedule([second]) == 0
    airflow.query("DELETE FROM task_instance WHERE state = 'scheduled'")
    assert airflow.schedule([second]) == 1
    assert airflow.schedule([third]) == 0


def test_never_one_above_the_limit_with_three_schedulers_and_a_hundred_contenders(airflow):
    """Each scheduler looks at all of them in one transaction, and what it let in ends after a moment."""
    airflow.guards(limit(slots=4))
    ids, worst, barrier = airflow.tasks(100), [], threading.Barrier(3)
    count = "SELECT count(*) FROM task_instance WHERE state IN ('scheduled', 'queued', 'running')"

    def schedule(mine):
        with contextlib.closing(airflow.connect()) as connection:
            barrier.wait()
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with connection, connection.cursor() as cursor:
                    cursor.execute(SCHEDULE, (mine,))
                    cursor.execute(count)
                    worst.append(cursor.fetchone()[0])
                with connection, connection.cursor() as cursor:
                    cursor.execute(count)
                    worst.append(cursor.fetchone()[0])
                    cursor.execute(
                        "UPDATE task_instance SET state = 'success' WHERE id = ANY(%s::uuid[]) AND state = 'scheduled'",
                        (mine,),
                    )
                    cursor.execute(
                        "SELECT count(*) FROM task_instance WHERE id = ANY(%s::uuid[]) AND state IS NULL", (mine,)
                    )
                    if not cursor.fetchone()[0]:
                        return

    threads = [threading.Thread(target=schedule, args=(ids[number::3],)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert airflow.states(ids) == ["success"] * 100, "no slot was lost"
    assert max(worst) <= 4 and len(worst) > 50


def test_each_token_has_slots_of_its_own(airflow):
    airflow.guards(limit(slots=1, token="user"))
    for run, user in (("r1", "anna"), ("r2", "anna"), ("r3", "ben")):
        airflow.query(
            "INSERT INTO dag_run (dag_id, run_id, triggering_user_name, state) VALUES ('sales', %s, %s, 'running')",
            run,
            user,
        )
    first, second, third = (airflow.tasks(1, run=run)[0] for run in ("r1", "r2", "r3"))
    assert [airflow.schedule([one]) for one in (first, second, third)] == [1, 0, 1]
    assert airflow.why(second) == "waits for limit crm-db of anna (1 of 1 in use)"


def test_a_token_comes_from_the_configuration_of_a_run(airflow):
    airflow.guards(limit(slots=1, token="conf:database"))
    for run, name in (("r1", "east"), ("r2", "west")):
        conf = json.dumps({"database": name})
        airflow.query(
            "INSERT INTO dag_run (dag_id, run_id, conf, state) VALUES ('sales', %s, %s, 'running')", run, conf
        )
    ids = airflow.tasks(2, run="r1") + airflow.tasks(2, run="r2")
    assert airflow.schedule(ids) == 2


def test_guards_are_chosen_by_patterns_and_tags(airflow):
    airflow.guards(limit(slots=0, dags="^(?:sales)$", tasks="^(?:lo.*)$", tags="^(?:crm)$"))
    airflow.query("INSERT INTO dag_tag (name, dag_id) VALUES ('crm', 'sales')")
    assert airflow.schedule(airflow.tasks(1)) == 0
    assert airflow.schedule(airflow.tasks(1, task="other")) == 1
    assert airflow.schedule(airflow.tasks(1, dag="tagless")) == 1


def test_a_rate_lets_a_burst_in_and_then_one_at_a_time(airflow):
    airflow.guards(limit(rate=6, period=300, burst=2))
    ids = airflow.tasks(6)
    assert airflow.schedule(ids) == 2
    first = [id for id, state in zip(ids, airflow.states(ids), strict=True) if state]
    airflow.becomes("running", *first)
    rest = [id for id in ids if id not in first]
    assert airflow.schedule(rest) == 0
    assert airflow.why(rest[0]) == "waits for limit crm-db (6 in 300 s)"
    airflow.later(61)
    assert airflow.schedule(rest) == 1


def test_a_task_starts_when_its_run_says(airflow):
    airflow.guards(limit(start_conf="start_at"))
    airflow.query(
        """INSERT INTO dag_run (dag_id, run_id, conf) SELECT 'sales', 'r1', json_build_object('start_at', now() + interval '1 min')"""
    )
    (id,) = airflow.tasks(1)
    assert airflow.schedule([id]) == 0 and "starts at" in airflow.why(id)
    airflow.query("UPDATE dag_run SET conf = json_build_object('start_at', now() - interval '1 s')")
    assert airflow.schedule([id]) == 1


def test_what_begins_before_a_guard_is_there_is_counted(airflow):
    ids = airflow.tasks(3)
    airflow.schedule(ids[:1])
    airflow.guards(limit(slots=1))
    assert airflow.schedule(ids[1:]) == 0


def test_a_mistake_in_a_guard_stops_nothing_and_is_kept(airflow):
    airflow.guards(limit(slots=0, dags="[["))
    assert airflow.schedule(airflow.tasks(2)) == 2
    assert "invalid regular expression" in airflow.one("SELECT what FROM kit.guard_fault LIMIT 1")
    airflow.query("DELETE FROM kit.guard_fault")


def fails(airflow, ids):
    """Have tasks run and fail, one after the other."""
    for id in ids:
        airflow.becomes("queued", id)
        airflow.becomes("running", id)
        airflow.becomes("failed", id)


def test_the_life_of_a_breaker(airflow):
    airflow.guards(breaker())
    ids = airflow.tasks(10)
    assert airflow.schedule(ids[:5]) == 5
    airflow.becomes("queued", ids[4])
    fails(airflow, ids[:2])
    assert airflow.breaker()[0] == "closed"
    fails(airflow, ids[2:3])
    assert airflow.breaker()[:2] == ("open", "3 failures in 60 s")
    assert airflow.states(ids[3:5]) == [None, None], "what was let in waits again"
    assert airflow.query("SELECT DISTINCT try_number FROM task_instance WHERE state IS NULL") == [(0,)]
    assert airflow.schedule(ids[3:]) == 0
    assert airflow.why(ids[3]).startswith("waits for breaker crm: open until ")
    airflow.later(31)
    assert airflow.schedule(ids[3:]) == 1, "one tries it out"
    assert airflow.schedule(ids[3:]) == 0
    state, _, probe, _ = airflow.breaker()
    assert state == "half-open" and airflow.one("SELECT max_tries FROM task_instance WHERE id = %s", probe) == 1
    airflow.becomes("running", probe)
    airflow.becomes("up_for_retry", probe)
    assert airflow.breaker()[0] == "open" and airflow.breaker()[3] == 2
    airflow.later(31)
    others = [id for id in ids[3:] if id != probe]
    assert airflow.schedule(others) == 1
    probe = airflow.breaker()[2]
    airflow.becomes("running", probe)
    airflow.becomes("success", probe)
    assert airflow.breaker()[0] == "closed" and airflow.breaker()[3] == 0
    assert airflow.schedule(ids[3:]) == 6
    said = airflow.query("SELECT what, level FROM kit.guard_event ORDER BY seq")
    assert [what for what, _ in said] == ["breaker_open", "breaker_half_open"] * 2 + ["breaker_closed"]


def test_a_task_that_is_sent_while_its_breaker_opens_waits_again(airflow):
    airflow.guards(breaker())
    ids = airflow.tasks(5)
    airflow.schedule(ids)
    with contextlib.closing(airflow.connect()) as scheduler, scheduler.cursor() as cursor:
        # The scheduler holds the row when the breaker opens.
        cursor.execute("SELECT 1 FROM task_instance WHERE id = %s FOR UPDATE", (ids[4],))
        fails(airflow, ids[:3])
        assert airflow.states(ids[3:]) == [None, "scheduled"]
        cursor.execute(
            "UPDATE task_instance SET state = 'queued', external_executor_id = 'm4' WHERE id = %s", (ids[4],)
        )
        scheduler.commit()
    assert airflow.states(ids[4:]) == [None] and airflow.query("SELECT message FROM kit.withdrawal") == [("m4",)]


@pytest.mark.parametrize("soon", [True, False])
def test_what_the_scheduler_looks_at_when_a_breaker_opens_is_taken_back_too(airflow, soon):
    """As it does with what it has just sent, to note the message; nobody waits for it for long."""
    airflow.guards(breaker())
    ids = airflow.tasks(5)
    airflow.schedule(ids)
    airflow.becomes("queued", *ids)
    airflow.becomes("running", *ids[:3])
    with contextlib.closing(airflow.connect()) as scheduler, scheduler.cursor() as cursor:
        cursor.execute("SELECT 1 FROM task_instance WHERE id = ANY(%s::uuid[]) FOR UPDATE", (ids[3:],))
        if soon:
            threading.Timer(0.1, scheduler.commit).start()
        fail = (
            "SET statement_timeout = '10s'; UPDATE task_instance SET state = 'up_for_retry' WHERE id = ANY(%s::uuid[])"
        )
        airflow.query(fail, ids[:3])
        assert airflow.states(ids[3:]) == ([None] * 2 if soon else ["queued"] * 2)
        scheduler.commit()
    airflow.query("SELECT kit.guards_ring()")
    assert airflow.states(ids[3:]) == [None] * 2


def test_a_task_whose_message_is_being_withdrawn_is_not_scheduled_before_the_executor_has_heard(airflow):
    airflow.guards(breaker(open_for=0.1, open_most=0.1))
    (id,) = airflow.tasks(1)
    airflow.schedule([id])
    airflow.query("UPDATE task_instance SET state = 'queued', external_executor_id = 'm1' WHERE id = %s", id)
    airflow.query("SELECT kit.breaker_trip('breaker crm', '', 'anna', 'x', 0.1)")
    airflow.query("SELECT kit.breaker_reset('breaker crm', '', 'anna', 'x')")
    assert airflow.states([id]) == [None] and airflow.schedule([id]) == 0
    airflow.query("UPDATE kit.withdrawal SET done_at = clock_timestamp()")
    assert airflow.schedule([id]) == 0
    airflow.query("UPDATE kit.withdrawal SET done_at = clock_timestamp() - interval '4 s'")
    assert airflow.schedule([id]) == 1


def test_a_probe_that_never_ran_makes_room_for_another_one(airflow):
    airflow.guards(breaker())
    ids = airflow.tasks(6)
    airflow.schedule(ids[:3])
    fails(airflow, ids[:3])
    airflow.later(31)
    assert airflow.schedule(ids[3:]) == 1
    airflow.becomes("removed", airflow.breaker()[2])
    assert airflow.schedule(ids[3:]) == 1


def test_what_a_person_marks_as_failed_opens_nothing(airflow):
    airflow.guards(breaker(failures=1))
    (id,) = airflow.tasks(1)
    airflow.schedule([id])
    airflow.becomes("running", id)
    with contextlib.closing(airflow.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute("SELECT set_config('kit.by_hand', 'anna', true)")
        cursor.execute("UPDATE task_instance SET state = 'failed' WHERE id = %s", (id,))
    assert airflow.breaker()[0] == "closed"
