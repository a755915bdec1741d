"""What a refusal means in S3's words: one table of codes, one table of our own refusals.

Everything that the S3 side refuses becomes an `S3Error`: raised as one where only S3 knows the
case, translated from a `Refusal` of the domain otherwise. Codes, statuses and fields are those
of the S3 API reference (Error responses). Never decides anything; `dispatch` renders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mediaconvert import errors
from mediaconvert.api.s3.xml import Element, printable, render
from mediaconvert.sigv4.canonical import SignatureError

STATUS: Mapping[str, int] = {
    "AccessControlListNotSupported": 400,
    "AccessDenied": 403,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "BadRequest": 400,
    "BucketAlreadyExists": 409,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "ConditionalRequestConflict": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "ExpiredToken": 400,
    "IllegalLocationConstraintException": 400,
    "IncompleteBody": 400,
    "InsufficientStorage": 507,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidBucketState": 409,
    "InvalidChunkSizeError": 403,
    "InvalidDigest": 400,
    "InvalidEncryptionAlgorithmError": 400,
    "InvalidLocationConstraint": 400,
    "InvalidPart": 400,
    "InvalidPartNumber": 416,
    "InvalidPartOrder": 400,
    "InvalidPolicyDocument": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "InvalidSecurity": 403,
    "InvalidStorageClass": 400,
    "InvalidTag": 400,
    "InvalidToken": 400,
    "InvalidURI": 400,
    "KeyTooLongError": 400,
    "MalformedACLError": 400,
    "MalformedPOSTRequest": 400,
    "MalformedPolicy": 400,
    "MalformedTrailerError": 400,
    "MalformedXML": 400,
    "MaxMessageLengthExceeded": 400,
    "MaxPostPreDataLengthExceededError": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "MissingRequestBodyError": 400,
    "MissingSecurityHeader": 400,
    "NoSuchBucket": 404,
    "NoSuchBucketPolicy": 404,
    "NoSuchCORSConfiguration": 404,
    "NoSuchKey": 404,
    "NoSuchLifecycleConfiguration": 404,
    "NoSuchPublicAccessBlockConfiguration": 404,
    "NoSuchTagSet": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NoSuchWebsiteConfiguration": 404,
    "NotImplemented": 501,
    "NotModified": 304,
    "ObjectLockConfigurationNotFoundError": 404,
    "OperationAborted": 409,
    "OwnershipControlsNotFoundError": 404,
    "PermanentRedirect": 301,
    "PreconditionFailed": 412,
    "ReplicationConfigurationNotFoundError": 404,
    "RequestHeaderSectionTooLarge": 400,
    "RequestTimeTooSkewed": 403,
    "RequestTimeout": 400,
    "ServerSideEncryptionConfigurationNotFoundError": 404,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "TooManyBuckets": 400,
    "UnexpectedContent": 400,
    "UserKeyMustBeSpecified": 400,
    "XAmzContentSHA256Mismatch": 400,
}
"""Every code that we can answer, with its HTTP status."""

REFUSALS: Mapping[type[errors.Refusal], str] = {
    errors.InvalidRequest: "InvalidRequest",
    errors.UserExists: "OperationAborted",
    errors.InvalidLogin: "AccessDenied",
    errors.TooManyAttempts: "SlowDown",
    errors.RegistrationClosed: "AccessDenied",
    errors.NotAuthenticated: "AccessDenied",
    errors.CredentialNotFound: "InvalidRequest",
    errors.TooManyCredentials: "InvalidRequest",
    errors.InvalidBucketName: "InvalidBucketName",
    errors.BucketTaken: "BucketAlreadyExists",
    errors.BucketAlreadyOwned: "BucketAlreadyOwnedByYou",
    errors.BucketNotFound: "NoSuchBucket",
    errors.BucketForbidden: "AccessDenied",
    errors.BucketNotEmpty: "BucketNotEmpty",
    errors.TooManyBuckets: "TooManyBuckets",
    errors.ObjectNotFound: "NoSuchKey",
    errors.InvalidKey: "InvalidURI",
    errors.PreconditionFailed: "PreconditionFailed",
    errors.ConditionalConflict: "ConditionalRequestConflict",
    errors.ChecksumMismatch: "BadDigest",
    errors.IncompleteBody: "IncompleteBody",
    errors.BodyTooLarge: "EntityTooLarge",
    errors.UploadNotFound: "NoSuchUpload",
    errors.InvalidPart: "InvalidPart",
    errors.InvalidPartOrder: "InvalidPartOrder",
    errors.PartTooSmall: "EntityTooSmall",
    errors.UnknownPipeline: "InvalidArgument",
    errors.PipelineNotFound: "InvalidArgument",
    errors.PipelineNameTaken: "OperationAborted",
    errors.InvalidPipeline: "InvalidArgument",
    errors.JobNotFound: "InvalidArgument",
    errors.JobAlreadyEnded: "OperationAborted",
    errors.SourceGone: "OperationAborted",
    errors.BlobDamaged: "InternalError",
    errors.Unavailable: "ServiceUnavailable",
    errors.Overloaded: "SlowDown",
    errors.DamagedRecord: "InternalError",
    errors.CatalogDamaged: "ServiceUnavailable",
    # No code of S3's says it. 507 is not one that clients retry, and retrying cannot help.
    errors.StorageFull: "InsufficientStorage",
    errors.SlowClient: "RequestTimeout",
}
"""What each refusal of the domain is called on the S3 side; a test proves it complete."""

PAYLOAD_SHA256 = "x-amz-content-sha256"
"""`ChecksumMismatch.algorithm` of a body that is not what its signature covers."""


class S3Error(Exception):
    """A request that is answered with `<Error>`.

    `fields` are further elements of the body (`Key`, `BucketName`, `ArgumentName`, …) and
    `headers` further headers of the answer, both in order. An unknown code is a programming
    error (KeyError).
    """

    def __init__(
        self,
        code: str,
        message: str,
        fields: Mapping[str, str] | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.fields = dict(fields or {})
        self.headers = tuple(headers)
        self.status = STATUS[code]


def invalid_argument(name: str, value: str, message: str) -> S3Error:
    """`InvalidArgument` with the parameter or header that was wrong."""
    return S3Error("InvalidArgument", message, {"ArgumentName": name, "ArgumentValue": value})


def from_signature(error: SignatureError) -> S3Error:
    """A signature's refusal, which has S3's words already."""
    return S3Error(error.code, error.message, error.fields)


def from_refusal(refusal: errors.Refusal) -> S3Error:
    """The same refusal in S3's words."""
    code = next(REFUSALS[c] for c in type(refusal).__mro__ if c in REFUSALS)
    headers: list[tuple[str, str]] = []
    if isinstance(refusal, (errors.Unavailable, errors.TooManyAttempts)):
        headers.append(("retry-after", str(refusal.retry_after_seconds)))
    if isinstance(refusal, errors.ChecksumMismatch) and refusal.algorithm == PAYLOAD_SHA256:
        code = "XAmzContentSHA256Mismatch"
    if isinstance(refusal, errors.InvalidKey) and "longer than" in refusal.message:
        code = "KeyTooLongError"
    return S3Error(code, refusal.message, _fields(refusal), headers)


