"""A whole look of the controller: what waits is weighed again and moved, by the policies that apply."""

import pytest

from tests.contract.order.parts import TASK, WEIGHTS, Here, fence, in_step, loop, publish
from tests.contract.tables import METADATA

ON_WHEELS_ALONE = True


def test_a_look_weighs_rows_and_moves_the_messages_of_those_that_were_sent(ready, kit, broker):
    app, found = broker
    publish(app, 8, "sent")
    publish(app, 0, "callback")
    ready.query(TASK, "old", "scheduled", None, 2, 400, **METADATA)
    ready.query(TASK, "sent", "queued", "sent", 2, 400, **METADATA)
    ready.query(TASK, "young", "scheduled", None, 512, 0, **METADATA)
    ordering, said = loop("aging")
    ordering.look(Here(kit, found), fence(kit), now=100.0)
    weights = dict(ready.query(WEIGHTS, **METADATA))
    assert weights["young"] == 512 < weights["old"] == weights["sent"]
    assert in_step(found, 0) == ["sent", "callback"]
    assert said == [("moved", {"messages": 1})]


def test_one_dag_s_tag_is_enough_and_without_any_nothing_is_touched(ready, kit, broker):
    _, found = broker
    ready.query(TASK, "old", "scheduled", None, 2, 400, **METADATA)
    ordering, _ = loop("finish-first")
    ordering.look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA) == [("old", 2)]
    ready.query("INSERT INTO dag_tag VALUES ('kit:policy:aging', 'sales')", **METADATA)
    ordering.look(Here(kit, found), fence(kit), now=102.0)
    assert ready.query(WEIGHTS, **METADATA)[0][1] > 512


def test_weights_go_back_to_the_first_ones_with_the_policy(ready, kit, broker):
    _, found = broker
    ready.query(TASK, "old", "scheduled", None, 2, 400, **METADATA)
    loop("aging")[0].look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA)[0][1] > 512
    loop("finish-first")[0].look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA) == [("old", 2)]


@pytest.mark.parametrize("name", ["venv.__main__.X", "os.path.join", "missing.Policy"])
def test_a_tag_cannot_make_the_controller_import_what_no_operator_put_there(ready, kit, broker, name, tmp_path):
    _, found = broker
    ready.query(TASK, "load", "scheduled", None, 2, 0, **METADATA)
    ready.query("INSERT INTO dag_tag VALUES (%s, 'sales')", f"kit:policy:{name}", **METADATA)
    ordering, said = loop("finish-first")
    ordering.plugins = tmp_path
    ordering.look(Here(kit, found), fence(kit), now=100.0)
    assert [facts["reason"] for _, facts in said] == [
        f"ImportError: there is no {name.rpartition('.')[0]}.py in the folder of plugins"
    ]


def test_a_policy_may_give_nonsense(ready, kit, broker, tmp_path, monkeypatch):
    _, found = broker
    (tmp_path / "nonsense.py").write_text(
        "from airflow_celery_kit.core.ordering.policy import Policy\n"
        "class Nonsense(Policy):\n    def weigh_all(self, tasks, situation):\n        return {'who': 1, tasks[0].id: 1e300}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ready.query(TASK, "load", "scheduled", None, 2, 0, **METADATA)
    loop("nonsense.Nonsense")[0].look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA) == [("load", 2**31 - 1)]


def test_a_rule_s_deadline_counts_from_the_run_s_start(ready, kit, broker):
    _, found = broker
    ready.query(TASK, "load", "scheduled", None, 2, 0, **METADATA)
    ordering, _ = loop("finish-first", "rules: [{when: {dag: sales}, policy: deadline, deadline: 5m}]")
    ordering.look(Here(kit, found), fence(kit), now=100.0)
    assert ready.query(WEIGHTS, **METADATA)[0][1] > 1024, "five minutes late after ten"


def test_a_policy_that_fails_is_told_once_and_changes_nothing(ready, kit, broker, tmp_path, monkeypatch):
    _, found = broker
    (tmp_path / "broken.py").write_text(
        "from airflow_celery_kit.core.ordering.policy import Policy\n"
        "class Broken(Policy):\n    def weigh(self, task, situation):\n        return 1 / 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ready.query(TASK, "load", "scheduled", None, 2, 0, **METADATA)
    ordering, said = loop("broken.Broken")
    for now in (100.0, 102.0):
        ordering.look(Here(kit, found), fence(kit), now)
    assert [event for event, _ in said] == ["policy fails"]
    assert "division by zero" in said[0][1]["reason"]
    assert ready.query(WEIGHTS, **METADATA) == [("load", 2)]
