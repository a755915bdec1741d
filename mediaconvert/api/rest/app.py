"""The REST side as one ASGI application: who calls, with what, then the handler, then bytes.

Holds the explicit list of the routes and the request fence, and no rule of any call. Built by
the supervisor, mounted by the gateway. To add a call, write its handler and its `Route` row in
the room that it belongs to.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from mediaconvert.analytics.reports import Reports
from mediaconvert.api.asgi import Message, Receive, Scope, Send
from mediaconvert.api.refusals import new_request_id
from mediaconvert.api.rest.analytics import AnalyticsCalls
from mediaconvert.api.rest.answers import error_response, response_of, send_error
from mediaconvert.api.rest.auth import AuthCalls
from mediaconvert.api.rest.bodies import Bodies
from mediaconvert.api.rest.credentials import CredentialCalls
from mediaconvert.api.rest.health import HealthCalls
from mediaconvert.api.rest.jobs import JobCalls
from mediaconvert.api.rest.openapi import openapi_document, operation_id
from mediaconvert.api.rest.passwords import Passwords
from mediaconvert.api.rest.pipelines import PipelineCalls
from mediaconvert.api.rest.problems import answer_http, answer_internal, answer_refusal
from mediaconvert.api.rest.readiness import Readiness
from mediaconvert.api.rest.requests import MAX_BODY_BYTES, parse_body, parse_id, parse_query
from mediaconvert.api.rest.routes import Answer, AnyRoute, Call, Route, Text
from mediaconvert.api.rest.tokens import Tokens, bearer_token
from mediaconvert.errors import NotAuthenticated, Refusal
from mediaconvert.jobs import JobService
from mediaconvert.metrics import Metrics
from mediaconvert.ports.analytics import AnalyticsStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notices
from mediaconvert.settings import Settings
from mediaconvert.vault import Keys

logger = logging.getLogger("mediaconvert.api.rest")


def make_rest_app(
    *,
    catalog: Catalog,
    notices: Notices,
    analytics: AnalyticsStore,
    jobs: JobService,
    keys: Keys,
    settings: Settings,
    readiness: Readiness,
    metrics: Metrics,
) -> RestApp:
    """Every call of the REST API. The supervisor also starts the result's `run`."""
    hours = settings.auth.token_hours
    tokens = Tokens(keys.jwt_key, catalog.users, notices, hours=hours)
    health = HealthCalls(settings.server, readiness, metrics, catalog, is_metrics_open=False)
    auth = AuthCalls(catalog.users, notices, tokens, Passwords(), settings.auth)
    routes = (
        *health.routes(),
        *auth.routes(),
        *CredentialCalls(catalog, notices, keys.vault, settings).routes(),
        *PipelineCalls(catalog.pipelines).routes(),
        *JobCalls(jobs).routes(),
        *AnalyticsCalls(Reports(analytics)).routes(),
    )
    return RestApp(routes, metrics, tokens)


def make_status_app(
    *,
    catalog: Catalog,
    settings: Settings,
    readiness: Readiness,
    metrics: Metrics,
    is_metrics_open: bool = False,
) -> RestApp:
    """Only /health, /ready, /metrics (and their description): for a process without the api
    role, and, with `is_metrics_open`, for the operator's own listener
    (`server.metrics_listen`)."""
    health = HealthCalls(settings.server, readiness, metrics, catalog, is_metrics_open)
    return RestApp(health.routes(), metrics, None)


