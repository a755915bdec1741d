"""The OpenAPI 3.1 document, made from the routes and their types; nothing is written twice.

Pure. Called once a process by `app.py`, for `/openapi.json`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from mediaconvert import __version__, errors
from mediaconvert.api.rest.models import Problem
from mediaconvert.api.rest.problems import status_of
from mediaconvert.api.rest.requests import MAX_ID
from mediaconvert.api.rest.routes import AnyRoute
from mediaconvert.errors import Refusal

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"

_MEANINGS = {
    400: "The request is wrong; the sentence says how to put it right.",
    401: "No token, or one that is no longer valid; or a wrong password.",
    403: "Not allowed here.",
    404: "There is no such thing, or it is somebody else's.",
    408: "The body did not arrive in time.",
    409: "In conflict with what exists.",
    413: "The body is larger than 1 MiB.",
    429: "Too many attempts; `Retry-After` says when to try again.",
    500: "A bug of the service; the log has it under the request id.",
    503: "A dependency is unavailable or a limit is reached; try again later.",
}
_RETRY_AFTER: Json = {
    name: {"description": unit, "schema": {"type": "string", "pattern": "^[0-9]+$"}}
    for name, unit in (("Retry-After", "Seconds."), ("X-Amz-Retry-After", "Milliseconds."))
}
_HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string", "const": "Bearer"}}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}


def openapi_document(routes: Sequence[AnyRoute]) -> Json:
    """The whole document as JSON-ready values."""
    schemas = _schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    for route in routes:
        if route.query is not None:
            # Described parameter by parameter instead.
            schemas.pop(route.query.__name__, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "MediaConvert",
            "version": __version__,
            "description": "Accounts, S3 key pairs, pipelines, jobs and reports. Files go in and "
            "out by S3 on the same port.",
            "license": {"name": "AGPL-3.0-only", "identifier": "AGPL-3.0-only"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            },
        },
    }


def operation_id(route: AnyRoute) -> str:
    """`get_api_jobs_id_history`: stable, and unique as method and path are."""
    return route.method.lower() + re.sub(r"[^a-z0-9]+", "_", route.path).rstrip("_")


def _schemas(routes: Iterable[AnyRoute]) -> Json:
    """Every model that the routes name, by its name."""
    wanted: dict[type[BaseModel], JsonSchemaMode] = {Problem: "serialization"}
    for route in routes:
        for model in (route.query, route.body):
            if model is not None:
                wanted[model] = "validation"
        if route.answer is not None:
            wanted[route.answer] = "serialization"
    _, document = models_json_schema(list(wanted.items()), ref_template=_REF)
    schemas: Json = document["$defs"]
    return schemas


def _operation(route: AnyRoute, schemas: Json) -> Json:
    operation: Json = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [_tag(route.path)],
        "responses": _responses(route),
        "security": [] if route.is_public else [{"bearer": []}],
    }
    parameters = [*_id_parameter(route), *_query_parameters(route, schemas)]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": not route.body_may_be_empty,
            "content": {"application/json": {"schema": _ref(route.body)}},
        }
    return operation


def _tag(path: str) -> str:
    segments = path.strip("/").split("/")
    if segments[0] == "api":
        return segments[1]
    return "auth" if segments[0] == "auth" else "service"


def _id_parameter(route: AnyRoute) -> list[Json]:
    if not route.has_id:
        return []
    schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID}
    return [{"name": "id", "in": "path", "required": True, "schema": schema}]


def _query_parameters(route: AnyRoute, schemas: Json) -> list[Json]:
    if route.query is None:
        return []
    model = schemas[route.query.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in model.get("required", ()),
            "schema": _without_null(schema),
        }
        for name, schema in model["properties"].items()
    ]


def _without_null(schema: Json) -> Json:
    """A query cannot say null: leaving the parameter out is what None means."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        return dict(options[0])
    return {key: value for key, value in schema.items() if key != "title"}


def _responses(route: AnyRoute) -> Json:
    content: Json = {"schema": _ref(route.answer) if route.answer else {"type": "string"}}
    usual: Json = {"content": {route.content_type: content}}
    if route.answer is None and route.content_type == "application/json":
        usual["content"][route.content_type]["schema"] = {"type": "object"}
    responses: Json = {str(route.status): {"description": "Done.", **usual}}
    problems = {s: codes for s, codes in _problems(route).items() if str(s) not in responses}
    for status, meaning in route.other_answers:
        responses[str(status)] = {"description": meaning, **usual}
        problems.pop(status, None)
    for status in sorted(problems):
        codes = ", ".join(f"`{code}`" for code in sorted(problems[status]))
        responses[str(status)] = {
            "description": f"{_MEANINGS[status]} Codes: {codes}.",
            "content": {"application/json": {"schema": _ref(Problem)}},
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
        }
    return responses


def _problems(route: AnyRoute) -> dict[int, set[str]]:
    """Status → codes: what the route declares, and what any call of its kind may meet."""
    kinds: list[type[Refusal]] = [*route.refusals, errors.Unavailable, errors.Overloaded]
    if not route.is_public:
        kinds.append(errors.NotAuthenticated)
    if route.query is not None or route.body is not None:
        kinds.append(errors.InvalidRequest)
    if route.body is not None:
        kinds += [errors.BodyTooLarge, errors.SlowClient]
    if route.missing is not None:
        kinds.append(route.missing)
    result: dict[int, set[str]] = {500: {"internal_error"}}
    for kind in kinds:
        result.setdefault(status_of(kind), set()).add(kind.code)
    return result


def _ref(model: type[BaseModel]) -> dict[Literal["$ref"], str]:
    return {"$ref": _REF.format(model=model.__name__)}
