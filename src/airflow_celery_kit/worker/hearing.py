"""Runs in: Celery workers; whether a worker that is connected also consumes what waits for it."""

from dataclasses import dataclass

# A message waits for a free slot for a moment; not for this long.
DEAF_SECONDS = 10.0


@dataclass
class Hearing:
    """Remembers since when messages wait, slots are free and nothing is received. Times are steady, in seconds."""

    received: int = -1
    since: float | None = None
    deaf: bool = False

    def is_deaf(self, waiting: int, free: int, received: int, now: float) -> bool:
        """Return whether the worker has left waiting messages alone for DEAF_SECONDS; `received` counts what it ever took.

        It stays deaf until it takes one, also when others took what waited.
        """
        if received != self.received:
            self.received, self.since, self.deaf = received, None, False
        elif not self.deaf:
            waits = bool(waiting) and free > 0
            self.since = (now if self.since is None else self.since) if waits else None
            self.deaf = self.since is not None and now - self.since >= DEAF_SECONDS
        return self.deaf
