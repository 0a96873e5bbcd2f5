"""Runs in: airflow-apiserver; the OpenAPI document itself, as one of the answers that it describes."""

from typing import Any

from pydantic import BaseModel

from airflow_celery_kit.api.answers.fields import said


class Address(BaseModel):
    """Where the routes are."""

    url: str = said("What comes before each path.")


class Document(BaseModel):
    """Every route as an OpenAPI document."""

    openapi: str = said("The version of OpenAPI.")
    info: dict[str, Any] = said("What it describes.")
    servers: list[Address] = said("Where the routes are, one.")
    paths: dict[str, dict[str, Any]] = said("The routes by path, and by method in lower case.")
    components: dict[str, Any] = said("What the routes ask for and answer, by name.")
