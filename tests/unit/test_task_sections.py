"""Sections of a task: tried again within a limit, left out when they may fail, refused when they have killed too often."""

import pytest

from airflow_celery_kit.task import checkpoint, context, optional, poisonous, retry
from airflow_celery_kit.task.checkpoint import KEY


class Store(dict):
    """Stands in for Airflow's store of a task's state, which the stack test uses; it outlives an attempt."""

    def set(self, key, value):
        """Keep a value."""
        self[key] = value

    def delete(self, key):
        """Forget a value."""
        self.pop(key, None)


@pytest.fixture
def store(monkeypatch):
    """The state of a task that runs."""
    kept = Store()
    monkeypatch.setattr(context, "store", lambda: kept)
    return kept


@pytest.fixture
def said(monkeypatch):
    """What was left in the journal."""
    events = []
    monkeypatch.setattr(context, "say", lambda kind, facts: events.append((str(kind), facts)))
    return events


def test_a_section_is_tried_again_and_the_last_error_is_raised(said):
    tries = []
    with pytest.raises(ConnectionError, match="third"):
        for attempt in retry(3, wait=0):
            with attempt:
                tries.append(1)
                raise ConnectionError(["first", "second", "third"][len(tries) - 1])
    assert len(tries) == 3 and [facts["number"] for _, facts in said] == [1, 2]


def test_another_error_is_not_tried_again(said):
    tries = []
    with pytest.raises(KeyError):
        for attempt in retry(3, wait=0, on=ConnectionError):
            with attempt:
                tries.append(1)
                raise KeyError("x")
    assert len(tries) == 1 and said == []


@pytest.mark.parametrize("wrong", [(0, 1), (-1, 1), (3, -1)])
def test_what_has_no_limit_or_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="tried once or more"):
        retry(*wrong)


def test_what_is_optional_fails_alone(said, caplog):
    with optional("the picture"):
        raise ValueError("no ink")
    assert (
        said == [("left_out", {"part": "the picture", "because": "ValueError: no ink"})]
        and "the picture is left out" in caplog.text
    )


def test_a_time_limit_is_not_optional(said):
    with pytest.raises(KeyboardInterrupt), optional("the picture"):
        raise KeyboardInterrupt


def test_what_kills_its_process_is_refused_after_so_many_times_and_may_be_tried_by_hand(store, said):
    from airflow.sdk.exceptions import AirflowFailException

    # A process that is killed leaves nothing but the store: what it began is never left.
    killed = [poisonous("the parser", 2) for _ in range(2)]
    for section in killed:
        section.__enter__()
    with pytest.raises(AirflowFailException, match="begun 2 times"), poisonous("the parser", 2):
        pytest.fail("it was run once more")
    assert [kind for kind, _ in said] == ["poisonous"] and len(killed) == 2
    with poisonous("the parser", 2):
        pass
    assert store == {}


def test_an_error_is_no_poison(store):
    for _ in range(5):
        with pytest.raises(ValueError), poisonous("the parser", 2):
            raise ValueError
    assert store == {}


def test_outside_of_a_task_sections_run_and_checkpoints_keep_nothing():
    with poisonous("the parser"):
        checkpoint.save(3)
    checkpoint.clear()
    assert checkpoint.load(7) == 7


@pytest.mark.parametrize("state", [0, None, False, "", [], {"step": 40}])
def test_a_checkpoint_is_what_was_saved_last(store, said, state):
    checkpoint.save(1)
    checkpoint.save(state)
    assert checkpoint.load("nothing") == state
    checkpoint.clear()
    assert checkpoint.load("nothing") == "nothing"


@pytest.mark.parametrize("wrong", [{1}, float("nan"), "x" * 70_000])
def test_a_checkpoint_that_cannot_be_kept_is_refused_and_the_last_one_stays(store, said, wrong):
    checkpoint.save(1)
    with pytest.raises(ValueError, match="a checkpoint takes"):
        checkpoint.save(wrong)
    assert store[KEY] == {"state": 1}
