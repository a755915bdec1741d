"""The verbs ListParts and ListMultipartUploads."""

from __future__ import annotations

from mediaconvert.api.s3.buckets import owner_element
from mediaconvert.api.s3.headers import iso_date
from mediaconvert.api.s3.objects_list import (
    Encode,
    common_prefix_elements,
    key_encoding,
    page_limit,
)
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response, xml_response
from mediaconvert.api.s3.xml import Element, render, url_encoded
from mediaconvert.model import ListQuery, Part, Upload, UploadPage


async def list_parts(services: Services, request: S3Request) -> Response:
    """S3 API: ListParts."""
    limit = page_limit(request, "max-parts")
    after = request.number("part-number-marker", 0)
    upload_id = request.query["uploadId"]
    uploads = services.catalog.uploads
    upload = await uploads.get(request.ref, request.key, upload_id)
    # One more than the page, to know whether there is another.
    found = await uploads.list_parts(request.ref, request.key, upload_id, after, limit + 1)
    parts = found[:limit]
    is_truncated = limit > 0 and len(found) > limit
    children = [
        Element("Bucket", request.bucket),
        Element("Key", request.key),
        Element("UploadId", upload_id),
        owner_element(request, "Initiator"),
        owner_element(request),
        Element("StorageClass", upload.headers.storage_class),
        Element("PartNumberMarker", str(after)),
        Element("NextPartNumberMarker", str(parts[-1].number if parts else 0)),
        Element("MaxParts", str(limit)),
        Element("IsTruncated", "true" if is_truncated else "false"),
        *_checksum_elements(upload),
        *(_part_element(part) for part in parts),
    ]
    return xml_response(render(Element("ListPartsResult", children)))


def _part_element(part: Part) -> Element:
    children = [
        Element("PartNumber", str(part.number)),
        Element("LastModified", iso_date(part.created_at_us)),
        Element("ETag", f'"{part.md5}"'),
        Element("Size", str(part.size)),
    ]
    if part.checksum is not None:
        children.append(Element(f"Checksum{part.checksum.algorithm}", part.checksum.value))
    return Element("Part", children)


def _checksum_elements(upload: Upload) -> list[Element]:
    if upload.checksum_algorithm is None:
        return []
    return [
        Element("ChecksumAlgorithm", upload.checksum_algorithm),
        Element("ChecksumType", upload.checksum_type or "COMPOSITE"),
    ]


async def list_multipart_uploads(services: Services, request: S3Request) -> Response:
    """S3 API: ListMultipartUploads. An upload-id-marker counts only beside a key-marker."""
    query = request.query
    encode = key_encoding(request)
    limit = page_limit(request, "max-uploads")
    key_marker = query.get("key-marker", "")
    id_marker = query.get("upload-id-marker", "") if key_marker else ""
    if limit == 0:
        await services.catalog.buckets.get(request.ref)
        page = UploadPage((), (), None, None)
    else:
        wanted = ListQuery(query.get("prefix", ""), query.get("delimiter", ""), key_marker, limit)
        page = await services.catalog.uploads.list(request.ref, wanted, id_marker)
    children = [
        Element("Bucket", request.bucket),
        Element("KeyMarker", encode(key_marker)),
        Element("UploadIdMarker", id_marker),
        *_markers(page, encode),
        Element("Prefix", encode(query.get("prefix", ""))),
        Element("MaxUploads", str(limit)),
        Element("IsTruncated", "false" if page.next_key is None else "true"),
    ]
    if delimiter := query.get("delimiter"):
        children.append(Element("Delimiter", encode(delimiter)))
    if encode is url_encoded:
        children.append(Element("EncodingType", "url"))
    children += [_upload_element(request, upload, encode) for upload in page.uploads]
    children += common_prefix_elements(page.common_prefixes, encode)
    return xml_response(render(Element("ListMultipartUploadsResult", children)))


def _markers(page: UploadPage, encode: Encode) -> list[Element]:
    if page.next_key is None:
        return []
    return [
        Element("NextKeyMarker", encode(page.next_key)),
        Element("NextUploadIdMarker", page.next_upload_id or ""),
    ]


def _upload_element(request: S3Request, upload: Upload, encode: Encode) -> Element:
    return Element(
        "Upload",
        (
            Element("Key", encode(upload.key)),
            Element("UploadId", upload.id),
            owner_element(request, "Initiator"),
            owner_element(request),
            Element("StorageClass", upload.headers.storage_class),
            Element("Initiated", iso_date(upload.created_at_us)),
            *_checksum_elements(upload),
        ),
    )
