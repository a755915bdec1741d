"""The verb CompleteMultipartUpload."""

from __future__ import annotations

from mediaconvert.api.s3.documents import read_complete
from mediaconvert.api.s3.integrity import parse_object_size, parse_whole_checksum
from mediaconvert.api.s3.objects_put import job_header
from mediaconvert.api.s3.payload import read_document
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response, xml_response
from mediaconvert.api.s3.write_conditions import write_conditions
from mediaconvert.api.s3.xml import MAX_BODY_BYTES, Element, render


async def complete_multipart_upload(services: Services, request: S3Request) -> Response:
    """S3 API: CompleteMultipartUpload. One transaction, so the answer is never kept waiting
    with white space; repeating it answers the same while the object stands."""
    headers = request.headers
    declared = parse_whole_checksum(headers)
    kind = headers.get("x-amz-checksum-type")
    size = parse_object_size(headers)
    # x-amz-checksum-* speaks of the object here, not of this document.
    listed = read_complete(
        await read_document(services, request, MAX_BODY_BYTES, has_checksum=False)
    )
    committed = await services.intake.complete_upload(
        request.ref,
        request.key,
        request.query["uploadId"],
        listed,
        write_conditions(headers),
        declared=declared,
        declared_type=kind and kind.upper(),
        declared_size=size,
    )
    stored = committed.object
    children = [
        Element("Location", request.url),
        Element("Bucket", request.bucket),
        Element("Key", request.key),
        Element("ETag", f'"{stored.etag}"'),
    ]
    if stored.checksum is not None:
        children.append(Element(f"Checksum{stored.checksum.algorithm}", stored.checksum.value))
        children.append(Element("ChecksumType", stored.checksum.type))
    document = render(Element("CompleteMultipartUploadResult", children))
    return xml_response(document, job_header(committed))
