"""Runs in: airflow-apiserver; refuses what a route is not asked by: who misspells a name would get everything for an answer."""

from fastapi import HTTPException, Request
from fastapi.dependencies.utils import get_flat_dependant


async def only_known(request: Request) -> None:
    """Raise HTTPException for a query parameter that the route does not know."""
    if not request.query_params:
        return
    known = [one.alias for one in get_flat_dependant(request.scope["route"].dependant).query_params]
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        names = ", ".join(dict.fromkeys(known)) or "none"
        raise HTTPException(422, f"{', '.join(unknown)}: no such parameter here; known: {names}")
