"""The verbs UploadPart and UploadPartCopy."""

from __future__ import annotations

import time
from functools import partial

from mediaconvert.api.s3.errors import invalid_argument
from mediaconvert.api.s3.numbers import whole_number
from mediaconvert.api.s3.objects_copy import copy_result, copy_source
from mediaconvert.api.s3.payload import Payload
from mediaconvert.api.s3.ranges import parse_copy_range
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response, xml_response
from mediaconvert.multipart import MAX_PARTS


async def upload_part(services: Services, request: S3Request) -> Response:
    """S3 API: UploadPart."""
    number = _part_number(request)
    body = Payload(request, limit=services.settings.s3.max_put_bytes)
    async with services.upload_slot(request.identity.user_id):
        part = await services.intake.put_part(
            request.ref, request.key, request.query["uploadId"], number, body
        )
    headers = {"etag": f'"{part.md5}"'}
    if part.checksum is not None:
        headers[f"x-amz-checksum-{part.checksum.algorithm.lower()}"] = part.checksum.value
    return Response(200, headers)


async def upload_part_copy(services: Services, request: S3Request) -> Response:
    """S3 API: UploadPartCopy, with x-amz-copy-source-range."""
    source = copy_source(request)
    async with services.upload_slot(request.identity.user_id):
        part = await services.intake.copy_part(
            source,
            partial(_copied, request),
            request.ref,
            request.key,
            request.query["uploadId"],
            _part_number(request),
        )
    made_us = part.created_at_us or time.time_ns() // 1000
    return xml_response(copy_result("CopyPartResult", part.md5, made_us, part.checksum))


def _part_number(request: S3Request) -> int:
    text = request.query["partNumber"]
    number = whole_number(text, minimum=1, maximum=MAX_PARTS)
    if number is None:
        raise invalid_argument(
            "partNumber",
            text,
            f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive",
        )
    return number


def _copied(request: S3Request, size: int) -> tuple[int, int]:
    """Start and size of what is to be copied of a source of `size` bytes."""
    found = parse_copy_range(request.headers.get("x-amz-copy-source-range"), size)
    return (0, size) if found is None else (found.first, found.length)
