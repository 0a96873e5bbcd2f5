"""Rules for queues, classes, policies and deadlines; a bad file names the line."""

from pathlib import Path

import pytest

from airflow_celery_kit.core.routing import Choice, Facts, Routing, RoutingError, seconds
from airflow_celery_kit.core.routing_file import parse

SHIPPED = Path(__file__).parents[3] / "config" / "routing.yaml"
RULES = """
rules:
  - when: {operator: "*Spark*"}
    queue: heavy
    kind: cpu
  - when: {dag: ["billing_*", "tax"], task: "send"}
    policy: deadline
    deadline: 30m
  - when: {tag: interactive}
    class: gold
  - when: {class: gold}
    policy: aging
  - when: {priority: 100}
    queue: heavy
  - class: bronze
"""


def choose(**facts) -> Choice:
    """What RULES say of a task."""
    return parse(RULES).choose(Facts(**{"dag": "d", "task": "t"} | facts))


def test_the_shipped_file_says_nothing_of_any_task():
    assert parse(SHIPPED.read_text()) == Routing()
    assert Routing().choose(Facts("d", "t")) == Choice()


def test_the_shipped_examples_are_good():
    lines = SHIPPED.read_text().splitlines()
    start = lines.index("# rules:")
    example = "\n".join(line.removeprefix("# ") for line in lines[start:])
    assert len(parse(example).rules) >= 3


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"operator": ("SparkSubmitOperator",)}, Choice("heavy", class_="bronze", kind="cpu")),
        ({"operator": ("_Python", "@task")}, Choice(class_="bronze")),
        ({"dag": "billing_eu", "task": "send"}, Choice(policy="deadline", class_="bronze", deadline=1800)),
        ({"dag": "tax", "task": "other"}, Choice(class_="bronze")),
        ({"tags": ("x", "interactive")}, Choice(class_="gold", policy="aging")),
        ({"priority": 100}, Choice("heavy", class_="bronze")),
        ({"priority": 99}, Choice(class_="bronze")),
        ({"priority": None}, Choice(class_="bronze")),
    ],
)
def test_each_rule_that_fits_fills_in_what_nothing_before_has_said(facts, expected):
    assert choose(**facts) == expected


def test_what_stands_in_the_dag_comes_first():
    tags = ("kit:class:silver", "kit:deadline:2h", "kit:kind:io", "kit:policy:my_orders.NightShift", "team:blue")
    assert choose(dag="tax", task="send", tags=tags) == Choice("", "my_orders.NightShift", "silver", 7200, "io")


@pytest.mark.parametrize(
    ("tag", "word"),
    [
        ("class:lead", "lead"),
        ("policy:best", "best"),
        ("deadline:soon", "soon"),
        ("kind:gpu", "cpu"),
        ("colour:red", "colour"),
        ("class", "class"),
    ],
)
def test_a_tag_that_means_nothing_names_the_dag_and_the_word(tag, word):
    with pytest.raises(RoutingError, match=rf"Dag sales: .*{word}"):
        choose(dag="sales", tags=(f"kit:{tag}",))


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("rules:\n  - when: {dag: x}\n    queue: gpu\n", 3, "gpu"),
        ("rules:\n\n  - when: {dog: x}\n    queue: heavy\n", 3, "not known"),
        ("rules:\n  - when: {dag: x}\n", 2, "gives nothing"),
        ("rules:\n  - policy: best\n", 2, "finish-first"),
        ("rules:\n  - class: lead\n", 2, "gold"),
        ("rules:\n  - when: {priority: 3}\n    class: gold\n", 2, "queue only"),
        ("rules:\n  - deadline: 5\n", 2, "30m"),
        ("queues: [default]\nclasses:\n  gold: 0\n", 3, "greater than"),
        ("queue: default\n", 1, "not known"),
        ("rules: [\n", 2, "expected"),
        ("a: b: c\n", 1, "not allowed"),
        ("- default\n", 1, "dictionary"),
        ("\0", 1, "character"),
        ("rules: [{when: {dag: 2024-99-99}, queue: heavy}]", 1, "month"),
    ],
)
def test_a_bad_file_names_the_line_and_the_reason(text, line, word):
    with pytest.raises(RoutingError, match=f"(?s)^line {line}: .*{word}"):
        parse(text)


def test_an_empty_file_is_a_file_without_rules():
    assert parse("") == parse("# nothing\n") == Routing()


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400)])
def test_a_duration_has_a_unit(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "0s", "-1m", "5", "1.5h", "1w", "30 m"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


def test_a_duration_that_is_too_long_is_told_the_longest_one():
    with pytest.raises(ValueError, match="'12345678s' is too much: write 9999999s or less"):
        seconds("12345678s")


def test_every_mistake_of_a_file_is_told():
    with pytest.raises(RoutingError) as refused:
        parse("rules:\n  - queue: nowhere\n  - class: lead\n")
    assert [line.strip()[:7] for line in str(refused.value).splitlines()] == ["2 mista", "line 2:", "line 3:"]
