"""Reading and following log files that are really written, rotated and removed meanwhile."""

import itertools
import threading
from collections.abc import Callable

import pytest

from airflow_celery_kit.runtimes import log_files


@pytest.fixture
def logs(tmp_path):
    """Two logs of ten lines each."""
    paths = [tmp_path / "airflow-worker-1.log", tmp_path / "valkey-1.log"]
    for path in paths:
        path.write_text("".join(f"{path.stem} line {n}\n" for n in range(10)))
    return paths


def after(seconds: float, act: Callable[[], object]) -> None:
    """Do something while the reader follows."""
    threading.Timer(seconds, act).start()


def append(path, text: str) -> None:
    """Write on at the end of a log, as its process does."""
    with path.open("a") as file:
        file.write(text)


def test_the_last_lines_of_each_come_behind_its_name(logs):
    assert list(log_files.read(logs, follow=False, lines=2)) == [
        "airflow-worker-1 | airflow-worker-1 line 8",
        "airflow-worker-1 | airflow-worker-1 line 9",
        "valkey-1         | valkey-1 line 8",
        "valkey-1         | valkey-1 line 9",
    ]


def test_no_lines_and_more_than_there_are(logs):
    assert list(log_files.read(logs, follow=False, lines=0)) == []
    assert len(list(log_files.read(logs, follow=False, lines=500))) == 20
    assert list(log_files.read([], follow=False, lines=5)) == []


def test_bytes_that_are_no_text_do_no_harm(tmp_path):
    (tmp_path / "a-1.log").write_bytes(b"fine\n\xff\xfe broken\nfine again\n")
    shown = list(log_files.read([tmp_path / "a-1.log"], follow=False, lines=5))
    assert (shown[0], shown[2]) == ("a-1 | fine", "a-1 | fine again")


def test_following_shows_what_is_added_to_either(logs):
    reader = log_files.read(logs, follow=True, lines=0)
    after(0.1, lambda: append(logs[1], "new one\n"))
    assert next(reader) == "valkey-1         | new one"
    after(0.1, lambda: append(logs[0], "second\nthird\n"))
    assert list(itertools.islice(reader, 2)) == ["airflow-worker-1 | second", "airflow-worker-1 | third"]


def test_a_rotated_file_is_read_from_its_beginning(logs):
    def rotate():
        logs[0].rename(logs[0].with_suffix(".log.1"))
        logs[0].write_text("after rotation\n")

    reader = log_files.read(logs, follow=True, lines=0)
    after(0.1, rotate)
    assert next(reader) == "airflow-worker-1 | after rotation"
    after(0.1, lambda: append(logs[0], "and on\n"))
    assert next(reader) == "airflow-worker-1 | and on"


def test_a_file_that_is_gone_for_a_while_is_waited_for(logs):
    reader = log_files.read(logs, follow=True, lines=0)
    after(0.1, logs[0].unlink)
    after(0.9, lambda: logs[0].write_text("back\n"))
    assert next(reader) == "airflow-worker-1 | back"


def test_a_line_that_is_written_in_two_parts_is_shown_once_and_whole(logs):
    reader = log_files.read(logs, follow=True, lines=0)
    after(0.05, lambda: append(logs[0], "one half, "))
    after(0.05 + 2 * log_files.POLL_SECONDS, lambda: append(logs[0], "other half\n"))
    assert next(reader) == "airflow-worker-1 | one half, other half"


def test_what_was_rotated_comes_first_and_what_is_rotated_meanwhile_is_passed_over(tmp_path):
    log = tmp_path / "airflow-worker-1.log"
    for name, text in {"": "newest", ".1": "new", ".2": "old", ".10": "oldest"}.items():
        log.with_name(log.name + name).write_text(f"{text}\n")
    log.with_name("airflow-worker-10.log.1").write_text("another's\n")
    assert [line.strip() for line in log_files.history(log)] == ["oldest", "old", "new", "newest"]
    lines = log_files.history(log)
    next(lines)
    log.with_name(f"{log.name}.1").unlink()
    assert [line.strip() for line in lines] == ["old", "newest"]


def test_a_line_ends_where_a_newline_is_and_nowhere_else(logs):
    odd = "one\rtwo\x0bthree\u2028four\x85five"
    reader = log_files.read(logs, follow=True, lines=0)
    after(0.1, lambda: append(logs[0], f"{odd}\n"))
    assert next(reader) == f"airflow-worker-1 | {odd}"
    assert list(log_files.read(logs[:1], follow=False, lines=1)) == [f"airflow-worker-1 | {odd}"]
    assert [line.rstrip("\n") for line in log_files.history(logs[0])][-1] == odd
