"""`/openapi.json` (OpenAPI 3.1), made from the route table and the contract's models; nothing is
written twice.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from pydantic.json_schema import models_json_schema

from proxy.api.call import Call
from proxy.api.problems import TITLES
from proxy.api.table import EVERY_ROLE, Route
from proxy.contract.base import CHANGE_HEADER, Problem
from proxy.version import VERSION

_REF = "#/components/schemas/{model}"
_REQUEST_ID = {"X-Request-Id": {"schema": {"type": "string"}}}


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document."""
    routes = tuple(routes)
    sent = {m for r in routes for m in (r.body, r.query) if m is not None}
    answered = {r.answer for r in routes if r.answer is not None} | {Problem}
    names, schemas = models_json_schema(
        [(model, "validation") for model in sorted(sent, key=lambda m: m.__name__)]
        + [(model, "serialization") for model in sorted(answered, key=lambda m: m.__name__)],
        ref_template=_REF,
    )
    refs: dict[Any, Any] = {model: schema for (model, _), schema in names.items()}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.full_path, {})[route.method.lower()] = _operation(
            route, refs, schemas["$defs"]
        )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Self-Heal control API", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, refs: dict[Any, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "parameters": _parameters(route, schemas),
        "responses": {str(route.status): _answer(route, refs)},
    }
    if route.roles:
        operation["security"] = [{"token": []}]
        operation["x-roles"] = sorted(route.roles)
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[route.body]}},
        }
    for status in route.all_problems():
        operation["responses"].setdefault(str(status), _problem(route, status, refs))
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"[a-z]+", route.path if route.bare else "v/" + route.path)
    return "_".join([route.method.lower(), *(w for w in words if w != "n")]) + (
        "_one" if route.path.endswith("{n}") else ""
    )


def _parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if route.letter:
        pattern = f"^(?:[{route.letter}{route.letter.lower()}]-)?[1-9][0-9]{{0,17}}$"
        schema = {"type": "string", "pattern": pattern}
        found.append({"name": "n", "in": "path", "required": True, "schema": schema})
    if route.is_change:
        schema = {"type": "string", "const": "1"}
        found.append({"name": CHANGE_HEADER, "in": "header", "required": True, "schema": schema})
    if route.query is not None:
        model = schemas[route.query.__name__]
        found += [
            {"name": name, "in": "query", "required": False, "schema": schema}
            for name, schema in model.get("properties", {}).items()
        ]
    return found


def _answer(route: Route, refs: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": route.summary, "headers": _REQUEST_ID}
    if route.method == "HEAD":
        return answer
    # without a model: this document itself, or text
    untold = "object" if route.media == "application/json" else "string"
    schema = {"type": untold} if route.answer is None else refs[route.answer]
    answer["content"] = {route.media: {"schema": schema}}
    return answer


def _problem(route: Route, status: int, refs: dict[Any, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": TITLES[status], "headers": _REQUEST_ID}
    if route.method != "HEAD":
        content = {"application/problem+json": {"schema": refs[Problem]}}
        if status == 503 and not route.roles and route.answer is not None:
            content["application/json"] = {"schema": refs[route.answer]}
        answer["content"] = content
    return answer


def routes_for(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    """The rows of the document itself, which lists itself too."""

    async def serve(_: Call) -> web.Response:
        return web.Response(body=made, content_type="application/json")

    own = tuple(
        Route("GET", "/openapi.json", serve, "This document.", EVERY_ROLE, bare=bare)
        for bare in (True, False)
    )
    made = json.dumps(document((*routes, *own)), separators=(",", ":")).encode()
    return own
