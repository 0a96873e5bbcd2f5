"""Runs in: every process that reads config/routing.yaml; pure: from the file's text to its rules, or to the lines that are wrong."""

from typing import Any

import yaml
from pydantic import ValidationError

from airflow_celery_kit.core.marks import mark, told
from airflow_celery_kit.core.routing import Routing, RoutingError, each


def parse(text: str) -> Routing:
    """Return the rules in a file's text. Raises RoutingError that names the line of each mistake and what is wrong there."""
    try:
        tree = yaml.compose(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as problem:
        at = problem.problem_mark or problem.context_mark
        raise RoutingError(f"line {at.line + 1 if at else 1}: {problem.problem}") from problem
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise RoutingError(f"line 1: {str(problem).splitlines()[0]}") from problem
    try:
        found = Routing.model_validate({} if content is None else content)
    except ValidationError as problem:
        raise RoutingError(told(_mistake(tree, place, reason) for place, reason in each(problem))) from problem
    if unknown := [
        _mistake(tree, ("rules", number, word), f"{value!r} is none of {', '.join(known)}")
        for number, rule in enumerate(found.rules)
        for word, value, known in (("queue", rule.queue, found.queues), ("class", rule.class_, list(found.classes)))
        if value and value not in known
    ]:
        raise RoutingError(told(unknown))
    return found


def _mistake(tree: Any, place: tuple[Any, ...], reason: str) -> tuple[tuple[int, int], str]:
    at = mark(tree, place)
    return at, f"line {at[0]}: {'.'.join(map(str, place)) or 'file'}: {reason}"
