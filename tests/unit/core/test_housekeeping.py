"""The limits file, and which logs are to go."""

from math import inf
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_celery_kit.core.housekeeping import LIMITS, LIVE, Limits, LimitsError, parse
from airflow_celery_kit.core.old_logs import AGE, DISK, SIZE, Log, choose, excess, run_of

REPOSITORY = Path(__file__).parents[3]
MB, DAY = 10**6, 86400.0
WRONG = {
    "runs: 90": "line 1: runs: '90' is no age: write 30m, 12h, 90d or never",
    "# a\n\nlogs: 30d\nlogs_size: 5 GB": "line 4: logs_size: '5 GB' is no size: write 500MB, 20GB or never",
    "disk: 100%": "line 1: disk: '100%' is no share of a disk: write 90% or never",
    "runs: 1234567d": "line 1: runs: '1234567d' is too much: write 999999d or less",
    "sesions: 1d": "line 1: there is no limit 'sesions': write one of every, results, sessions",
    "runs: 90d\nruns: 9d": "line 2: runs stands there twice: take one away",
    "results: 5m": "line 1: results: 5m is too soon: write 1h or more",
    "every: never": "line 1: every: that cannot be never: write never for what is to stay",
    "runs: [90d]": "line 1: runs: 'a list' is no age",
    "- runs": "line 1: that is no limit: write 'NAME: VALUE'",
    "runs": "line 1: that is no limit: write 'NAME: VALUE'",
    "runs: 90d\n  logs: 3d": "line 2: mapping values are not allowed here: write 'NAME: VALUE'",
    "runs: \x07": "line 1: ",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_line_is_named_with_its_cure(text: str):
    with pytest.raises(LimitsError) as refused:
        parse(text)
    assert str(refused.value).startswith(WRONG[text]) and "\n" not in str(refused.value)


def test_every_wrong_line_is_named():
    with pytest.raises(LimitsError) as refused:
        parse("runs: 90\nlogs: 3d\nsesions: 1d")
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == ["2 mistakes", "  line 1", "  line 3"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_means_the_defaults(text: str):
    assert parse(text) == Limits()


def test_limits_are_seconds_bytes_and_shares():
    found = parse("runs: 2d\nlogs_size: 5GB\ndisk: 85%\naudit: never\nevery: 30m\n")
    assert [found[name] for name in ("runs", "logs_size", "disk", "audit", "every", "results")] == [
        172800,
        5e9,
        0.85,
        inf,
        1800,
        86400,
    ]
    assert found.word("audit") == "never" and found.word("results") == "1d"


def test_every_default_can_stand_in_the_file():
    text = "".join(f"{limit.name}: {limit.default}\n" for limit in LIMITS)
    assert [parse(text)[limit.name] for limit in LIMITS] == [Limits()[limit.name] for limit in LIMITS]


def test_the_file_that_comes_with_the_kit_changes_no_default_nor_do_its_examples():
    text = (REPOSITORY / "config" / "housekeeping.yaml").read_text()
    assert parse(text) == Limits()
    examples = "\n".join(line.removeprefix("# ") for line in text.split("\n\n")[1].splitlines())
    assert all(Limits().word(name) == word for name, word in parse(examples).words.items())
    assert len(parse(examples).words) >= 3


def test_the_states_that_wait_are_those_of_airflow():
    from airflow.utils.state import State

    assert set(LIVE) == {str(state) for state in State.unfinished if state}


@pytest.mark.parametrize(
    ("path", "run"),
    [
        ("dag_id=a/run_id=b/task_id=c/attempt=1.log", "dag_id=a/run_id=b"),
        ("dag_id=a/run_id=b", "dag_id=a/run_id=b"),
        ("dag_id=a", ""),
        ("dag_processor/2026-01-01/a.log", ""),
        ("dag_id=a/attempt=1.log", ""),
        ("", ""),
    ],
)
def test_a_path_says_whose_it_is(path: str, run: str):
    assert run_of(path) == run


def test_how_much_of_a_disk_is_too_much():
    assert [excess(95, 100, 0.9), excess(80, 100, 0.9), excess(99, 100, inf)] == [5, 0, 0]


RUNS = [f"dag_id=d{dag}/run_id=r{run}" for dag in range(2) for run in range(2)]
PATHS = st.sampled_from(
    [
        *(f"{run}/task_id=t{task}/attempt={at}.log" for run in RUNS for task in range(3) for at in (1, 2)),
        "scheduler.log",
        "dag_processor/a.log",
    ]
)
FILES = st.dictionaries(
    PATHS,
    st.tuples(st.sampled_from([0, 1, MB // 2, MB, 3 * MB]), st.integers(0, 400).map(lambda hours: hours * 6 * 3600.0)),
)
LIMIT = st.fixed_dictionaries(
    {
        "logs": st.sampled_from(["1h", "1d", "30d", "never"]),
        "logs_keep": st.sampled_from(["10m", "1d", "60d"]),
        "logs_size": st.sampled_from(["1MB", "5MB", "20MB", "never"]),
    }
).map(Limits)


@settings(max_examples=400)
@given(FILES, st.sets(st.sampled_from(RUNS)), LIMIT, st.sampled_from([0.0, 1.0, 3e6, 1e12]))
def test_what_goes_is_old_or_too_much_the_least_recently_written_first_and_never_in_use(files, busy, limits, too_much):
    logs = [Log(path, size, age) for path, (size, age) in files.items()]
    chosen = choose(logs, busy, limits, too_much)
    gone = [log for log, _ in chosen]
    left = [log for log in logs if log not in gone]
    free = [log for log in left if run_of(log.path) not in busy and log.age >= limits["logs_keep"]]
    assert len(set(gone)) == len(gone) and set(gone) <= set(logs)
    assert not any(run_of(log.path) in busy or log.age < limits["logs_keep"] for log in gone)
    assert [log.age for log in gone] == sorted((log.age for log in gone), reverse=True)
    assert not any(log.age > limits["logs"] for log in free)
    assert all(log.age <= one.age for log in free for one in gone)
    if free:
        assert sum(log.bytes for log in left) <= limits["logs_size"] and sum(log.bytes for log in gone) >= too_much
    if chosen and chosen[-1][1] != AGE:
        # Without the last of them there would be too much.
        before = sum(log.bytes for log in left) + gone[-1].bytes
        freed = sum(log.bytes for log in gone[:-1])
        assert before > limits["logs_size"] if chosen[-1][1] == SIZE else freed < too_much
    assert {reason for _, reason in chosen} <= {AGE, SIZE, DISK}
    assert choose(left, busy, limits, 0.0 if not free else too_much - sum(log.bytes for log in gone)) == []
