"""Runs in: everything that reads the journal; the ten statuses of a task, and which may follow which. Pure.

A record is one attempt of a task instance. The statuses are those of the project's source documents; Airflow's own word for the
state stands beside them in each record.
"""

from enum import StrEnum


class Status(StrEnum):
    """What is known of one attempt of a task."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RECEIVED = "RECEIVED"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    RETRY = "RETRY"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"
    NO_DATA = "NO_DATA"


# Airflow's words, `asked` for a task instance that was made, `cleared` for one whose state was taken away, `replaced` for an attempt
# that another one follows.
OF_STATE = {
    "asked": Status.PENDING,
    "cleared": Status.PENDING,
    "scheduled": Status.PENDING,
    "up_for_retry": Status.PENDING,
    "up_for_reschedule": Status.PENDING,
    "queued": Status.QUEUED,
    "running": Status.PROCESSING,
    "restarting": Status.PROCESSING,
    "deferred": Status.PROCESSING,
    "awaiting_input": Status.PROCESSING,
    "success": Status.SUCCESS,
    "failed": Status.FAILURE,
    "skipped": Status.NO_DATA,
    "upstream_failed": Status.CANCELLED,
    "removed": Status.CANCELLED,
    "replaced": Status.RETRY,
}

WAITING = (Status.PENDING, Status.QUEUED, Status.RECEIVED)
ENDED = (Status.SUCCESS, Status.FAILURE, Status.RETRY, Status.CANCELLED, Status.TIMEOUT, Status.NO_DATA)

# A task that was taken out of its Dag waits again when the Dag has it again.
BACK = {Status.CANCELLED: (Status.PENDING,)}
# What may follow what within one attempt. The same status may be said twice. What has ended may be marked as another end by hand, and
# be followed by another attempt; it never runs again.
NEXT: dict[Status, tuple[Status, ...]] = {
    # What begins with its trigger, or was cleared while it ran, was never queued.
    Status.PENDING: (Status.QUEUED, Status.PROCESSING, *ENDED),
    Status.QUEUED: (Status.PENDING, Status.RECEIVED, Status.PROCESSING, *ENDED),
    Status.RECEIVED: (Status.PENDING, Status.QUEUED, Status.PROCESSING, *ENDED),
    Status.PROCESSING: (Status.PENDING, *ENDED),
    **{ended: (*BACK.get(ended, ()), *(status for status in ENDED if status != ended)) for ended in ENDED},
    Status.RETRY: (),
}
