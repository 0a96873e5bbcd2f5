"""What the lines of the services' logs say, each in the way of its own service."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from airflow_celery_kit.core.log_lines import LEVELS, Wanted, entries, moment

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
AT = datetime(2026, 1, 31, 11, 58, 46, tzinfo=UTC)
SAID = {
    "2026-01-31T11:58:46.000000Z [info     ] Filling up the DagBag [airflow.dagbag] loc=dagbag.py:460": ("info", "Filling up the DagBag"),
    "2026-01-31T12:58:46.000000+01:00 [critical ] it burns": ("critical", "it burns"),
    "2026-01-31T11:58:46.000000Z [exception] it broke": ("error", "it broke"),
    "2026-01-31 11:58:46.000 UTC [7683] @ LOG:  listening on IPv4": ("info", "listening on IPv4"),
    "2026-01-31 11:58:46.000 UTC [7683] airflow@airflow ERROR:  relation is not there": ("error", "relation is not there"),
    "2026-01-31 11:58:46.000 UTC [7683] airflow@airflow FATAL:  password": ("critical", "password"),
    "2026-01-31 11:58:46,000 CRIT Server running": ("critical", "Server running"),
    "[2026-01-31 11:58:46,000: WARNING/MainProcess] consumer: Cannot connect": ("warning", "consumer: Cannot connect"),
    "[E 260131 11:58:46 command:177] Visit me": ("error", "Visit me"),
    "2026-01-31 11:58:46.000 UTC [7683] FATAL:  no room": ("critical", "no room"),
    'time=2026-01-31T11:58:46.000Z level=WARN source=head.go:654 msg="Replaying"': ("warning", 'source=head.go:654 msg="Replaying"'),
    'ts=2026-01-31T11:58:46.000Z caller=main.go:5 level=error msg=oops': ("error", "msg=oops"),
    'logger=settings t=2026-01-31T11:58:46.000000000Z level=info msg="Starting Grafana"': ("info", 'msg="Starting Grafana"'),
    "7684:M 31 Jan 2026 11:58:46.000 # WARNING Memory": ("warning", "WARNING Memory"),
    "7684:M 31 Jan 2026 11:58:46.000 * Valkey is starting": ("info", "Valkey is starting"),
    '{"at": "2026-01-31T11:58:46.000+00:00", "event": "leads", "token": 1}': ("info", "leads token=1"),
    '{"timestamp": "2026-01-31T11:58:46Z", "level": "warning", "event": "hm"}': ("warning", "hm"),
}  # fmt: skip


@pytest.mark.parametrize("line", SAID)
def test_each_service_is_understood(line):
    (entry,) = entries("part-1", [f"{line}\n"])
    level, text = SAID[line]
    assert (entry.at, entry.level, entry.instance) == (AT, level, "part-1") and entry.text.startswith(text)


def test_what_follows_belongs_to_the_line_before_and_a_banner_to_nobody():
    trace = [
        "  ____ |__( )_\n",
        "2026-01-31T11:58:46Z [error    ] it broke\n",
        "Traceback:\n",
        "  {not json\n",
        '{"odd": 1}\n',
    ]
    (entry,) = entries("part-1", [*trace])
    assert entry.text == 'it broke\nTraceback:\n  {not json\n{"odd": 1}'


DEEP = '{"at": "2026-01-31T11:58:46Z", "event": ' + "[" * 100_000 + "]" * 100_000 + "}"


@pytest.mark.parametrize(
    "line",
    [
        "2026-99-99 00:00:00 [info ] x", "[I 999999 99:99:99 x] y", "7684:M 31 Foo 2026 11:58:46.000 # x", "time=2026-13-01T00:00:00Z level=info x",
        '{"at": "2026-99-99", "event": "x"}', '{"at": "0001-01-01T00:00:00+14:00", "event": "x"}', "0001-01-01 00:00:00 [info ] x",
        "9999-12-31 23:59:59 [info ] x", '{"event": "x"}', '{"at": "2026-01-31T11:58:46Z"}', DEEP,
    ],
    ids=lambda line: line[:40],
)  # fmt: skip
def test_what_only_looks_like_a_beginning_belongs_to_the_line_before(line):
    (found,) = entries("part-1", ["2026-01-31T11:58:46Z [error    ] it broke\n", f"{line}\n"])
    assert (found.at, found.text) == (AT, f"it broke\n{line}")


@pytest.mark.parametrize("word", ["A" * 4000, "A1" * 2000, "a@" * 2000])
def test_a_long_word_takes_no_long_time(word):
    begun = time.process_time()
    (found,) = entries("part-1", ["2026-01-31 11:58:46 UTC [1] LOG:  x\n", f"2026-01-31 11:58:46 UTC [1] {word}\n"])
    assert found.text.endswith(word) and time.process_time() - begun < 0.2


def entry(level="info", text="Something", minutes=0):
    at = (NOW - timedelta(minutes=minutes)).isoformat()
    (made,) = entries("part-1", [f'{{"at": "{at}", "level": "{level}", "event": "{text}"}}'])
    return made


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Wanted(), True), (Wanted("SOME"), True), (Wanted("other"), False), (Wanted(level="warning"), False),
        (Wanted(since=NOW - timedelta(minutes=5)), False), (Wanted(since=NOW - timedelta(minutes=15)), True),
        (Wanted(until=NOW - timedelta(minutes=15)), False), (Wanted(until=NOW), True),
    ],
)  # fmt: skip
def test_only_what_is_looked_for_is_taken(wanted, taken):
    assert wanted.takes(entry(minutes=10)) == taken


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_at_least_itself(level):
    taken = [one for one in LEVELS if Wanted(level=level).takes(entry(level=one))]
    assert taken == list(LEVELS[LEVELS.index(level) :])


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)), ("2h", NOW - timedelta(hours=2)), ("3d", NOW - timedelta(days=3)),
        ("2026-01-30", datetime(2026, 1, 30, tzinfo=UTC)), ("2026-01-31T12:00+01:00", NOW - timedelta(hours=1)),
    ],
)  # fmt: skip
def test_a_time_is_one_or_so_long_ago(said, expected):
    assert moment(said, NOW) == expected


@pytest.mark.parametrize("said", ["", "soon", "2", "-2h", "2w", "99999999999999d"])
def test_anything_else_is_no_time(said):
    with pytest.raises((ValueError, OverflowError)):
        moment(said, NOW)
