"""One S3 request from its bytes to its answer: address, caller, row, handler, one writer.

The only place on the S3 side that writes to the connection, and the only one that turns
errors into answers. What a verb does stands in its own file.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping
from functools import partial
from urllib.parse import unquote_to_bytes

from mediaconvert.api.asgi import ClientDisconnected, Receive, Scope, Send
from mediaconvert.api.body import RequestBody
from mediaconvert.api.disconnect import run_with_disconnect
from mediaconvert.api.s3.acl import refuse_acl_headers
from mediaconvert.api.s3.auth import Authenticated, Authenticator
from mediaconvert.api.s3.errors import S3Error, from_refusal, render_error
from mediaconvert.api.s3.keys import Address, parse_address
from mediaconvert.api.s3.payload import MAX_UNUSED_BYTES, read_optional_document
from mediaconvert.api.s3.request import S3Request, Services, refuse_version
from mediaconvert.api.s3.responses import Response
from mediaconvert.api.s3.routes import Level, NoRoute, Route
from mediaconvert.api.s3.table import ROUTES
from mediaconvert.api.s3.unsupported import refuse_unsupported
from mediaconvert.errors import Refusal

log = logging.getLogger(__name__)

_EXPECTED_OWNERS = ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner")


class Dispatcher:
    """The ASGI application of the S3 door."""

    def __init__(self, services: Services, authenticator: Authenticator) -> None:
        self._services = services
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await run_with_disconnect(partial(self._handle, scope, send), scope, receive)

    async def _handle(self, scope: Scope, send: Send, body: RequestBody) -> None:
        writer = _Writer(scope, send)
        try:
            response = await self._answer(scope, writer.request_id, body)
            await writer.write(response)
        except ClientDisconnected:
            raise
        except S3Error as error:
            await writer.write_error(error)
        except Refusal as refusal:
            await writer.write_error(from_refusal(refusal))
        # The fence of requests: a bug costs its request, is logged once, and nothing else.
        except Exception:
            log.exception(
                "a request failed",
                extra={"fields": {"request_id": writer.request_id, "method": scope["method"]}},
            )
            if not writer.has_started:
                await writer.write_error(
                    S3Error("InternalError", "We encountered an internal error. Please try again.")
                )

    async def _answer(self, scope: Scope, request_id: str, body: RequestBody) -> Response:
        headers = _headers(scope)
        domain = self._services.settings.s3.domain
        address = parse_address(scope["raw_path"], headers.get("host", ""), domain=domain)
        query = _query(scope["query_string"])
        identity = await self._authenticator.authenticate(scope)
        headers = {**identity.query_headers, **headers}
        route = _route(scope["method"], address, query, headers)
        _check_caller(identity, headers)
        if "versionId" in query:
            refuse_version(query["versionId"])
        if route.handler is None:
            raise S3Error(
                "NotImplemented",
                f"{route.operation} is not implemented by this service.",
                {"Operation": route.operation},
            )
        refuse_acl_headers(headers)
        refuse_unsupported(route.operation, route.method, headers)
        request = S3Request(
            id=request_id,
            method=scope["method"],
            bucket=address.bucket,
            key=address.key,
            query=query,
            headers=headers,
            identity=identity,
            body=body,
            scheme=scope["scheme"],
            is_virtual_host=address.is_virtual_host,
        )
        if not route.has_body:
            await read_optional_document(self._services, request, MAX_UNUSED_BYTES)
        return await route.handler(self._services, request)


def _headers(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _query(raw: bytes) -> dict[str, str]:
    """Decoded parameters, the first of each name; `+` is a space here, as forms have it."""
    found: dict[str, str] = {}
    for item in raw.split(b"&"):
        if not item:
            continue
        name, _, value = item.partition(b"=")
        found.setdefault(_decode(name), _decode(value))
    return found


def _decode(raw: bytes) -> str:
    raw = raw.replace(b"+", b" ")
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text or re.search(rb"%(?![0-9A-Fa-f]{2})", raw):
        raise S3Error(
            "InvalidURI",
            f"Couldn't parse the specified URI: {raw[:80]!r} in its query is not "
            "percent-encoded UTF-8",
        )
    return text


def _route(
    method: str, address: Address, query: Mapping[str, str], headers: Mapping[str, str]
) -> Route:
    level = Level.OBJECT if address.key else Level.BUCKET if address.bucket else Level.SERVICE
    try:
        return ROUTES.match(method, level, query, headers)
    except NoRoute as error:
        if error.is_method_wrong:
            raise S3Error(
                "MethodNotAllowed",
                "The specified method is not allowed against this resource: "
                f"{method} of {error.what} on {level}",
                {"Method": method, "ResourceType": level.upper()},
            ) from None
        raise S3Error(
            "NotImplemented",
            f"A parameter you provided implies functionality that is not implemented: {error.what}",
        ) from None


def _check_caller(identity: Authenticated, headers: Mapping[str, str]) -> None:
    """What a client expects of the owner. Buckets are reached by their owner only, so the
    expected one must be the caller (S3 User Guide: Verifying bucket ownership)."""
    for name in _EXPECTED_OWNERS:
        expected = headers.get(name)
        if expected is not None and expected != str(identity.user_id):
            raise S3Error("AccessDenied", f"Access Denied: {name} is not the bucket's owner")


class _Writer:
    """Sends one answer, once."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self.has_started = False
        # The gateway gives each request its id; one that came past it gets its own.
        self.request_id = str(scope.get("state", {}).get("request_id") or secrets.token_hex(8))

    async def write(self, response: Response) -> None:
        if response.stream is None or self._scope["method"] == "HEAD":
            body = b"" if self._scope["method"] == "HEAD" else response.body
            await self._start(response)
            await self._send({"type": "http.response.body", "body": body})
            return
        async with response.stream() as pieces:
            # The first piece comes before the status: a blob that cannot be read is a 503.
            piece = await anext(pieces, b"")
            await self._start(response)
            await self._send_piece(piece)
            async for piece in pieces:
                await self._send_piece(piece)
        await self._send({"type": "http.response.body", "body": b""})

    async def write_error(self, error: S3Error) -> None:
        if self.has_started:
            # Too late for a status: leaving the body short closes the connection, which is
            # how a client of HTTP/1.1 learns of it.
            log.error(
                "an answer was cut short",
                extra={"fields": {"request_id": self.request_id, "error": str(error)}},
            )
            return
        resource = self._scope["raw_path"].decode("latin-1")
        body = render_error(
            error, resource=resource, request_id=self.request_id, host_id=self.request_id
        )
        headers = {"content-type": "application/xml", **dict(error.headers)}
        if error.status == 304:
            body = b""
            headers.pop("content-type")
        await self.write(Response(error.status, headers, body))

    async def _start(self, response: Response) -> None:
        headers = {
            "x-amz-request-id": self.request_id,
            "x-amz-id-2": self.request_id,
            **response.headers,
        }
        if response.status not in (204, 304):
            headers["content-length"] = str(response.content_length)
        self.has_started = True
        await self._send(
            {
                "type": "http.response.start",
                "status": response.status,
                "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers.items()],
            }
        )

    async def _send_piece(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
