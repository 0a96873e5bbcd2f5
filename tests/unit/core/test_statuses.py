"""Which status may follow which."""

import pytest

from airflow_celery_kit.core.journal.statuses import ENDED, NEXT, OF_STATE, WAITING, Status


def test_every_status_is_said_what_may_follow_it():
    assert set(NEXT) == set(Status) == {*WAITING, Status.PROCESSING, *ENDED}


@pytest.mark.parametrize("ended", ENDED)
def test_what_has_ended_never_runs_again(ended):
    """A task that comes back into its Dag waits once more, and that is all."""
    back = {Status.PENDING} if ended == Status.CANCELLED else set()
    assert set(NEXT[ended]) & {*WAITING, Status.PROCESSING} == back


def test_every_state_of_airflow_has_a_status():
    from airflow.utils.state import TaskInstanceState

    assert {str(state) for state in TaskInstanceState} <= set(OF_STATE)
