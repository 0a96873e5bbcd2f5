"""What config/limits.yaml may say, and what is said of what it may not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from airflow_celery_kit.core.guards.breaker import Breaker, Terms
from airflow_celery_kit.core.guards.file import GuardsError, parse, unknown_checks
from airflow_celery_kit.core.guards.rate import Rate, usual_burst

WHOLE = """
limits:
  crm-db: {slots: 3, per: user}
  mails:
    when: {task: send_*, dag: [news, shop_*]}
    rate: 200/m
  nightly: {slots: {low: 2, high: 8, by: worker_slots}}
breakers:
  crm: {health: {check: crm, unhealthy: 2, degraded: 10}, open: 30s, growth: exponential, most: 10m}
"""


def test_the_whole_file_becomes_rows():
    rows = {row["id"]: row for row in parse(WHOLE).rows()}
    assert list(rows) == ["breaker crm", "limit crm-db", "limit mails", "limit nightly"]
    assert (rows["limit crm-db"]["slots"], rows["limit crm-db"]["token"], rows["limit crm-db"]["named"]) == (
        3,
        "user",
        True,
    )
    mails = rows["limit mails"]
    assert (mails["rate"], mails["period"], mails["burst"], mails["tasks"]) == (200, 60.0, 7, "^(?:send_.*)$")
    assert mails["dags"] == "^(?:news|shop_.*)$" and not mails["named"]
    assert (rows["limit nightly"]["low"], rows["limit nightly"]["slots"]) == (2, None)
    crm = rows["breaker crm"]
    assert (crm["check_name"], crm["health"], crm["open_most"]) == (
        "crm",
        {"within": 10, "unhealthy": 2, "degraded": 10},
        600,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limits:\n  a: {slots: -1}", "line 2, column 7: limits.a.slots: Input should be greater than or equal to 0"),
        ("limits:\n  a:\n    slot: 3", "line 3, column 5: limits.a.slot: a word that is not known here"),
        ("limits:\n  a: {rate: 200}", "line 2, column 7: limits.a.rate: 200 is no rate: write 5/s, 200/m, 1000/h or 1/d"),
        ("limits:\n  a: {}", "line 2, column 3: limits.a: it limits nothing: add slots, rate or start"),
        ("limits:\n  a: {slots: {low: 3, high: 2, by: workers}}", "low is 3 and high 2: swap them"),
        ("limits:\n  a: {slots: {low: 3, high: 5, by: nothing}}", "'nothing' decides nothing"),
        ("limits:\n  a: {slots: 1, per: colour}", "line 2, column 17: limits.a.per: 'colour' is nothing to count by"),
        ("limits:\n  a: {slots: 1}\n  a: {slots: 2}", "line 3, column 3: 'a' stands there twice"),
        ("breakers:\n  b: {open: 30s, most: 10s}", "most is shorter than open"),
        ("breakers:\n  b: {health: {check: x}}", "line 2, column 7: breakers.b.health: no verdict opens it"),
        ("limits:\n  a: {rate: 1000000/m}", "limits.a.rate: '1000000/m' is too much: write 999999/m or less"),
        ("breakers:\n  b: {open: 10000000s}", "breakers.b.open: '10000000s' is too much: write 9999999s or less"),
        ("limits: [", "line 1, column 10"),
        ("a\x00b", "put the file's YAML right"),
        ("limits:\n  start: {slots: 1}", "line 2, column 3: limits.start: 'start' is what the kit itself calls"),
        ('limits:\n  a: {slots: 1, when: {dag: "x\\x01"}}', "line 2, column 24: limits.a.when.dag.0: '\\x01' is no letter of a name"),
        ('limits:\n  a: {slots: 1, when: {dag: [b, "x\\x85"]}}', "line 2, column 33: limits.a.when.dag.1: '\\x85' is no letter of a name"),
        ('limits:\n  a: {slots: 1, when: {dag: "x\\ud800"}}', "limits.a.when.dag.0: "),
        ('limits:\n  "a\\x01": {slots: 1}', "line 2, column 3: limits.a\\x01"),
        ('limits:\n  "a\\ud800": {slots: 1}', "unable to parse raw data as a unicode string"),
        ('breakers:\n  "a\\n": {}', "line 2, column 3: breakers.a\\n"),
        ('limits:\n  a: {slots: 1, when: {dag: "x[ -\\U0010ffff]"}}', "a set of letters in brackets holds more than 256"),
        ('limits:\n  a: {slots: 1, when: {dag: "[!\\u0100-\\u01ff\\u0300-\\u03ff]"}}', "a set of letters in brackets holds more than 256"),
        ("limits: &x {a: *x}", "line 1, column 13: limits.a.a: a word that is not known here"),
        ("limits: &x [*x]", "line 1, column 1: limits: "),
        ("limits: " + "[" * 5000, "line 1: it is nested too deep"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_column_and_its_cure(text, said):
    with pytest.raises(GuardsError) as refused:
        parse(text)
    assert said in str(refused.value)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300


def test_a_check_that_nobody_makes_is_told_with_its_place_and_the_nearest_name():
    text = WHOLE + "  shop:\n    health: {unhealthy: 1, check: flowers}\n"
    assert unknown_checks(text, ["crm", "flower"]) == [
        "line 11, column 28: breakers.shop.health.check: there is no health check flowers: did you mean flower? There are crm, flower; "
        "until there is, no verdict opens this breaker"
    ]
    assert unknown_checks(text, ["crm", "flowers"]) == unknown_checks("", []) == []


def test_every_mistake_of_a_file_is_told_by_its_line():
    with pytest.raises(GuardsError) as refused:
        parse("limits:\n  a: {rate: 1/x}\n  a: {slots: -1}\nbreakers:\n  b: {open: soon}\n  c: {opens: 1s}")
    head, *lines = str(refused.value).splitlines()
    assert head == "4 mistakes:" and [line.split(":")[0].split(",")[0].strip() for line in lines] == [
        "line 2", "line 3", "line 5", "line 6",
    ]  # fmt: skip
    assert "stands there twice" in lines[1] and "'soon' is no duration" in lines[2]


def test_of_very_many_mistakes_ten_are_told():
    with pytest.raises(GuardsError) as refused:
        parse("limits:\n" + "".join(f"  a{number}: {{}}\n" for number in range(12)))
    lines = str(refused.value).splitlines()
    assert (len(lines), lines[0], lines[-1]) == (12, "12 mistakes:", "  and 2 more")


def test_an_empty_file_and_the_one_that_is_delivered_have_no_guards():
    assert parse("").rows() == []
    assert parse((Path(__file__).parents[3] / "config" / "limits.yaml").read_text()).rows() == []


@given(
    number=some.integers(1, 50), period=some.floats(0.5, 100), burst=some.integers(1, 50),
    steps=some.lists(some.floats(0, 20), min_size=1, max_size=200),
)  # fmt: skip
def test_never_more_than_a_rate_in_any_period(number, period, burst, steps):
    rate, at, following, begun = Rate(number, period, min(burst, number)), 0.0, float("-inf"), []
    for step in steps:
        at += step
        while rate.due(following) <= at:
            following = rate.take(following, at)
            begun.append(at)
    for first in range(len(begun)):
        assert sum(begun[first] <= one < begun[first] + period * (1 - 1e-9) for one in begun) <= number


@given(some.integers(1, 100_000), some.sampled_from([1.0, 60.0, 3600.0]))
def test_the_usual_burst_is_one_that_a_rate_may_have(number, period):
    assert 1 <= usual_burst(number, period) <= number


@given(some.integers(1, 100_000), some.sampled_from([1.0, 10.0, 60.0, 3600.0]))
def test_what_begins_at_once_by_itself_costs_a_fifth_of_the_rate_at_most(number, period):
    rate = Rate(number, period, usual_burst(number, period))
    assert period / rate.gap >= 0.8 * number


@given(some.integers(1, 100), some.floats(1, 100), some.floats(100, 1000))
def test_a_breaker_stays_open_for_longer_and_never_too_long(openings, open_for, most):
    for growth in ("constant", "linear", "exponential"):
        terms = Terms(open_for=open_for, growth=growth, most=most)
        assert terms.seconds(1) == open_for <= terms.seconds(openings) <= terms.seconds(openings + 1) <= most


def test_three_trips_in_five_minutes_are_loud_for_half_an_hour():
    breaker = Breaker()
    for at, level in (
        (0, "warning"),
        (100, "warning"),
        (299, "error"),
        (700, "error"),
        (2098, "error"),
        (2100, "warning"),
    ):
        breaker.open(at)
        assert breaker.level(at) == level
