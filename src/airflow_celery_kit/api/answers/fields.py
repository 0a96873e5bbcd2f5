"""Runs in: airflow-apiserver; the fields of answers. They are for the document: what the journal and the controller wrote is given out as it is."""

from typing import Any

from pydantic import Field


def said(text: str) -> Any:
    """Return a field that is always there, with what it says."""
    return Field(description=text)


def when(text: str) -> Any:
    """Return a time that is always there, with what happened then."""
    return Field(description=f"{text}; ISO 8601 with offset.")