def _fields(refusal: errors.Refusal) -> dict[str, str]:
    """The elements that S3 puts beside Code and Message for this refusal."""
    match refusal:
        case errors.BucketNotFound(name=name) | errors.BucketTaken(name=name):
            return {"BucketName": name}
        case errors.BucketAlreadyOwned(name=name) | errors.InvalidBucketName(name=name):
            return {"BucketName": name}
        case errors.ObjectNotFound(key=key):
            return {"Key": key}
        case errors.UploadNotFound(upload_id=upload_id):
            return {"UploadId": upload_id}
        case errors.PreconditionFailed(condition=condition):
            return {"Condition": condition}
        case errors.PartTooSmall(number=number, size=size, minimum=minimum):
            return {
                "ProposedSize": str(size),
                "MinSizeAllowed": str(minimum),
                "PartNumber": str(number),
            }
        case errors.BodyTooLarge(size=size, limit=limit):
            return {"ProposedSize": str(size), "MaxSizeAllowed": str(limit)}
        case errors.UnknownPipeline(name=name):
            return {"ArgumentName": "x-amz-meta-pipeline", "ArgumentValue": name}
        case _:
            return {}


def render_error(error: S3Error, *, resource: str, request_id: str, host_id: str = "") -> bytes:
    """The XML body. `resource` is the request's path, as it was sent."""
    children = [
        Element("Code", error.code),
        Element("Message", printable(error.message)),
        *(Element(name, printable(value)) for name, value in error.fields.items()),
    ]
    if "Resource" not in error.fields:
        children.append(Element("Resource", printable(resource)))
    children += [Element("RequestId", request_id), Element("HostId", host_id)]
    return render(Element("Error", children), namespace=None)
