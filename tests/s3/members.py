"""Every input member of the S3 model for the operations that have a handler, classified.

`HONOURED` members have an effect or set a condition; `checks.py` shows it for each. `REFUSED`
members are refused with a message and without effect. `HARMLESS` members are accepted without
effect; `REASONS` says why that loses nothing. A member that is in none of them fails
`test_every_member.py`. Members of documents are written with their path.
"""

from __future__ import annotations

from collections.abc import Mapping

_HEADERS = (
    "CacheControl ContentDisposition ContentEncoding ContentLanguage ContentType Expires Metadata "
    "StorageClass"
)
_CHECKSUMS = "ChecksumCRC32 ChecksumCRC32C ChecksumCRC64NVME ChecksumSHA1 ChecksumSHA256"
_UNKNOWN_CHECKSUMS = "ChecksumSHA512 ChecksumMD5 ChecksumXXHASH64 ChecksumXXHASH3 ChecksumXXHASH128"
_SOURCE = (
    "CopySource CopySourceIfMatch CopySourceIfModifiedSince CopySourceIfNoneMatch "
    "CopySourceIfUnmodifiedSince ExpectedSourceBucketOwner"
)
_READ = (
    "IfMatch IfModifiedSince IfNoneMatch IfUnmodifiedSince Range ResponseCacheControl "
    "ResponseContentDisposition ResponseContentEncoding ResponseContentLanguage "
    "ResponseContentType ResponseExpires VersionId PartNumber ChecksumMode"
)
_PART = "MultipartUpload.Parts."
_BUCKET = "Bucket ExpectedBucketOwner"
_OBJECT = f"{_BUCKET} Key"
_UPLOAD = f"{_OBJECT} UploadId"

HONOURED: Mapping[str, str] = {
    "ListBuckets": "MaxBuckets ContinuationToken Prefix BucketRegion",
    "CreateBucket": "Bucket CreateBucketConfiguration.LocationConstraint",
    "DeleteBucket": _BUCKET,
    "DeleteObjects": (
        f"{_BUCKET} ChecksumAlgorithm Delete.Quiet Delete.Objects.Key Delete.Objects.VersionId "
        "Delete.Objects.ETag Delete.Objects.LastModifiedTime Delete.Objects.Size"
    ),
    "GetBucketAcl": _BUCKET,
    "GetBucketLocation": _BUCKET,
    "GetBucketVersioning": _BUCKET,
    "HeadBucket": _BUCKET,
    "ListMultipartUploads": (
        f"{_BUCKET} Delimiter EncodingType KeyMarker MaxUploads Prefix UploadIdMarker"
    ),
    "ListObjects": f"{_BUCKET} Delimiter EncodingType Marker MaxKeys Prefix",
    "ListObjectsV2": (
        f"{_BUCKET} Delimiter EncodingType MaxKeys Prefix ContinuationToken FetchOwner StartAfter"
    ),
    "AbortMultipartUpload": f"{_UPLOAD} IfMatchInitiatedTime",
    "CompleteMultipartUpload": (
        f"{_UPLOAD} {_CHECKSUMS} ChecksumType MpuObjectSize IfMatch IfNoneMatch "
        f"{_PART}PartNumber {_PART}ETag " + " ".join(_PART + name for name in _CHECKSUMS.split())
    ),
    "CopyObject": (
        f"{_OBJECT} {_HEADERS} {_SOURCE} ChecksumAlgorithm IfMatch IfNoneMatch MetadataDirective "
        "TaggingDirective"
    ),
    "CreateMultipartUpload": f"{_OBJECT} {_HEADERS} ChecksumAlgorithm ChecksumType",
    "DeleteObject": f"{_OBJECT} VersionId IfMatch IfMatchLastModifiedTime IfMatchSize",
    "GetObject": f"{_OBJECT} {_READ}",
    "GetObjectAcl": f"{_OBJECT} VersionId",
    "GetObjectAttributes": f"{_OBJECT} VersionId MaxParts PartNumberMarker ObjectAttributes",
    "GetObjectTagging": f"{_OBJECT} VersionId",
    "HeadObject": f"{_OBJECT} {_READ}",
    "ListParts": f"{_UPLOAD} MaxParts PartNumberMarker",
    "PutObject": (
        f"{_OBJECT} {_HEADERS} {_CHECKSUMS} Body ContentLength ContentMD5 ChecksumAlgorithm "
        "IfMatch IfNoneMatch"
    ),
    "UploadPart": (
        f"{_UPLOAD} {_CHECKSUMS} Body ContentLength ContentMD5 ChecksumAlgorithm PartNumber"
    ),
    "UploadPartCopy": f"{_UPLOAD} {_SOURCE} CopySourceRange PartNumber",
}

