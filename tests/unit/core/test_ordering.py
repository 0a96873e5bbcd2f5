"""The priority policies: what each puts first, and that nothing starves where that is promised."""

import re
import sys
from collections import Counter
from dataclasses import replace

import pytest

from airflow_celery_kit.core.ordering import table
from airflow_celery_kit.core.ordering.aging import Aging
from airflow_celery_kit.core.ordering.classes import Classes
from airflow_celery_kit.core.ordering.deadline import Deadline
from airflow_celery_kit.core.ordering.durations import FastAndHeavy
from airflow_celery_kit.core.ordering.policy import Policy, Situation, Waiting, rounded, whole
from airflow_celery_kit.core.ordering.saturation import Saturation
from airflow_celery_kit.core.priorities import GREATEST, finish_first, step
from airflow_celery_kit.core.routing import BUILT_IN
from airflow_celery_kit.knobs import POLICY

TASK = Waiting("1", "d", "r", "t", -1, (), "default", "scheduled", "", 64, 64, waited=0.0, run_age=0.0)
HERE = Situation(shares={"gold": 6, "silver": 3, "bronze": 1}, bound=600.0)


def order(policy: Policy, *tasks: Waiting, situation: Situation = HERE) -> list[str]:
    """Ids, the first to run first."""
    weights = policy.weigh_all(tasks, situation)
    return sorted(weights, key=lambda one: -weights[one])


def weight(policy: Policy, situation: Situation = HERE, **what) -> int:
    """The weight of one task."""
    return policy.weigh_all([replace(TASK, **what)], situation)["1"]


def test_aging_leaves_young_tasks_their_weight_and_passes_everything_at_half_of_the_bound():
    assert weight(Aging(), waited=20) == TASK.base
    assert step(weight(Aging(), base=1, waited=150)) < step(1)
    assert weight(Aging(), base=1, waited=301) > weight(Aging(), base=512 * 100, waited=0)
    assert step(weight(Aging(), base=1, waited=299)) == 1
    assert step(weight(Aging(), base=1, waited=301)) == 0
    assert weight(Aging(), base=1, waited=590) > weight(Aging(), base=512, waited=310)


@pytest.mark.parametrize("base", [1, 64, 2**20, GREATEST])
def test_aging_never_makes_a_task_less_urgent(base):
    weights = [weight(Aging(), base=base, waited=second) for second in range(0, 2000, 5)]
    assert weights == sorted(weights)
    assert len(set(weights[:60])) <= 11, "rows would be written at every look"


@pytest.mark.parametrize("policy", [Aging(), FastAndHeavy()])
def test_what_is_overdue_is_not_written_at_every_look(policy):
    assert len({weight(policy, base=1, waited=second, expected=1.0) for second in range(400, 460, 2)}) <= 3


@pytest.mark.parametrize("policy", [Aging(), FastAndHeavy()])
def test_what_is_overdue_passes_whatever_an_author_calls_urgent(policy):
    assert weight(policy, base=1, waited=301, expected=3600.0) > finish_first(10_000, 0)


def test_the_one_with_the_least_slack_is_first_and_one_without_a_deadline_waits():
    tasks = [
        replace(TASK, id=name, deadline=left) for name, left in (("late", -60.0), ("soon", 30.0), ("today", 9000.0))
    ]
    assert order(Deadline(), *reversed(tasks)) == ["late", "soon", "today"]
    assert weight(Deadline(), deadline=None, base=512) < weight(Deadline(), deadline=100.0)
    assert weight(Deadline(), deadline=None, base=2) == 1


def test_slack_is_what_is_left_beyond_the_task_s_own_time():
    long, short = (
        replace(TASK, id="long", deadline=600.0, expected=590.0),
        replace(TASK, id="short", deadline=300.0, expected=1.0),
    )
    assert order(Deadline(), short, long) == ["long", "short"]


def test_slack_counts_all_that_is_left_of_a_run():
    first, last = (
        replace(TASK, id="first", deadline=600.0, expected=1.0, remaining=590.0),
        replace(TASK, id="last", deadline=300.0, expected=10.0, remaining=10.0),
    )
    assert order(Deadline(), last, first) == ["first", "last"]


def test_short_work_goes_first_and_long_work_is_not_left_for_ever():
    tasks = [
        replace(TASK, id=name, expected=seconds) for name, seconds in (("hour", 3600.0), ("new", None), ("blink", 0.1))
    ]
    assert order(FastAndHeavy(), *tasks) == ["blink", "new", "hour"]
    assert weight(FastAndHeavy(), expected=3600.0, waited=301.0) > weight(FastAndHeavy(), expected=0.0)


