"""The verb CopyObject, and what it shares with UploadPartCopy: the source and its conditions."""

from __future__ import annotations

from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.headers import (
    iso_date,
    parse_copy_source,
    parse_directive,
    parse_object_headers,
    parse_storage_class,
)
from mediaconvert.api.s3.integrity import parse_upload_checksum
from mediaconvert.api.s3.objects_put import job_header
from mediaconvert.api.s3.request import S3Request, Services, refuse_version
from mediaconvert.api.s3.responses import Response, xml_response
from mediaconvert.api.s3.write_conditions import write_conditions
from mediaconvert.api.s3.xml import Element, render
from mediaconvert.intake import CopyFrom
from mediaconvert.model import BucketRef, Checksum


async def copy_object(services: Services, request: S3Request) -> Response:
    """S3 API: CopyObject. Replaced metadata that name a pipeline start a job; copied ones do
    not, for the file has been through it. There are no tags, so either directive holds."""
    headers = request.headers
    parse_directive(headers, "x-amz-tagging-directive")
    replaces = parse_directive(headers, "x-amz-metadata-directive") == "REPLACE"
    storage_class = parse_storage_class(headers) if "x-amz-storage-class" in headers else None
    algorithm, _ = parse_upload_checksum(headers)
    source = copy_source(request)
    onto_itself = (source.ref.name, source.key) == (request.bucket, request.key)
    if onto_itself and not replaces and storage_class is None and algorithm is None:
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes.",
        )
    committed = await services.intake.copy_object(
        source,
        request.ref,
        request.key,
        parse_object_headers(headers) if replaces else None,
        write_conditions(headers),
        storage_class=storage_class,
        checksum_algorithm=algorithm,
    )
    stored = committed.object
    document = copy_result("CopyObjectResult", stored.etag, stored.created_at_us, stored.checksum)
    return xml_response(document, job_header(committed))


def copy_source(request: S3Request) -> CopyFrom:
    """`x-amz-copy-source` with its conditions; the bucket must be the caller's as well."""
    source = parse_copy_source(request.headers)
    if source is None:
        raise S3Error("InvalidRequest", "x-amz-copy-source is missing")
    refuse_version(source.version_id)
    return CopyFrom(
        BucketRef(request.user_id, source.bucket),
        source.key,
        write_conditions(request.headers, "x-amz-copy-source-"),
    )


def copy_result(name: str, etag: str, time_us: int, checksum: Checksum | None) -> bytes:
    """CopyObjectResult or CopyPartResult."""
    children = [Element("LastModified", iso_date(time_us)), Element("ETag", f'"{etag}"')]
    if checksum is not None:
        children.append(Element("ChecksumType", checksum.type))
        children.append(Element(f"Checksum{checksum.algorithm}", checksum.value))
    return render(Element(name, children))
