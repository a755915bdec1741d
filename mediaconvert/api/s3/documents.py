"""The request documents of the S3 API as typed values: Delete, CompleteMultipartUpload, ….

Called by the verbs with a body that was read whole (it is bounded by `xml.MAX_BODY_BYTES`).
Whatever is missing, doubled or out of range is MalformedXML, as S3 says it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mediaconvert.api.s3.errors import S3Error, invalid_argument
from mediaconvert.api.s3.numbers import whole_number
from mediaconvert.api.s3.write_conditions import parse_size, parse_time
from mediaconvert.api.s3.xml import MalformedXml, Node, parse
from mediaconvert.digests import SIZES
from mediaconvert.model import Checksum, Conditions
from mediaconvert.multipart import MAX_PARTS, ListedPart

MAX_DELETES = 1000
"""Keys of one DeleteObjects (S3 API: DeleteObjects)."""

# As the elements are called; x-amz-checksum-algorithm has them in the same words.
CHECKSUM_ELEMENTS = {f"Checksum{name}": name for name in SIZES}


@dataclass(frozen=True, slots=True)
class DeleteEntry:
    key: str
    version_id: str | None = None
    conditions: Conditions = field(default_factory=Conditions)
    """The object is deleted only while all of these hold."""
    error: S3Error | None = None
    """Why the entry cannot be carried out: one of its conditions is malformed."""


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


def check_children(node: Node, *once: str, many: str | None = None) -> None:
    """Raises MalformedXML unless the element's children are some of `once`, each at most once,
    and any number of `many`. An element that we do not know may be a condition."""
    seen = set()
    for child in node.children:
        if child.name == many:
            continue
        if child.name not in once:
            raise malformed_xml(f"{node.name} has an unknown element {child.name}")
        if child.name in seen:
            raise malformed_xml(f"{node.name} has more than one {child.name}")
        seen.add(child.name)


def read_delete(body: bytes) -> DeleteRequest:
    """The body of DeleteObjects: 1 to 1,000 keys, byte-exact. Keys are not checked against
    the rules of keys: one that cannot exist is simply not there."""
    root = read(body, "Delete")
    check_children(root, "Quiet", many="Object")
    nodes = root.all("Object")
    if not 1 <= len(nodes) <= MAX_DELETES:
        raise malformed_xml(f"it lists {len(nodes)} objects; 1 to {MAX_DELETES} can be deleted")
    entries = tuple(_delete_entry(node) for node in nodes)
    return DeleteRequest(entries, _boolean(root, "Quiet"))


def _delete_entry(node: Node) -> DeleteEntry:
    check_children(node, "Key", "VersionId", "ETag", "Size", "LastModifiedTime")
    key = node.child("Key")
    if key is None or not key.text:
        raise malformed_xml("an Object has no Key")
    version_id = node.value("VersionId")
    try:
        return DeleteEntry(key.text, version_id, _delete_conditions(node))
    except S3Error as error:
        return DeleteEntry(key.text, version_id, error=error)


def _delete_conditions(node: Node) -> Conditions:
    """Raises S3Error InvalidArgument for an empty or malformed condition."""
    etag = node.value("ETag")
    if etag is not None and not etag.strip('"'):
        raise invalid_argument("ETag", etag, f"ETag is {etag!r}; it must be an ETag or *")
    return Conditions(
        if_match=None if etag is None else (etag.strip('"'),),
        if_match_size=parse_size("Size", node.value("Size")),
        if_match_modified_us=parse_time("LastModifiedTime", node.value("LastModifiedTime")),
    )


def read_complete(body: bytes) -> tuple[ListedPart, ...]:
    """The body of CompleteMultipartUpload. Order and existence are `multipart.assemble`'s to
    judge; an empty list is MalformedXML here."""
    root = read(body, "CompleteMultipartUpload", "CompleteMultipartUploadResult")
    check_children(root, many="Part")
    nodes = root.all("Part")
    if not nodes:
        raise malformed_xml("it lists no part")
    if len(nodes) > MAX_PARTS:
        raise malformed_xml(f"it lists {len(nodes)} parts; an upload has at most {MAX_PARTS}")
    return tuple(_part(node) for node in nodes)


def _part(node: Node) -> ListedPart:
    # Programs pass on what ListParts has returned: Size is compared, LastModified is ignored.
    check_children(node, "PartNumber", "ETag", "Size", "LastModified", *CHECKSUM_ELEMENTS)
    number, etag = node.value("PartNumber"), node.value("ETag")
    if number is None or etag is None:
        raise malformed_xml("a Part needs PartNumber and ETag")
    parsed = whole_number(number, minimum=1, maximum=MAX_PARTS)
    if parsed is None:
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
    size = parse_size("Size", node.value("Size") or None)
    return ListedPart(parsed, etag.strip('"'), given[0] if given else None, size)


def read_location(body: bytes) -> str | None:
    """The LocationConstraint of CreateBucket; None for no body or no constraint. Raises
    NotImplemented for directory buckets and for tags, which would be lost."""
    if not body.strip():
        return None
    root = read(body, "CreateBucketConfiguration", "CreateBucketRequest")
    check_children(root, "LocationConstraint", "Location", "Bucket", "Tags")
    for name in ("Location", "Bucket", "Tags"):
        node = root.child(name)
        if node is not None and (node.children or node.text.strip()):
            raise S3Error(
                "NotImplemented",
                f"CreateBucketConfiguration with {name} is not implemented; leave it out",
            )
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
