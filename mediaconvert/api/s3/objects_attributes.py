"""What clients ask about an object beside HEAD: GetObjectAttributes, its ACL, its tags."""

from __future__ import annotations

from mediaconvert.api.s3.bucket_config import owner_full_control
from mediaconvert.api.s3.errors import invalid_argument
from mediaconvert.api.s3.headers import http_date, job_headers
from mediaconvert.api.s3.numbers import whole_number
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response, xml_response
from mediaconvert.api.s3.xml import Element, render
from mediaconvert.model import PartInfo, StoredObject

_ATTRIBUTES = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
_MAX_PARTS = 1000


async def get_object_attributes(services: Services, request: S3Request) -> Response:
    """S3 API: GetObjectAttributes. The ETag stands there without quotes."""
    wanted = _wanted(request)
    limit = min(_number(request, "x-amz-max-parts", _MAX_PARTS), _MAX_PARTS)
    marker = _number(request, "x-amz-part-number-marker", 0)
    stored = await services.catalog.objects.get(request.ref, request.key)
    children = []
    if "ETag" in wanted:
        children.append(Element("ETag", stored.etag))
    if "Checksum" in wanted and stored.checksum is not None:
        children.append(
            Element(
                "Checksum",
                (
                    Element(f"Checksum{stored.checksum.algorithm}", stored.checksum.value),
                    Element("ChecksumType", stored.checksum.type),
                ),
            )
        )
    if "ObjectParts" in wanted and stored.parts:
        children.append(_parts_element(stored, marker, limit))
    if "StorageClass" in wanted:
        children.append(Element("StorageClass", stored.headers.storage_class))
    if "ObjectSize" in wanted:
        children.append(Element("ObjectSize", str(stored.size)))
    headers = {"last-modified": http_date(stored.created_at_us), **job_headers(stored)}
    return xml_response(render(Element("GetObjectAttributesResponse", children)), headers)


def _wanted(request: S3Request) -> set[str]:
    text = request.headers.get("x-amz-object-attributes", "")
    names = {name.strip() for name in text.split(",") if name.strip()}
    if not names or not names <= set(_ATTRIBUTES):
        raise invalid_argument(
            "x-amz-object-attributes",
            text,
            f"Invalid attribute name specified: it must be some of {', '.join(_ATTRIBUTES)}",
        )
    return names


def _number(request: S3Request, name: str, default: int) -> int:
    text = request.headers.get(name)
    if text is None:
        return default
    number = whole_number(text, maximum=2**31 - 1)
    if number is None:
        raise invalid_argument(name, text, f"{name} is '{text}'; it must be a whole number")
    return number


def _parts_element(stored: StoredObject, marker: int, limit: int) -> Element:
    """The count always; the parts where they have checksums, as there."""
    numbered = [(n, part) for n, part in enumerate(stored.parts, 1) if n > marker]
    shown = numbered[:limit]
    children = [
        Element("PartNumberMarker", str(marker)),
        Element("NextPartNumberMarker", str(shown[-1][0] if shown else 0)),
        Element("MaxParts", str(limit)),
        Element("IsTruncated", "true" if len(shown) < len(numbered) else "false"),
        Element("PartsCount", str(len(stored.parts))),
    ]
    if stored.checksum is not None:
        algorithm = stored.checksum.algorithm
        children += [_part_element(n, part, algorithm) for n, part in shown]
    return Element("ObjectParts", children)


def _part_element(number: int, part: PartInfo, algorithm: str) -> Element:
    children = [Element("PartNumber", str(number)), Element("Size", str(part.size))]
    if part.checksum is not None:
        children.append(Element(f"Checksum{algorithm}", part.checksum))
    return Element("Part", children)


async def get_object_acl(services: Services, request: S3Request) -> Response:
    """S3 API: GetObjectAcl."""
    await services.catalog.objects.get(request.ref, request.key)
    return owner_full_control(request)


async def get_object_tagging(services: Services, request: S3Request) -> Response:
    """S3 API: GetObjectTagging. No object has tags yet; the aws cli asks before it copies
    large objects from bucket to bucket."""
    await services.catalog.objects.get(request.ref, request.key)
    return xml_response(render(Element("Tagging", (Element("TagSet"),))))