@pytest.mark.parametrize(("busy", "first"), [(0.95, "io"), (0.2, "cpu")])
def test_what_the_machines_have_room_for_goes_first(busy, first):
    tasks = [replace(TASK, id=kind, kind=kind) for kind in ("io", "cpu")]
    assert order(Saturation(), *tasks, situation=Situation(busy={"default": busy}))[0] == first


def test_between_busy_and_idle_and_for_unknown_workers_or_kinds_weights_stay():
    assert weight(Saturation(), Situation(busy={"default": 0.65}), kind="io") == TASK.base
    assert weight(Saturation(), Situation(busy={"heavy": 0.95}), kind="io") == TASK.base
    assert weight(Saturation(), Situation(busy={"default": 0.95})) == TASK.base


def starts(policy: Classes, waiting: list[Waiting], a_look: int, looks: int) -> Counter:
    """Which classes start in a number of looks, when so many tasks start between two of them and as many come after."""
    started: Counter = Counter()
    number = 10_000
    for _ in range(looks):
        turn = set(order(policy, *waiting)[:a_look])
        started.update(task.class_ for task in waiting if task.id in turn)
        fresh = [replace(task, id=str(number := number + 1)) for task in waiting if task.id in turn]
        waiting = [task for task in waiting if task.id not in turn] + fresh
    return started


@pytest.mark.parametrize("a_look", [1, 3, 7, 40])
def test_classes_share_the_starts_however_few_there_are_between_two_looks(a_look):
    waiting = [
        replace(TASK, id=f"{name}{number}", class_=name) for name in HERE.shares for number in range(50)
    ]  # fmt: skip
    started = starts(Classes(), waiting, a_look, looks=400 // a_look)
    total = sum(started.values())
    for name, share in HERE.shares.items():
        assert started[name] / total == pytest.approx(share / 10, abs=0.05), started


@pytest.mark.parametrize("alone", ["gold", "bronze"])
def test_neither_who_was_alone_nor_who_had_nothing_to_do_gains_or_loses_by_it(alone):
    policy = Classes()
    waiting = {
        name: [replace(TASK, id=f"{name}{one}", class_=name) for one in range(100)] for name in ("gold", "bronze")
    }
    starts(policy, waiting[alone], 10, looks=30)
    started = starts(policy, waiting["gold"] + waiting["bronze"], 7, looks=10)
    assert started["bronze"] / sum(started.values()) == pytest.approx(1 / 7, abs=0.06)


def test_a_task_of_no_class_belongs_to_the_least():
    assert order(Classes(), replace(TASK, id="none"), replace(TASK, id="gold", class_="gold"))[0] == "gold"


def test_one_class_alone_keeps_the_order_of_its_tasks():
    tasks = [replace(TASK, id=str(number), class_="gold", base=base) for number, base in enumerate((1, 512, 64))]
    assert order(Classes(), *tasks) == ["1", "2", "0"]


def test_weights_fit_airflow_s_column_and_change_now_and_then_only():
    assert (whole(-5), whole(0.3), whole(10**12)) == (1, 1, GREATEST)
    assert len({rounded(number) for number in range(512, 1024)}) == 4
    assert [rounded(number) for number in (1, 2, 3, 7)] == [1, 2, 3, 7]


@pytest.mark.parametrize("name", ["airflow", "finish-first"])
def test_what_is_weighed_once_is_left_alone(name):
    assert table.policy(name) is None


@pytest.mark.parametrize("name", table.POLICIES)
def test_every_policy_weighs_a_plain_task(name):
    assert 1 <= table.policy(name).weigh_all([TASK], HERE)["1"] <= GREATEST


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A folder of plugins with one policy and one thing that is none."""
    (tmp_path / "my_orders.py").write_text(
        "from airflow_celery_kit.core.ordering.policy import Policy\n"
        "class Backwards(Policy):\n    def weigh(self, task, situation):\n        return 1000 - task.base\n"
        "class Other:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("my_orders", None)


def test_a_policy_of_the_user_s_own_is_a_class_with_one_method(plugins):
    assert order(table.policy("my_orders.Backwards"), TASK, replace(TASK, id="2", base=1)) == ["2", "1"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [("my_orders.Other", TypeError), ("my_orders.Missing", ImportError), ("nowhere.X", ImportError)],
)
def test_one_that_is_none_is_an_error_that_names_it(plugins, name, problem):
    with pytest.raises(problem, match=name.partition(".")[0]):
        table.policy(name)


def test_rules_and_settings_know_the_same_policies():
    assert set(BUILT_IN) == {*table.POLICIES, *table.STATIC}
    assert all(re.fullmatch(POLICY, name) for name in BUILT_IN)
    assert not re.fullmatch(POLICY, "best")
