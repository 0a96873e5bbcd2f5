"""Runs in: every process that reads config/routing.yaml; pure: from the file's text to its rules, or to the line that is wrong."""

from collections.abc import Iterable
from typing import Any

import yaml
from pydantic import ValidationError

from airflow_celery_kit.core.marks import mark
from airflow_celery_kit.core.routing import Routing, RoutingError, first


def parse(text: str) -> Routing:
    """Return the rules in a file's text. Raises RoutingError that names the line and what is wrong there."""
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
        place, reason = first(problem)
        raise RoutingError(f"line {_line(tree, place)}: {'.'.join(map(str, place)) or 'file'}: {reason}") from problem
    for number, rule in enumerate(found.rules):
        for word, value, known in (("queue", rule.queue, found.queues), ("class", rule.class_, list(found.classes))):
            if value and value not in known:
                line = _line(tree, ("rules", number, word))
                raise RoutingError(f"line {line}: rules.{number}.{word}: {value!r} is none of {', '.join(known)}")
    return found


def _line(tree: Any, place: Iterable[Any]) -> int:
    return mark(tree, place)[0]
