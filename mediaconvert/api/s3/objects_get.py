"""The verbs GetObject and HeadObject: one selection of bytes, told with or without them."""

from __future__ import annotations

from dataclasses import dataclass

from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.headers import (
    http_date,
    object_headers,
    parse_conditions,
    parse_http_date,
    response_overrides,
)
from mediaconvert.api.s3.ranges import parse_range
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response
from mediaconvert.conditions import Verdict, check_read, failed_condition
from mediaconvert.errors import PreconditionFailed
from mediaconvert.model import StoredObject
from mediaconvert.multipart import MAX_PARTS
from mediaconvert.segments import part_bounds, slice_segments

# What a 304 tells of an object (RFC 9110 §15.4.5).
_NOT_MODIFIED_HEADERS = ("etag", "last-modified", "cache-control", "expires")


@dataclass(frozen=True, slots=True)
class _Selection:
    """The bytes that a request means; `is_partial` where it asked for a part of them."""

    start: int
    size: int
    is_partial: bool


async def get_object(services: Services, request: S3Request) -> Response:
    """S3 API: GetObject, with ranges, conditions, response-…, partNumber, checksum mode."""
    stored = await _stored(services, request)
    head = _head(request, stored)
    size = head.content_length
    if head.status == 304 or size == 0:
        return head
    selection = _select(request, stored)
    segments = slice_segments(stored.segments, selection.start, selection.size)
    return Response(
        head.status, head.headers, stream=lambda: services.blobs.open(segments), length=size
    )


async def head_object(services: Services, request: S3Request) -> Response:
    """S3 API: HeadObject: GetObject's headers."""
    return _head(request, await _stored(services, request))


async def _stored(services: Services, request: S3Request) -> StoredObject:
    return await services.catalog.objects.get(request.ref, request.key)


def _head(request: S3Request, stored: StoredObject) -> Response:
    """Everything but the bytes."""
    conditions = parse_conditions(request.headers)
    verdict = check_read(conditions, stored.etag, stored.created_at_us // 1_000_000)
    if verdict is Verdict.FAILED:
        raise PreconditionFailed(failed_condition(conditions, verdict))
    if verdict is Verdict.NOT_MODIFIED:
        told = object_headers(stored)
        return Response(304, {n: told[n] for n in _NOT_MODIFIED_HEADERS if n in told})
    selection = _select(request, stored)
    wants_checksum = request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    headers = object_headers(
        stored,
        overrides=response_overrides(request.query),
        # Of a part of the bytes clients would compare it with the wrong ones.
        with_checksum=wants_checksum and not selection.is_partial,
        with_parts_count="partNumber" in request.query,
    )
    if not selection.is_partial:
        return Response(200, headers, length=stored.size)
    last = selection.start + selection.size - 1
    headers["content-range"] = f"bytes {selection.start}-{last}/{stored.size}"
    return Response(206, headers, length=selection.size)


def _select(request: S3Request, stored: StoredObject) -> _Selection:
    text = request.headers.get("range")
    if "partNumber" in request.query:
        if text is not None:
            raise S3Error(
                "InvalidRequest",
                "Cannot specify both Range header and partNumber query parameter",
            )
        return _select_part(request, stored)
    if text is None or not _if_range_holds(request, stored):
        return _Selection(0, stored.size, is_partial=False)
    found = parse_range(text, stored.size)
    if found is None:
        return _Selection(0, stored.size, is_partial=False)
    return _Selection(found.first, found.length, is_partial=True)


def _select_part(request: S3Request, stored: StoredObject) -> _Selection:
    number = request.number("partNumber", 0, minimum=1, maximum=MAX_PARTS)
    bounds = part_bounds(stored, number)
    if bounds is None:
        raise S3Error(
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
            {
                "PartNumberRequested": str(number),
                "ActualPartCount": str(max(1, len(stored.parts))),
            },
        )
    start, size = bounds
    # Of no bytes there is no range; an empty object is its own part 1.
    return _Selection(start, size, is_partial=size > 0)


def _if_range_holds(request: S3Request, stored: StoredObject) -> bool:
    """RFC 9110 §13.1.5: a range of what the client has a part of already, or else all."""
    text = request.headers.get("if-range")
    if text is None:
        return True
    if parse_http_date(text) is not None:
        return text.strip() == http_date(stored.created_at_us)
    return text.strip().strip('"') == stored.etag
