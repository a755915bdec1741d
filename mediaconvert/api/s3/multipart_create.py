"""The verbs CreateMultipartUpload and AbortMultipartUpload."""

from __future__ import annotations

from mediaconvert.api.s3.headers import parse_object_headers
from mediaconvert.api.s3.integrity import parse_upload_checksum
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response, no_content, xml_response
from mediaconvert.api.s3.write_conditions import IF_MATCH_INITIATED, parse_time
from mediaconvert.api.s3.xml import Element, render


async def create_multipart_upload(services: Services, request: S3Request) -> Response:
    """S3 API: CreateMultipartUpload. Metadata arrive here, and with them the pipeline, whose
    job starts at CompleteMultipartUpload."""
    algorithm, kind = parse_upload_checksum(request.headers)
    upload = await services.intake.begin_upload(
        request.ref, request.key, parse_object_headers(request.headers), algorithm, kind
    )
    headers = {}
    if algorithm is not None:
        headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind or ""}
    document = Element(
        "InitiateMultipartUploadResult",
        (
            Element("Bucket", request.bucket),
            Element("Key", request.key),
            Element("UploadId", upload.id),
        ),
    )
    return xml_response(render(document), headers)


async def abort_multipart_upload(services: Services, request: S3Request) -> Response:
    """S3 API: AbortMultipartUpload, with its condition on the time of initiation."""
    initiated_us = parse_time(IF_MATCH_INITIATED, request.headers.get(IF_MATCH_INITIATED))
    await services.catalog.uploads.abort(
        request.ref, request.key, request.query["uploadId"], initiated_us
    )
    return no_content()
