"""The ACL headers of uploads and new buckets: what we can honour, and a refusal for the rest.

Everything belongs to its bucket's owner and is private. A header that asks for just that is
accepted; one that would open something to others is refused, never ignored. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from mediaconvert.api.s3.errors import S3Error, invalid_argument

_HONOURED = frozenset({"private", "bucket-owner-full-control", "bucket-owner-read"})
_CANNED = frozenset(
    {
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "log-delivery-write",
    }
)


def refuse_acl_headers(headers: Mapping[str, str]) -> None:
    """Raises AccessControlListNotSupported, which is what AWS answers where a bucket has its
    ACLs disabled (S3 User Guide: Controlling ownership of objects), and InvalidArgument for
    a canned ACL that does not exist."""
    canned = headers.get("x-amz-acl", "private")
    if canned not in _HONOURED and canned not in _CANNED:
        raise invalid_argument("x-amz-acl", canned, f"canned ACL '{canned}' does not exist")
    grants = [name for name in headers if name.startswith("x-amz-grant-")]
    if canned in _CANNED or grants:
        what = grants[0] if grants else f"x-amz-acl: {canned}"
        raise S3Error(
            "AccessControlListNotSupported",
            f"The bucket does not allow ACLs: {what} would grant access to others; leave it out",
        )
