"""Runs in: the command line; reads and follows the embedded runtime's log files."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 0.3


def read(paths: list[Path], follow: bool, lines: int) -> Iterator[str]:
    """Yield the last `lines` lines of each file behind its instance's name, then new ones while `follow`."""
    width = max((len(path.stem) for path in paths), default=0)
    positions: dict[Path, int] = {}
    for path in paths:
        with path.open(errors="replace", newline="\n") as file:
            for line in deque(file, maxlen=lines):
                yield f"{path.stem:<{width}} | {line.rstrip()}"
            positions[path] = file.tell()
    while follow:
        time.sleep(POLL_SECONDS)
        for path in paths:
            yield from (f"{path.stem:<{width}} | {line}" for line in _fresh(path, positions))


def _fresh(path: Path, positions: dict[Path, int]) -> list[str]:
    """Return what was added to `path` since its position; a rotated file is read from its beginning."""
    if not path.exists():
        return []
    start = positions[path] if path.stat().st_size >= positions[path] else 0
    with path.open("rb") as file:
        file.seek(start)
        # A line that is still being written is left for the next look.
        whole, end, _ = file.read().rpartition(b"\n")
    positions[path] = start + len(whole + end)
    # What Python takes for the end of a line besides may stand within one.
    return [line.rstrip() for line in whole.decode(errors="replace").split("\n")] if end else []


def history(path: Path) -> Iterator[str]:
    """Yield every line of a log that is still there, those of its rotated files first (`name.log.2`, `name.log.1`, `name.log`)."""
    older = sorted(path.parent.glob(f"{path.name}.[0-9]*"), key=lambda one: int(one.suffix[1:]), reverse=True)
    for one in (*older, path):
        try:
            with one.open(errors="replace", newline="\n") as file:
                yield from file
        except FileNotFoundError:
            # Rotated meanwhile.
            continue
