"""The verbs ListObjects (version 1) and ListObjectsV2.

Both are one query of the catalog and differ in how a page says where the next one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mediaconvert.api.s3.buckets import owner_element
from mediaconvert.api.s3.errors import invalid_argument
from mediaconvert.api.s3.headers import iso_date
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response, xml_response
from mediaconvert.api.s3.tokens import open_token, seal_token
from mediaconvert.api.s3.xml import Element, render, url_encoded
from mediaconvert.model import ListedObject, ListPage, ListQuery

MAX_KEYS = 1000
"""Most entries of a page; a client may ask for more and gets these (S3 API: ListObjectsV2)."""

Encode = Callable[[str], str]


async def list_objects(services: Services, request: S3Request) -> Response:
    """S3 API: ListObjects."""
    query = request.query
    encode = key_encoding(request)
    limit = page_limit(request, "max-keys")
    marker = query.get("marker", "")
    page = await _page(services, request, after=marker, limit=limit)
    children = [
        Element("Name", request.bucket),
        Element("Prefix", encode(query.get("prefix", ""))),
        Element("Marker", encode(marker)),
    ]
    # AWS tells the next marker only beside a delimiter; clients accept it always.
    if page.next_after is not None:
        children.append(Element("NextMarker", encode(page.next_after)))
    children += _entries(request, page, limit, encode, owner=owner_element(request))
    return xml_response(render(Element("ListBucketResult", children)))


async def list_objects_v2(services: Services, request: S3Request) -> Response:
    """S3 API: ListObjectsV2. A continuation token wins over start-after, as there."""
    query = request.query
    encode = key_encoding(request)
    limit = page_limit(request, "max-keys")
    token, start_after = query.get("continuation-token"), query.get("start-after", "")
    position = open_token(token)
    page = await _page(
        services, request, after=start_after if position is None else position, limit=limit
    )
    children = [
        Element("Name", request.bucket),
        Element("Prefix", encode(query.get("prefix", ""))),
        Element("KeyCount", str(len(page.objects) + len(page.common_prefixes))),
    ]
    if token is not None:
        children.append(Element("ContinuationToken", token))
    if start_after:
        children.append(Element("StartAfter", encode(start_after)))
    if page.next_after is not None:
        children.append(Element("NextContinuationToken", seal_token(page.next_after)))
    owner = owner_element(request) if query.get("fetch-owner") == "true" else None
    children += _entries(request, page, limit, encode, owner=owner)
    return xml_response(render(Element("ListBucketResult", children)))


def page_limit(request: S3Request, name: str) -> int:
    """How many entries a page may have: 0 to 1,000."""
    return min(request.number(name, MAX_KEYS), MAX_KEYS)


def key_encoding(request: S3Request) -> Encode:
    """How keys are written in the answer: as they are, or with encoding-type=url."""
    wanted = request.query.get("encoding-type")
    if wanted is None:
        return str
    if wanted != "url":
        raise invalid_argument(
            "encoding-type", wanted, "Invalid Encoding Method specified in Request: it is 'url'"
        )
    return url_encoded


def common_prefix_elements(prefixes: Iterable[str], encode: Encode) -> list[Element]:
    return [Element("CommonPrefixes", (Element("Prefix", encode(p)),)) for p in prefixes]


async def _page(services: Services, request: S3Request, *, after: str, limit: int) -> ListPage:
    if limit == 0:
        await services.catalog.buckets.get(request.ref)
        return ListPage((), (), None)
    query = ListQuery(
        request.query.get("prefix", ""), request.query.get("delimiter", ""), after, limit
    )
    return await services.catalog.objects.list(request.ref, query)


def _entries(
    request: S3Request, page: ListPage, limit: int, encode: Encode, *, owner: Element | None
) -> list[Element]:
    """What both versions have in common."""
    children = [
        Element("MaxKeys", str(limit)),
        Element("IsTruncated", "false" if page.next_after is None else "true"),
    ]
    if delimiter := request.query.get("delimiter"):
        children.append(Element("Delimiter", encode(delimiter)))
    if encode is url_encoded:
        children.append(Element("EncodingType", "url"))
    children += [_object_element(listed, encode, owner) for listed in page.objects]
    return children + common_prefix_elements(page.common_prefixes, encode)


def _object_element(listed: ListedObject, encode: Encode, owner: Element | None) -> Element:
    children = [
        Element("Key", encode(listed.key)),
        Element("LastModified", iso_date(listed.created_at_us)),
        Element("ETag", f'"{listed.etag}"'),
    ]
    if listed.checksum_algorithm is not None:
        children.append(Element("ChecksumAlgorithm", listed.checksum_algorithm))
    if listed.checksum_type is not None:
        children.append(Element("ChecksumType", listed.checksum_type))
    children.append(Element("Size", str(listed.size)))
    if owner is not None:
        children.append(owner)
    children.append(Element("StorageClass", listed.storage_class))
    return Element("Contents", children)
