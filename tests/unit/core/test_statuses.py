"""Which status may follow which."""

import pytest

from airflow_celery_kit.core.journal.statuses import ENDED, NEXT, OF_STATE, WAITING, Status, impossible, may_follow


def test_every_status_is_said_what_may_follow_it():
    assert set(NEXT) == set(Status) == {*WAITING, Status.PROCESSING, *ENDED}


@pytest.mark.parametrize("ended", ENDED)
def test_what_has_ended_never_runs_again(ended):
    """A task that comes back into its Dag waits once more, and that is all."""
    back = {Status.PENDING} if ended == Status.CANCELLED else set()
    assert {status for status in (*WAITING, Status.PROCESSING) if may_follow(ended, status)} == back


def test_a_usual_life_has_nothing_impossible():
    assert (
        impossible([Status.PENDING, Status.PENDING, Status.QUEUED, Status.RECEIVED, Status.PROCESSING, Status.SUCCESS])
        == []
    )


def test_what_cannot_be_is_named_by_its_place():
    assert impossible([Status.PENDING, Status.PROCESSING, Status.RECEIVED, Status.SUCCESS, Status.QUEUED]) == [2, 4]


def test_every_state_of_airflow_has_a_status():
    from airflow.utils.state import TaskInstanceState

    assert {str(state) for state in TaskInstanceState} <= set(OF_STATE)
