"""The one place where an answer of the REST side becomes bytes.

Every body is JSON but for the scrape of /metrics; nothing may be cached, for nearly everything
is somebody's own. Called by `app.py` only.
"""

from __future__ import annotations

from quart import Response

from mediaconvert.api.asgi import Send
from mediaconvert.api.rest.models import Sparse
from mediaconvert.api.rest.problems import ErrorAnswer
from mediaconvert.api.rest.routes import Answer, AnyRoute, Reply, Text

_JSON = "application/json"


def response_of(route: AnyRoute, answer: Answer, request_id: str) -> Response:
    if isinstance(answer, Text):
        headers = _headers(request_id)
        return Response(
            answer.body, route.status, headers=headers, content_type=answer.content_type
        )
    if isinstance(answer, Reply):
        status, model = answer.status, answer.model
    else:
        status, model = route.status, answer
    body = model.model_dump_json(exclude_none=isinstance(model, Sparse))
    return Response(body, status, headers=_headers(request_id), content_type=_JSON)


def error_response(error: ErrorAnswer) -> Response:
    headers = _headers(error.problem.request_id) | error.headers
    body = error.problem.model_dump_json(exclude_none=True)
    return Response(body, error.status, headers=headers, content_type=_JSON)


async def send_error(send: Send, error: ErrorAnswer) -> None:
    """The same answer without Quart, for what is refused before it."""
    body = error.problem.model_dump_json(exclude_none=True).encode()
    headers = _headers(error.problem.request_id) | error.headers
    headers |= {"Content-Type": _JSON, "Content-Length": str(len(body))}
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _headers(request_id: str) -> dict[str, str]:
    return {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": request_id,
    }
