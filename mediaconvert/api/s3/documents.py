"""The request documents of the S3 API as typed values: Delete, CompleteMultipartUpload, ….

Called by the verbs with a body that was read whole (it is bounded by `xml.MAX_BODY_BYTES`).
Whatever is missing, doubled or out of range is MalformedXML, as S3 says it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mediaconvert.api.s3.errors import S3Error
from mediaconvert.api.s3.xml import MalformedXml, Node, parse
from mediaconvert.digests import SIZES
from mediaconvert.model import Checksum
from mediaconvert.multipart import MAX_PARTS, ListedPart

MAX_DELETES = 1000
"""Keys of one DeleteObjects (S3 API: DeleteObjects)."""

# As the elements are called; x-amz-checksum-algorithm has them in the same words.
CHECKSUM_ELEMENTS = {f"Checksum{name}": name for name in SIZES}


@dataclass(frozen=True, slots=True)
class DeleteEntry:
    key: str
    version_id: str | None = None
    etag: str | None = None
    """The object is deleted only while it has this ETag (without quotes, or `*`)."""


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    entries: tuple[DeleteEntry, ...]
    is_quiet: bool


def malformed_xml(reason: str) -> S3Error:
    """MalformedXML: S3's own sentence, then what it was."""
    return S3Error(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published "
        f"schema: {reason}",
    )


def read(body: bytes, *roots: str) -> Node:
    """`xml.parse` with S3's refusal; for documents that have no function here."""
    try:
        return parse(body, *roots)
    except MalformedXml as error:
        raise malformed_xml(str(error)) from None


def read_delete(body: bytes) -> DeleteRequest:
    """The body of DeleteObjects: 1 to 1,000 keys, byte-exact. Keys are not checked against
    the rules of keys: one that cannot exist is simply not there."""
    root = read(body, "Delete")
    nodes = root.all("Object")
    if not 1 <= len(nodes) <= MAX_DELETES:
        raise malformed_xml(f"it lists {len(nodes)} objects; 1 to {MAX_DELETES} can be deleted")
    entries = []
    for node in nodes:
        key = node.child("Key")
        if key is None or not key.text:
            raise malformed_xml("an Object has no Key")
        etag = node.value("ETag")
        entries.append(
            DeleteEntry(
                key.text, node.value("VersionId"), None if etag is None else etag.strip('"')
            )
        )
    return DeleteRequest(tuple(entries), _boolean(root, "Quiet"))


def read_complete(body: bytes) -> tuple[ListedPart, ...]:
    """The body of CompleteMultipartUpload. Order and existence are `multipart.assemble`'s to
    judge; an empty list is MalformedXML here."""
    root = read(body, "CompleteMultipartUpload", "CompleteMultipartUploadResult")
    nodes = root.all("Part")
    if not nodes:
        raise malformed_xml("it lists no part")
    if len(nodes) > MAX_PARTS:
        raise malformed_xml(f"it lists {len(nodes)} parts; an upload has at most {MAX_PARTS}")
    return tuple(_part(node) for node in nodes)


def _part(node: Node) -> ListedPart:
    number, etag = node.value("PartNumber"), node.value("ETag")
    if number is None or etag is None:
        raise malformed_xml("a Part needs PartNumber and ETag")
    if not (number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= MAX_PARTS):
        raise S3Error(
            "InvalidArgument",
            f"PartNumber must be an integer between 1 and {MAX_PARTS}, inclusive",
            {"ArgumentName": "PartNumber", "ArgumentValue": number},
        )
    given = [
        Checksum(algorithm, value)
        for element, algorithm in CHECKSUM_ELEMENTS.items()
        if (value := node.value(element))
    ]
    if len(given) > 1:
        raise malformed_xml(f"part {number} has more than one checksum")
    return ListedPart(int(number), etag.strip('"'), given[0] if given else None)


def read_location(body: bytes) -> str | None:
    """The LocationConstraint of CreateBucket; None for no body or no constraint."""
    if not body.strip():
        return None
    root = read(body, "CreateBucketConfiguration", "CreateBucketRequest")
    return root.value("LocationConstraint") or None


def _boolean(node: Node, name: str) -> bool:
    value = node.value(name)
    if value is None or value in _FALSE:
        return False
    if value in _TRUE:
        return True
    raise malformed_xml(f"{name} is {value!r}; it must be true or false")


_TRUE: Iterable[str] = ("true", "True", "TRUE", "1")
_FALSE: Iterable[str] = ("", "false", "False", "FALSE", "0")
