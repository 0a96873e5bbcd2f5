"""Runs in: every process that reads config/limits.yaml; pure: from the file's text to its rules, or to what is wrong, by line and column."""

from collections.abc import Collection
from typing import Any

import yaml
from pydantic import ValidationError

from airflow_celery_kit.core.guards.rules import Rules
from airflow_celery_kit.core.marks import mark, told, twice
from airflow_celery_kit.core.routing import each
from airflow_celery_kit.core.words import missing

# pydantic names the branch of a choice, and that a key is wrong, which stand nowhere in the file.
BRANCHES, KEY = ("number", "range"), "[key]"


class GuardsError(ValueError):
    """The file cannot be used; the text names line and column of each mistake and says why."""


def parse(text: str) -> Rules:
    """Return the rules in a file's text. Raises GuardsError that says where and why they cannot be used."""
    try:
        return _parsed(text)
    except RecursionError as problem:
        raise GuardsError("line 1: it is nested too deep, or holds itself: put the file's YAML right") from problem


def unknown_checks(text: str, known: Collection[str]) -> list[str]:
    """Return, with its place, each health check of a breaker that is none of `known`. Raises GuardsError."""
    breakers = parse(text).breakers.items()
    return [
        f"{_place(text, name)}: {missing('health check', one.health.check, known, 'none is made')}; until there is, no verdict opens this breaker"
        for name, one in breakers
        if one.health and one.health.check not in known
    ]


def _place(text: str, breaker: str) -> str:
    place = ("breakers", breaker, "health", "check")
    line, column = mark(yaml.compose(text, yaml.SafeLoader), place)
    return f"line {line}, column {column}: {'.'.join(place)}"


def _parsed(text: str) -> Rules:
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as problem:
        at = problem.problem_mark or problem.context_mark
        where = f"line {at.line + 1}, column {at.column + 1}" if at else "line 1"
        raise GuardsError(f"{where}: {problem.problem}: put the file's YAML right") from problem
    except (yaml.YAMLError, ValueError) as problem:
        raise GuardsError(f"line 1: {str(problem).splitlines()[0]}: put the file's YAML right") from problem
    mistakes = list(map(_repeated, twice(tree)))
    try:
        rules = Rules.model_validate({} if content is None else content)
    except ValidationError as problem:
        mistakes += [_mistake(tree, place, reason) for place, reason in each(problem)]
    if mistakes:
        raise GuardsError(told(mistakes))
    return rules


def _repeated(key: Any) -> tuple[tuple[int, int], str]:
    at = key.start_mark.line + 1, key.start_mark.column + 1
    return at, f"line {at[0]}, column {at[1]}: {key.value!r} stands there twice: take one out"


def _mistake(tree: Any, place: tuple[Any, ...], reason: str) -> tuple[tuple[int, int], str]:
    kept = [
        step
        for before, step in zip(("", *place), place, strict=False)
        if step != KEY and not (before == "slots" and step in BRANCHES)
    ]
    at = mark(tree, kept)
    return at, f"line {at[0]}, column {at[1]}: {'.'.join(map(_shown, kept)) or 'file'}: {reason}"


def _shown(step: Any) -> str:
    return str(step) if str(step).isprintable() else ascii(step)[1:-1]
