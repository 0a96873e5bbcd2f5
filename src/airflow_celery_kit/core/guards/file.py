"""Runs in: every process that reads config/limits.yaml; pure: from the file's text to its rules, or to the line and column that is wrong."""

from typing import Any

import yaml
from pydantic import ValidationError

from airflow_celery_kit.core.guards.rules import Rules
from airflow_celery_kit.core.marks import mark, twice
from airflow_celery_kit.core.routing import first

# pydantic names the branch of a choice, and that a key is wrong, which stand nowhere in the file.
BRANCHES, KEY = ("number", "range"), "[key]"


class GuardsError(ValueError):
    """The file cannot be used; the text names line and column and says why."""


def parse(text: str) -> Rules:
    """Return the rules in a file's text. Raises GuardsError that says where and why they cannot be used."""
    try:
        return _parsed(text)
    except RecursionError as problem:
        raise GuardsError("line 1: it is nested too deep, or holds itself: put the file's YAML right") from problem


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
    if key := twice(tree):
        raise GuardsError(
            f"line {key.start_mark.line + 1}, column {key.start_mark.column + 1}: {key.value!r} stands there twice: take one out"
        )
    try:
        return Rules.model_validate({} if content is None else content)
    except ValidationError as problem:
        raise GuardsError(_first(tree, problem)) from problem


def _first(tree: Any, problem: ValidationError) -> str:
    place, reason = first(problem)
    kept = [
        step
        for before, step in zip(("", *place), place, strict=False)
        if step != KEY and not (before == "slots" and step in BRANCHES)
    ]
    line, column = mark(tree, kept)
    return f"line {line}, column {column}: {'.'.join(map(_shown, kept)) or 'file'}: {reason}"


def _shown(step: Any) -> str:
    return str(step) if str(step).isprintable() else ascii(step)[1:-1]
