"""Runs in: scheduler, workers and task processes; a folder of files in which events wait until they are in the database.

Whoever has something to say appends a line; whoever carries events on takes a file as a whole, by renaming it. So a writer waits for
no database, a killed process leaves what it has said, and any other process that shares the folder may carry it on.
"""

import fcntl
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LIVE, TAKEN = ".events", ".taken"
# What another instance has not carried on for so long is anybody's.
ORPHAN_SECONDS = 15.0


@dataclass(frozen=True)
class Spool:
    """The spool of one instance, in a folder that several share."""

    folder: Path
    instance: str

    @property
    def path(self) -> Path:
        """The file that events are appended to."""
        return self.folder / f"{self.instance}{LIVE}"

    def append(self, lines: Iterable[str]) -> None:
        """Keep lines, all or none of them. Raises OSError when the disk does not take them.

        Each begins and ends with a line break: one that was cut off spoils no other.
        """
        data = "".join(f"\n{line}\n" for line in lines).encode()
        while data:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o660)
            try:
                fcntl.flock(file, fcntl.LOCK_SH)
                if self._is_still(file):
                    if os.write(file, data) < len(data):
                        raise OSError(f"{self.path}: cut off")
                    return
            finally:
                os.close(file)

    def files(self) -> list[Path]:
        """Return what may be taken now: this instance's own files, and those of others that have waited for long."""
        return sorted(path for path in self.folder.iterdir() if path.suffix in (LIVE, TAKEN) and self._may_take(path))

    def take(self, path: Path) -> Path | None:
        """Make a file this taker's own and return where it is; None when another was quicker. Nobody appends to it any more."""
        taken = self.folder / f"{self.instance}.{uuid.uuid4().hex}{TAKEN}"
        try:
            path.rename(taken)
            os.utime(taken)
            with taken.open("rb") as file:
                # Who found the old name still in place has a lock until it has written.
                fcntl.flock(file, fcntl.LOCK_EX)
                # A child that was forked meanwhile would go on holding it.
                fcntl.flock(file, fcntl.LOCK_UN)
        except FileNotFoundError:
            return None
        return taken

    def _is_still(self, file: int) -> bool:
        """Return whether what was opened still has its name, so that what is appended will be read."""
        try:
            return os.fstat(file).st_ino == os.stat(self.path).st_ino
        except FileNotFoundError:
            return False

    def _may_take(self, path: Path) -> bool:
        if path == self.path or (path.suffix == TAKEN and path.name.startswith(f"{self.instance}.")):
            return True
        try:
            return time.time() - path.stat().st_mtime > ORPHAN_SECONDS
        except FileNotFoundError:
            return False


def lines_of(path: Path, most: int) -> Iterator[list[str]]:
    """Yield the lines of a taken file, `most` at a time."""
    chunk: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in filter(None, map(str.strip, file)):
            chunk.append(line)
            if len(chunk) == most:
                yield chunk
                chunk = []
    if chunk:
        yield chunk