_GRANTS = "ACL GrantFullControl GrantRead GrantReadACP GrantWriteACP"
_KEY = "SSECustomerAlgorithm SSECustomerKey SSECustomerKeyMD5"
_SOURCE_KEY = " ".join(f"CopySource{name}" for name in _KEY.split())
_PROTECTION = (
    f"{_GRANTS} {_KEY} ServerSideEncryption SSEKMSKeyId SSEKMSEncryptionContext BucketKeyEnabled "
    "Tagging WebsiteRedirectLocation ObjectLockMode ObjectLockRetainUntilDate "
    "ObjectLockLegalHoldStatus ObjectLockEventHold ObjectLockEventHoldDurationDays "
    "ObjectLockEventHoldDurationYears"
)
_CONFIGURATION = "CreateBucketConfiguration."

REFUSED: Mapping[str, str] = {
    "CreateBucket": (
        f"{_GRANTS} GrantWrite ObjectLockEnabledForBucket BucketNamespace "
        f"{_CONFIGURATION}Location.Type {_CONFIGURATION}Location.Name "
        f"{_CONFIGURATION}Bucket.DataRedundancy {_CONFIGURATION}Bucket.Type "
        f"{_CONFIGURATION}Tags.Key {_CONFIGURATION}Tags.Value"
    ),
    "DeleteObjects": "MFA BypassGovernanceRetention",
    "CompleteMultipartUpload": (
        f"{_KEY} {_UNKNOWN_CHECKSUMS} "
        + " ".join(_PART + name for name in _UNKNOWN_CHECKSUMS.split())
    ),
    "CopyObject": f"{_PROTECTION} {_SOURCE_KEY}",
    "CreateMultipartUpload": _PROTECTION,
    "DeleteObject": "MFA BypassGovernanceRetention",
    "GetObject": _KEY,
    "GetObjectAttributes": _KEY,
    "HeadObject": _KEY,
    "ListParts": _KEY,
    "PutObject": f"{_PROTECTION} {_UNKNOWN_CHECKSUMS} WriteOffsetBytes",
    "UploadPart": f"{_KEY} {_UNKNOWN_CHECKSUMS}",
    "UploadPartCopy": f"{_KEY} {_SOURCE_KEY}",
}

HARMLESS: Mapping[str, str] = {
    "CreateBucket": "ObjectOwnership",
    "DeleteObjects": "RequestPayer",
    "ListMultipartUploads": "RequestPayer",
    "ListObjects": "RequestPayer OptionalObjectAttributes",
    "ListObjectsV2": "RequestPayer OptionalObjectAttributes",
    "AbortMultipartUpload": "RequestPayer",
    "CompleteMultipartUpload": "RequestPayer",
    "CopyObject": "RequestPayer AnnotationDirective",
    "CreateMultipartUpload": "RequestPayer",
    "DeleteObject": "RequestPayer",
    "GetObject": "RequestPayer",
    "GetObjectAcl": "RequestPayer",
    "GetObjectAttributes": "RequestPayer",
    "GetObjectTagging": "RequestPayer",
    "HeadObject": "RequestPayer",
    "ListParts": "RequestPayer",
    "PutObject": "RequestPayer",
    "UploadPart": "RequestPayer",
    "UploadPartCopy": "RequestPayer",
}

REASONS: Mapping[str, str] = {
    "AnnotationDirective": "no object has annotations, so either directive holds",
    "ObjectOwnership": "all objects belong to the bucket's owner; ACLs are refused one by one",
    "OptionalObjectAttributes": "asks for the state of restores; nothing is ever archived",
    "RequestPayer": "nobody is charged for requests",
}


def pairs(table: Mapping[str, str]) -> list[tuple[str, str]]:
    """(operation, member) of a table."""
    return [(operation, name) for operation, names in table.items() for name in names.split()]
