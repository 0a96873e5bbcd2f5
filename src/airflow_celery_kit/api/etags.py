"""Runs in: airflow-apiserver; says by an ETag whether what is on record is still what the caller has seen (RFC 9110)."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends, Header, Response
from fastapi.responses import JSONResponse

SEEN = "It is as the caller has seen it."
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": SEEN}}
# A browser asks each time, and gets a line where nothing has changed.
HEADERS = {"Cache-Control": "private, no-cache"}
Tags = Annotated[str | None, Header(max_length=2000)]
Answer = Callable[[Any], Response]


def tag_of(found: Any) -> str:
    """Return the ETag of a value of JSON, whatever the order of its names."""
    return f'"{sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:32]}"'


def is_one_of(tag: str, named: str) -> bool:
    """Return whether a header names a tag, or any with `*`. What lies between, as one that compresses, may have called it weak."""
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in named.split(","))


def answering(if_none_match: Tags = None) -> Answer:
    """Return what answers with a value and its ETag, or without the value where the caller has it."""

    def answer(found: Any) -> Response:
        headers = HEADERS | {"ETag": (tag := tag_of(found))}
        if if_none_match and is_one_of(tag, if_none_match):
            return Response(status_code=304, headers=headers)
        return JSONResponse(found, headers=headers)

    return answer


AnswerDep = Annotated[Answer, Depends(answering)]
