"""Runs in: airflow-apiserver; hands out the page's own files, which Airflow's UI loads and runs with its own React and Chakra."""

from hashlib import sha256
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response

from airflow_celery_kit.api.records import MAY_READ

router = APIRouter()
FOLDER = files("airflow_celery_kit.api").joinpath("console")
# A page of before is asked about at each load, and answered in a line where nothing has changed.
HEADERS = {"Cache-Control": "no-cache"}
TYPE = "text/javascript"
SCRIPT: dict[int | str, dict[str, Any]] = {
    200: {"content": {TYPE: {"schema": {"type": "string"}}}},
    304: {"description": "It is as it was."},
}


@router.get("/console/{file}", dependencies=[MAY_READ], response_class=Response, responses=SCRIPT)
def console_file(file: str, request: Request) -> Response:
    """Return one file of the page."""
    known = {one.name: one for one in FOLDER.iterdir() if one.name.endswith(".js")}
    if file not in known:
        raise HTTPException(404, f"the page has no file {file}")
    text = known[file].read_bytes()
    tag = f'"{sha256(text).hexdigest()[:16]}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={**HEADERS, "ETag": tag})
    return Response(text, media_type=TYPE, headers={**HEADERS, "ETag": tag})
