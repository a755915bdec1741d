"""What clients ask about a bucket before they use it: location, versioning, ACL.

Each answer is true and constant: what can be configured comes with its own verbs.
"""

from __future__ import annotations

from mediaconvert.api.s3.buckets import owner_element
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response, xml_response
from mediaconvert.api.s3.xml import Element, render

_SCHEMA = "http://www.w3.org/2001/XMLSchema-instance"
_LEGACY_REGION = "us-east-1"


async def get_bucket_location(services: Services, request: S3Request) -> Response:
    """S3 API: GetBucketLocation; us-east-1 is the empty constraint."""
    region = (await services.catalog.buckets.get(request.ref)).region
    return xml_response(
        render(Element("LocationConstraint", "" if region == _LEGACY_REGION else region))
    )


async def get_bucket_versioning(services: Services, request: S3Request) -> Response:
    """S3 API: GetBucketVersioning; without a Status versioning has never been on."""
    await services.catalog.buckets.get(request.ref)
    return xml_response(render(Element("VersioningConfiguration")))


async def get_bucket_acl(services: Services, request: S3Request) -> Response:
    """S3 API: GetBucketAcl."""
    await services.catalog.buckets.get(request.ref)
    return owner_full_control(request)


def owner_full_control(request: S3Request) -> Response:
    """The one ACL that there is: everything for the owner."""
    owner = owner_element(request)
    grantee = Element(
        "Grantee", owner.content, (("xmlns:xsi", _SCHEMA), ("xsi:type", "CanonicalUser"))
    )
    grant = Element("Grant", (grantee, Element("Permission", "FULL_CONTROL")))
    policy = Element("AccessControlPolicy", (owner, Element("AccessControlList", (grant,))))
    return xml_response(render(policy))
