"""How each honoured member shows that it is: a false value is refused, or an effect is seen."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mediaconvert.digests import SIZES
from tests.s3.stocked import FUTURE, PAST, Params, Stocked


@dataclass(frozen=True)
class Fails:
    """With this value the call is refused with the status, and nothing has changed."""

    value: object
    status: int
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Answers:
    """With this value the call succeeds, and its answer meets the predicate."""

    value: object
    holds: Callable[[Params, Stocked], object]
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Stores:
    """HEAD of the new object shows this value."""

    value: object
    extra: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class FailsForKey:
    """The call succeeds, the entry of the document fails, and nothing has changed."""

    value: object
    code: str


Check = Fails | Answers | Stores | FailsForKey


def _keys(answer: Params) -> list[str]:
    return [listed["Key"] for listed in answer.get("Contents", [])]


def _shows(name: str, value: object) -> Answers:
    return Answers(value, lambda answer, _: answer[name] == value)


def _wrong(algorithm: str) -> Fails:
    return Fails(b64encode(b"\1" * SIZES[algorithm]).decode(), 400)


_NO_KEY = "no-such-key"
_MARKED: Mapping[str, object] = {"KeyMarker": "k"}

# For every operation that has the member, unless EXACT has it.
GENERAL: Mapping[str, Check] = {
    **{f"Checksum{name}": _wrong(name) for name in SIZES},
    "Bucket": Fails("no-such-bucket-at-all", 404),
    "CacheControl": Stores("no-store"),
    "ChecksumMode": Answers("ENABLED", lambda a, _: a["ChecksumCRC32"]),
    "ContentDisposition": Stores("inline"),
    "ContentEncoding": Stores("gzip"),
    "ContentLanguage": Stores("de"),
    "ContentLength": Fails((5 << 30) + 1, 400),
    "ContentMD5": Fails(b64encode(bytes(16)).decode(), 400),
    "ContentType": Stores("video/mp4"),
    "ContinuationToken": Fails("not one of ours", 400),
    "CopySource": Fails("no-such-bucket-at-all/k", 404),
    "CopySourceIfMatch": Fails('"other"', 412),
    "CopySourceIfModifiedSince": Fails(FUTURE, 412),
    "CopySourceIfNoneMatch": Fails("*", 412),
    "CopySourceIfUnmodifiedSince": Fails(PAST, 412),
    "Delimiter": Answers("/", lambda a, _: a["CommonPrefixes"] == [{"Prefix": "d/"}]),
    "EncodingType": _shows("EncodingType", "url"),
    "ExpectedBucketOwner": Fails("123456789012", 403),
    "ExpectedSourceBucketOwner": Fails("123456789012", 403),
    "Expires": Stores(FUTURE),
    "IfMatch": Fails('"other"', 412),
    "IfModifiedSince": Fails(FUTURE, 304),
    "IfNoneMatch": Fails("*", 412),
    "IfUnmodifiedSince": Fails(PAST, 412),
    "Key": Fails(_NO_KEY, 404),
    "MaxKeys": Answers(1, lambda a, _: _keys(a) == ["d/e"] and a["IsTruncated"]),
    "Metadata": Stores({"new": "2"}),
    "PartNumber": Fails(0, 400),
    "Prefix": Answers("k2", lambda a, _: _keys(a) == ["k2"]),
    "Range": Fails("bytes=5-", 416),
    "ResponseCacheControl": _shows("CacheControl", "no-store"),
    "ResponseContentDisposition": _shows("ContentDisposition", "inline"),
    "ResponseContentEncoding": _shows("ContentEncoding", "gzip"),
    "ResponseContentLanguage": _shows("ContentLanguage", "de"),
    "ResponseContentType": _shows("ContentType", "video/mp4"),
    "ResponseExpires": Answers(FUTURE, lambda a, _: a["Expires"] == FUTURE),
    "StorageClass": Stores("GLACIER"),
    "UploadId": Fails("no-such-upload", 404),
    "VersionId": Fails("other", 400),
}

_REPLACE: Mapping[str, object] = {"MetadataDirective": "REPLACE"}
_PARTS = "CompleteMultipartUpload.MultipartUpload.Parts."
_ENTRY = "DeleteObjects.Delete.Objects."

EXACT: Mapping[str, Check] = {
    "AbortMultipartUpload.IfMatchInitiatedTime": Fails(PAST, 412),
    "CompleteMultipartUpload.ChecksumType": Fails("MAYBE", 400),
    "CompleteMultipartUpload.MpuObjectSize": Fails(6, 400),
    **{_PARTS + f"Checksum{name}": _wrong(name) for name in SIZES},
    f"{_PARTS}ETag": Fails("other", 400),
    f"{_PARTS}PartNumber": Fails(2, 400),
    **{
        f"CopyObject.{name}": Stores(check.value, _REPLACE)
        for name, check in GENERAL.items()
        if isinstance(check, Stores) and name != "StorageClass"
    },
    "CopyObject.ChecksumAlgorithm": Answers(
        "SHA256", lambda a, _: a["CopyObjectResult"]["ChecksumSHA256"]
    ),
    "CopyObject.Key": Answers("new", lambda _, at: at.read("new") == b"hello"),
    "CopyObject.MetadataDirective": Fails("MAYBE", 400),
    "CopyObject.TaggingDirective": Fails("MAYBE", 400),
    "CreateBucket.Bucket": Fails("Not_A_Name", 400),
    "CreateBucket.CreateBucketConfiguration.LocationConstraint": Answers(
        "eu-west-9", lambda _, at: at.region(f"{at.bucket}-new") == "eu-west-9"
    ),
    "CreateMultipartUpload.ChecksumAlgorithm": _shows("ChecksumAlgorithm", "SHA256"),
    "CreateMultipartUpload.ChecksumType": Fails("FULL_OBJECT", 400, {"ChecksumAlgorithm": "SHA1"}),
    "CreateMultipartUpload.Key": _shows("Key", "new"),
    "DeleteObject.IfMatchLastModifiedTime": Fails(PAST, 412),
    "DeleteObject.IfMatchSize": Fails(4, 412),
    "DeleteObject.Key": Answers("k2", lambda _, at: at.keys() == ["d/e", "k"]),
    "DeleteObjects.ChecksumAlgorithm": Answers("SHA256", lambda _, at: at.keys() == ["d/e", "k2"]),
    "DeleteObjects.Delete.Quiet": Answers(True, lambda a, _: "Deleted" not in a),
    f"{_ENTRY}ETag": FailsForKey("other", "PreconditionFailed"),
    f"{_ENTRY}Key": Answers("k2", lambda _, at: at.keys() == ["d/e", "k"]),
    f"{_ENTRY}LastModifiedTime": FailsForKey(PAST, "PreconditionFailed"),
    f"{_ENTRY}Size": FailsForKey(4, "PreconditionFailed"),
    f"{_ENTRY}VersionId": FailsForKey("other", "NoSuchVersion"),
    "GetObject.IfNoneMatch": Fails("*", 304),
    "GetObject.PartNumber": Fails(2, 416),
    "GetObjectAttributes.MaxParts": Fails(-1, 400),
    "GetObjectAttributes.ObjectAttributes": Answers(
        ["ETag"], lambda a, _: "ETag" in a and "ObjectSize" not in a
    ),
    "GetObjectAttributes.PartNumberMarker": Fails(-1, 400),
    "HeadObject.IfNoneMatch": Fails("*", 304),
    "HeadObject.PartNumber": Fails(2, 416),
    "ListBuckets.BucketRegion": Answers("eu-west-9", lambda a, _: not a["Buckets"]),
    "ListBuckets.MaxBuckets": Answers(1, lambda a, _: len(a["Buckets"]) == 1),
    "ListBuckets.Prefix": Answers("nothing", lambda a, _: not a["Buckets"]),
    "ListMultipartUploads.Delimiter": _shows("Delimiter", "/"),
    "ListMultipartUploads.KeyMarker": Answers("k", lambda a, _: "Uploads" not in a),
    "ListMultipartUploads.MaxUploads": Answers(0, lambda a, _: "Uploads" not in a),
    "ListMultipartUploads.Prefix": Answers("k2", lambda a, _: "Uploads" not in a),
    "ListMultipartUploads.UploadIdMarker": Answers(
        "0", lambda a, at: a["Uploads"][0]["UploadId"] == at.upload_id, _MARKED
    ),
    "ListObjects.Marker": Answers("k", lambda a, _: _keys(a) == ["k2"]),
    "ListObjectsV2.FetchOwner": Answers(True, lambda a, _: a["Contents"][0]["Owner"]),
    "ListObjectsV2.StartAfter": Answers("k", lambda a, _: _keys(a) == ["k2"]),
    "ListParts.MaxParts": Answers(0, lambda a, _: "Parts" not in a),
    "ListParts.PartNumberMarker": Answers(1, lambda a, _: "Parts" not in a),
    "PutObject.Body": Answers(b"other", lambda _, at: at.read("k") == b"other"),
    "PutObject.ChecksumAlgorithm": Answers("SHA256", lambda a, _: a["ChecksumSHA256"]),
    "PutObject.Key": Answers("new", lambda _, at: at.read("new") == b"12345"),
    "UploadPart.Body": Answers(b"", lambda a, _: "d41d8cd98f00b204e9800998ecf8427e" in a["ETag"]),
    "UploadPart.ChecksumAlgorithm": Answers("SHA256", lambda a, _: a["ChecksumSHA256"]),
    "UploadPartCopy.CopySourceRange": Fails("bytes=0-5", 400),
}


def check_of(operation: str, path: str) -> Check:
    """KeyError for a member that nobody has written a check for."""
    exact = EXACT.get(f"{operation}.{path}")
    return GENERAL[path] if exact is None else exact


def run(check: Check, at: Stocked, operation: str, path: str) -> None:
    """Raises AssertionError unless the member is honoured."""
    params: dict[str, Any] = at.with_member(operation, path, check.value)
    match check:
        case Fails():
            before = at.state()
            status, _, _ = at.refusal(operation, params | dict(check.extra))
            assert status == check.status
            assert at.state() == before
        case FailsForKey():
            before = at.state()
            (error,) = at.call(operation, params)["Errors"]
            assert error["Code"] == check.code
            assert at.state() == before
        case Answers():
            assert check.holds(at.call(operation, params | dict(check.extra)), at)
        case Stores():
            head = at.stored(operation, params | dict(check.extra))
            assert head[path] == check.value