class RestApp:
    """An ASGI application (`http` and `lifespan`), and the task that it needs."""

    def __init__(self, routes: Sequence[AnyRoute], metrics: Metrics, tokens: Tokens | None) -> None:
        self._metrics = metrics
        self._tokens = tokens
        self.routes: tuple[AnyRoute, ...] = (*routes, self._own_route())
        """What this application serves; the OpenAPI document says the same."""
        self._document: bytes | None = None
        public = {route.path for route in self.routes if route.is_public}
        self._bodies = Bodies(tokens, public)
        self._quart = self._make_quart()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep what is remembered about users true, until cancelled. Without it everything
        works, with one more question to the catalog a call."""
        if self._tokens is None:
            task_status.started()
            await trio.sleep_forever()
        else:
            await self._tokens.run(task_status)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._handle_http(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _handle_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What escapes Quart is answered by the server's own fence, in the same form."""
        began = time.monotonic()
        scope.setdefault("state", {}).setdefault("request_id", new_request_id())
        status = 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            async with self._bodies.taken_in(scope, receive) as ready:
                await self._quart(_without_host(scope), ready, watched_send)  # type: ignore[arg-type]
        except Refusal as refusal:
            error = answer_refusal(refusal, scope["state"]["request_id"])
            await send_error(watched_send, error)
        finally:
            if status:
                elapsed = time.monotonic() - began
                self._metrics.request("rest", scope["method"], status, elapsed)

    def _make_quart(self) -> QuartTrio:
        # No folder of its own: nothing is served from the disk.
        app = QuartTrio(__name__, static_folder=None, template_folder=None, root_path="/")
        app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
        # What escapes a view's fence goes on to the server's, not to Quart's own logger.
        app.config["PROPAGATE_EXCEPTIONS"] = True
        # `//` is another path, not a redirect; a slash at the end changes nothing.
        app.url_map.merge_slashes = False
        app.url_map.strict_slashes = False
        app.register_error_handler(HTTPException, _answer_http_exception)
        for route in self.routes:
            app.add_url_rule(
                route.path.replace("{id}", "<id_text>"),
                endpoint=operation_id(route),
                view_func=self._view(route),
                methods=[route.method],
                provide_automatic_options=False,
            )
        return app

    def _view(self, route: AnyRoute) -> Callable[..., Awaitable[Response]]:
        async def view(id_text: str = "") -> Response:
            request_id = _request_id()
            try:
                return response_of(route, await self._run(route, id_text), request_id)
            except Refusal as refusal:
                return error_response(answer_refusal(refusal, request_id))
            except HTTPException:
                raise
            except Exception:
                # The request fence: a bug costs one request.
                logger.exception("a request failed", extra={"fields": _log_fields(_scope())})
                return error_response(answer_internal(request_id))

        return view

    async def _run(self, route: AnyRoute, id_text: str) -> Answer:
        """Who calls comes first: a stranger learns nothing about ids or bodies."""
        bearer = bearer_token(request.headers.getlist("Authorization"))
        caller = None
        if not route.is_public:
            if bearer is None or self._tokens is None:
                raise NotAuthenticated("this call needs a token: Authorization: Bearer <token>")
            caller = await self._tokens.verify(bearer)
        number = parse_id(id_text) if route.has_id else 0
        if number is None and route.missing is not None:
            raise route.missing(id_text if len(id_text) <= 40 else id_text[:40] + "…")
        client = _scope().get("client")
        call = Call(
            query=_parse_query(route),
            body=await _parse_body(route),
            address=client[0] if client else "",
            bearer=bearer,
            id=number or 0,
            caller=caller,
        )
        return await route.handler(call)

    def _own_route(self) -> AnyRoute:
        return Route(
            method="GET",
            path="/openapi.json",
            summary="This document",
            handler=self._describe,
            answer=None,
            is_public=True,
        )

    async def _describe(self, call: Call[None, None]) -> Text:
        if self._document is None:
            self._document = json.dumps(openapi_document(self.routes)).encode()
        return Text(self._document, "application/json")


def _parse_query(route: AnyRoute) -> Any:
    if route.query is None:
        return None
    return parse_query(request.args.items(multi=True), route.query)


async def _parse_body(route: AnyRoute) -> Any:
    if route.body is None:
        return None
    raw = await request.get_data(False, False, False)
    return parse_body(raw, route.body, may_be_empty=route.body_may_be_empty)


async def _answer_http_exception(error: HTTPException) -> Response:
    allowed: tuple[str, ...] = ()
    if isinstance(error, MethodNotAllowed):
        allowed = tuple(error.valid_methods or ())
    answer = answer_http(error.code or 400, request.method, request.path, _request_id(), allowed)
    return error_response(answer)


def _without_host(scope: Scope) -> Scope:
    """No route depends on the Host, and Quart fails on some (labels over 63 characters)."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {**scope, "headers": [*headers, (b"host", b"localhost")]}


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    """Nothing starts or stops here: the supervisor owns every task."""
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


def _scope() -> dict[str, Any]:
    return request.scope  # type: ignore[return-value]


def _request_id() -> str:
    """Under which the answer and the log can be matched."""
    return str(_scope()["state"]["request_id"])


def _log_fields(scope: Scope) -> dict[str, object]:
    """Never the query or the headers: they may hold what is secret."""
    return {
        "request_id": scope["state"]["request_id"],
        "method": scope["method"],
        "path": scope["path"][:200],
    }
