"""What is sent to the api-server in order to break it is refused before anything works on it."""

import base64

import pytest

from airflow_celery_kit.journal.reader import CursorError, _closed, _opened


def deep(levels):
    """Lists in each other."""
    made = "x"
    for _ in range(levels):
        made = [made]
    return made


@pytest.mark.parametrize(
    "inside", ['["\\u0000","x"]', '["\\ud800","x"]', '["x"]', '["x", 1]', "{}", "[" * 1499, "[" * 100_000]
)
def test_a_cursor_that_no_page_was_given_with_is_refused(inside):
    with pytest.raises(CursorError):
        _opened(base64.urlsafe_b64encode(inside.encode()).decode(), 2)


def test_one_that_was_given_is_taken():
    assert _opened(_closed(["2026-01-31T12:00:00", "Zürich 😀"]), 2) == ["2026-01-31T12:00:00", "Zürich 😀"]


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"a": deep(480)}, "levels deep"), ({"a": deep(100_000)}, "levels deep"), (deep(101), "levels deep"), (deep(100), ""),
        ({"a": [{"b": "\0"}]}, "NUL"),
        ({"\ud800": 1}, "NUL"), ({"a": ["Zürich 😀", 1, None, {}]}, ""), ("\0", "NUL"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isprintable() else "value",
)  # fmt: skip
def test_a_value_that_no_database_takes_is_named(value, word):
    from airflow_celery_kit.api.limits import flaw

    assert word in flaw(value) and bool(word) == bool(flaw(value))
