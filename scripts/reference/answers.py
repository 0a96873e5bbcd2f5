"""Runs in: `make docs`; the part of rest.md about what the routes answer, read from their models."""

import inspect
from collections.abc import Iterable
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel

from reference.markdown import code, listed, table

PLAIN = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "boolean",
    datetime: "time",
    UUID: "UUID",
    type(None): "null",
    Any: "anything",
}


def linked(kind: type) -> str:
    """Return the name of a model as a link to what is said of it."""
    return f"[{kind.__name__}](#{kind.__name__.lower()})"


def type_of(kind: Any) -> str:
    """Return what a value may be, in words."""
    inner, origin = get_args(kind), get_origin(kind)
    if origin is Annotated:
        return type_of(inner[0])
    if origin is list:
        return f"list of {type_of(inner[0])}"
    if origin is dict:
        return f"{type_of(inner[1])} by {'name' if inner[0] is str else type_of(inner[0])}"
    if origin is Literal:
        return listed(inner)
    return " or ".join(map(type_of, inner)) or PLAIN.get(kind) or linked(kind)


def found_in(kind: Any) -> list[type]:
    """Return the models and enumerations of which a type consists, each after the one that it was found in."""
    if not inspect.isclass(kind) or get_args(kind):
        return [one for inner in get_args(kind) for one in found_in(inner)]
    if not issubclass(kind, BaseModel):
        return [kind] if issubclass(kind, Enum) else []
    fields = [one for field in kind.model_fields.values() for one in found_in(field.annotation)]
    return [*found_in(kind.__base__), kind, *fields] if kind is not BaseModel else []


def bodies_part(routes: Iterable[Any]) -> list[str]:
    """Every model of what is sent, once."""
    models = dict.fromkeys(
        one
        for route in routes
        for parameter in route.dependant.body_params
        for one in found_in(parameter.field_info.annotation)
    )
    own = [one for one in models if issubclass(one, BaseModel)]
    parts = [part for one in own for part in (f"### {one.__name__}", inspect.getdoc(one), *fields_part(one))]
    return [
        "## What is sent",
        "Any of the fields may be left out, apart from `dag_id` of [Start](#start). Others are refused.",
        *parts,
    ]


def answers_part(routes: Iterable[Any]) -> list[str]:
    """Every model of an answer, once."""
    models = dict.fromkeys(one for route in routes for one in found_in(route.response_model))
    parts = [part for one in models for part in (f"### {one.__name__}", inspect.getdoc(one), *fields_part(one))]
    return [
        "## What is answered",
        "Every field is always there. A time is ISO 8601 with its offset, UTC in the kit's own stacks. "
        "*Integer by name* is an object of any names, with an integer for each.",
        *parts,
    ]


def fields_part(kind: Any) -> list[str]:
    """The fields of a model, or the values of an enumeration."""
    if issubclass(kind, Enum):
        return [listed(kind)]
    base = [] if kind.__base__ is BaseModel else [f"It has the fields of {linked(kind.__base__)}, and:"]
    own = [(name, one) for name, one in kind.model_fields.items() if name in inspect.get_annotations(kind)]
    rows = [(code(name), type_of(one.annotation), one.description) for name, one in own]
    return [*base, table(("Field", "Type", "What it says"), rows)]
