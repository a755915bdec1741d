"""The verbs of buckets: ListBuckets, CreateBucket, HeadBucket, DeleteBucket.

Called by `dispatch.py` through the table. Whose a bucket is, the catalog decides.
"""

from __future__ import annotations

import re

from mediaconvert.api.doors import RESERVED_NAMES
from mediaconvert.api.s3.documents import read_location
from mediaconvert.api.s3.errors import S3Error, invalid_argument
from mediaconvert.api.s3.headers import iso_date
from mediaconvert.api.s3.keys import check_bucket_name
from mediaconvert.api.s3.payload import read_optional_document
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response, no_content, xml_response
from mediaconvert.api.s3.tokens import open_token, seal_token
from mediaconvert.api.s3.xml import Element, render
from mediaconvert.model import Bucket

_REGION_SHAPE = re.compile(r"[A-Za-z0-9-]{1,64}")
_OWNERSHIPS = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")
_DOCUMENT_BYTES = 64 << 10


def owner_element(request: S3Request, name: str = "Owner") -> Element:
    """The caller, who owns whatever the caller can see."""
    return Element(
        name,
        (
            Element("ID", str(request.user_id)),
            Element("DisplayName", request.identity.owner_email),
        ),
    )


async def list_buckets(services: Services, request: S3Request) -> Response:
    """S3 API: ListBuckets, with prefix, bucket-region and pages."""
    query = request.query
    limit = request.number("max-buckets", 10_000, minimum=1, maximum=10_000)
    after = open_token(query.get("continuation-token"))
    prefix, region = query.get("prefix", ""), query.get("bucket-region")
    buckets = [
        bucket
        for bucket in await services.catalog.buckets.list(request.user_id)
        if bucket.name.startswith(prefix)
        and (after is None or bucket.name > after)
        and (region is None or bucket.region == region)
    ]
    shown = buckets[:limit]
    children = [
        owner_element(request),
        Element("Buckets", tuple(_bucket_element(bucket) for bucket in shown)),
    ]
    if prefix:
        children.append(Element("Prefix", prefix))
    if len(shown) < len(buckets):
        children.append(Element("ContinuationToken", seal_token(shown[-1].name)))
    return xml_response(render(Element("ListAllMyBucketsResult", children)))


def _bucket_element(bucket: Bucket) -> Element:
    return Element(
        "Bucket",
        (
            Element("Name", bucket.name),
            Element("CreationDate", iso_date(bucket.created_at_us)),
            Element("BucketRegion", bucket.region),
        ),
    )


async def create_bucket(services: Services, request: S3Request) -> Response:
    """S3 API: CreateBucket. A bucket that is the caller's already is a 409, in us-east-1 too
    (AWS answers 200 there, a courtesy to clients of 2006)."""
    check_bucket_name(request.bucket, RESERVED_NAMES)
    ownership = request.headers.get("x-amz-object-ownership", _OWNERSHIPS[0])
    if ownership not in _OWNERSHIPS:
        raise invalid_argument(
            "x-amz-object-ownership",
            ownership,
            f"object ownership {ownership!r} does not exist; it is one of "
            + ", ".join(_OWNERSHIPS),
        )
    document = await read_optional_document(services, request, _DOCUMENT_BYTES)
    region = _region(services, read_location(document))
    await services.catalog.buckets.create(
        request.ref, region, limit=services.settings.s3.max_buckets
    )
    return Response(200, {"location": f"/{request.bucket}"})


def _region(services: Services, wanted: str | None) -> str:
    """The region of a new bucket: our own, or with `s3.any_region` the one asked for."""
    settings = services.settings.s3
    if wanted is None or wanted == settings.region:
        return settings.region
    if not settings.any_region or not _REGION_SHAPE.fullmatch(wanted):
        raise S3Error(
            "InvalidLocationConstraint",
            f"the location constraint '{wanted}' is not valid; this service is in "
            f"'{settings.region}'",
            {"LocationConstraint": wanted},
        )
    # What clients of Europe sent before 2014, and still may.
    return "eu-west-1" if wanted == "EU" else wanted


async def head_bucket(services: Services, request: S3Request) -> Response:
    """S3 API: HeadBucket."""
    bucket = await services.catalog.buckets.get(request.ref)
    return Response(
        200,
        {
            "content-type": "application/xml",
            "x-amz-bucket-region": bucket.region,
            "x-amz-access-point-alias": "false",
        },
    )


async def delete_bucket(services: Services, request: S3Request) -> Response:
    """S3 API: DeleteBucket; only an empty one, as there."""
    await services.catalog.buckets.delete(request.ref)
    return no_content()
