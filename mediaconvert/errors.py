"""Everything that can be refused or can fail, in the domain's words and without HTTP's.

Each error names the value that was wrong and says what would be right; `str(error)` is the
sentence that a user reads. What an error means on the wire stands in two tables and nowhere
else: `api/rest/problems.py` and `api/s3/errors.py`. `StartupError`s end the program with one
sentence; `JobError`s end (or retry) one job.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mediaconvert.model import FailureKind

_LISTED = 10
"""Names of a user's own that one sentence holds."""


def suggestion(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """`; did you mean 'x'?` where a known name is close, else the empty text. A `prefix` that all
    of them begin with is not compared: by it any two would look alike."""
    own = [each.removeprefix(prefix) for each in known]
    close = difflib.get_close_matches(name.removeprefix(prefix), own, n=1, cutoff=0.6)
    return f"; did you mean '{prefix}{close[0]}'?" if close else ""


@dataclass(frozen=True, slots=True)
class Detail:
    """One of several things that are wrong with one input."""

    path: str
    """Where: `steps[1].params.codec`."""
    message: str
    line: int | None = None
    """1-based line of the text, where there is a text."""


class MediaConvertError(Exception):
    """The root; never raised itself."""


# --- ends the program at start --------------------------------------------------------------


class StartupError(MediaConvertError):
    """The program cannot start; the text is one sentence with the remedy."""


class ConfigError(StartupError):
    """One or more settings are wrong."""


# --- ends a job -----------------------------------------------------------------------------


class JobError(MediaConvertError):
    """An attempt at a job failed. `kind` decides about a retry, `code` is stable."""

    def __init__(self, kind: FailureKind, code: str, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message
        self.log = tuple(log)


class MediaInputError(JobError):
    """The file is not what the pipeline needs. Never retried."""

    def __init__(self, code: str, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(FailureKind.INPUT, code, message, log)


class LimitExceeded(JobError):
    """A child went over a limit (`limit_time`, `limit_memory`, `limit_output`, …)."""

    def __init__(self, code: str, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(FailureKind.LIMIT, code, message, log)


class ToolCrashed(JobError):
    """A tool died by a signal, or the image server did. Retried at most twice."""

    def __init__(self, message: str, log: Sequence[str] = (), code: str = "tool_crashed") -> None:
        super().__init__(FailureKind.CRASH, code, message, log)


class InfrastructureFailure(JobError):
    """The store, the disk or the sandbox failed, not the file. Retried with backoff."""

    def __init__(self, code: str, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(FailureKind.INFRA, code, message, log)


# --- refusals: a client's request cannot be done ----------------------------------------------


class Refusal(MediaConvertError):
    """A request that is answered with an error. Every concrete class stands in both tables."""

    code = "refused"
    """Stable, snake_case: the `code` of REST errors."""

    def __init__(self, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)


class InvalidRequest(Refusal):
    """A field is missing, of a wrong type or out of its range."""

    code = "invalid_request"


class UserExists(Refusal):
    code = "user_exists"

    def __init__(self) -> None:
        super().__init__("User already exists")


class InvalidLogin(Refusal):
    code = "invalid_credentials"

    def __init__(self) -> None:
        super().__init__("Invalid credentials")


class TooManyAttempts(Refusal):
    code = "too_many_attempts"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many failed attempts; try again in {retry_after_seconds} seconds")
        self.retry_after_seconds = retry_after_seconds


class RegistrationClosed(Refusal):
    code = "registration_closed"

    def __init__(self) -> None:
        super().__init__("registration is closed here; ask the operator for an account")


class NotAuthenticated(Refusal):
    """No token, or one that is malformed, expired or revoked."""

    code = "not_authenticated"


class CredentialNotFound(Refusal):
    code = "credential_not_found"

    def __init__(self, credential_id: int | str) -> None:
        super().__init__(f"S3 credential {credential_id} does not exist")


class TooManyCredentials(Refusal):
    code = "too_many_credentials"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"you have {limit} active S3 credentials, which is the limit; revoke one first"
        )


class InvalidBucketName(Refusal):
    code = "invalid_bucket_name"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"bucket name {name!r} is not valid: {reason}")
        self.name = name


class BucketTaken(Refusal):
    """Somebody else's bucket has the name."""

    code = "bucket_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"bucket name '{name}' is taken; bucket names are global")
        self.name = name


class BucketAlreadyOwned(Refusal):
    code = "bucket_already_owned"

    def __init__(self, name: str) -> None:
        super().__init__(f"bucket '{name}' exists already and is yours")
        self.name = name


class BucketNotFound(Refusal):
    code = "bucket_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"bucket '{name}' does not exist")
        self.name = name


class BucketForbidden(Refusal):
    """The bucket exists and belongs to somebody else."""

    code = "access_denied"

    def __init__(self, name: str) -> None:
        super().__init__(f"access to bucket '{name}' is denied")
        self.name = name


class BucketNotEmpty(Refusal):
    code = "bucket_not_empty"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"bucket '{name}' still holds objects or multipart uploads; delete them first"
        )
        self.name = name


class TooManyBuckets(Refusal):
    code = "too_many_buckets"

    def __init__(self, limit: int) -> None:
        super().__init__(f"you have {limit} buckets, which is the limit")


class ObjectNotFound(Refusal):
    code = "object_not_found"

    def __init__(self, key: str) -> None:
        super().__init__(f"key '{key}' does not exist")
        self.key = key


class InvalidKey(Refusal):
    """A key that is empty, over 1,024 bytes of UTF-8, or not UTF-8."""

    code = "invalid_key"


class PreconditionFailed(Refusal):
    code = "precondition_failed"

    def __init__(self, condition: str) -> None:
        super().__init__(f"the condition {condition} does not hold")
        self.condition = condition


class ConditionalConflict(Refusal):
    """Another conditional write of the same key won while this one was under way."""

    code = "conditional_conflict"


class ChecksumMismatch(Refusal):
    """The body is not what the client declared. Nothing was stored."""

    code = "checksum_mismatch"

    def __init__(self, algorithm: str, declared: str, computed: str) -> None:
        super().__init__(f"the {algorithm} you declared is {declared}, the body's is {computed}")
        self.algorithm = algorithm


class IncompleteBody(Refusal):
    code = "incomplete_body"

    def __init__(self, declared: int, received: int) -> None:
        super().__init__(f"the body ended after {received} bytes of the declared {declared}")


class BodyTooLarge(Refusal):
    code = "body_too_large"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the body has {size} bytes; the limit is {limit}")
        self.size = size
        self.limit = limit


class UploadNotFound(Refusal):
    code = "upload_not_found"

    def __init__(self, upload_id: str) -> None:
        super().__init__(
            f"multipart upload '{upload_id}' does not exist; it was completed or aborted, "
            "or the id is wrong"
        )
        self.upload_id = upload_id


class InvalidPart(Refusal):
    """A part named in CompleteMultipartUpload is missing or has another ETag or checksum."""

    code = "invalid_part"


class InvalidPartOrder(Refusal):
    code = "invalid_part_order"

    def __init__(self) -> None:
        super().__init__("the parts must be listed in ascending order, each once")


class PartTooSmall(Refusal):
    code = "part_too_small"

    def __init__(self, number: int, size: int, minimum: int) -> None:
        super().__init__(f"part {number} has {size} bytes; every part but the last needs {minimum}")
        self.number, self.size, self.minimum = number, size, minimum


class UnknownPipeline(Refusal):
    """An upload names a pipeline that its user does not have."""

    code = "unknown_pipeline"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        hint = suggestion(name, known)
        if not hint:
            listed = ", ".join(f"'{k}'" for k in sorted(known)[:_LISTED])
            if len(known) > _LISTED:
                listed += f" and {len(known) - _LISTED:,} more"
            hint = f"; yours are {listed}" if listed else "; you have saved none yet"
        super().__init__(f"pipeline '{name}' does not exist{hint}")
        self.name = name


class PipelineNotFound(Refusal):
    code = "pipeline_not_found"

    def __init__(self, pipeline_id: int | str) -> None:
        super().__init__(f"pipeline {pipeline_id} does not exist")


class PipelineNameTaken(Refusal):
    code = "pipeline_name_taken"

    def __init__(self, name: str) -> None:
        super().__init__(f"you have a pipeline named '{name}' already; replace it with PUT")


class InvalidPipeline(Refusal):
    """A pipeline text with one or more problems, all in `details`."""

    code = "invalid_pipeline"

    def __init__(self, details: Sequence[Detail]) -> None:
        first = details[0]
        where = f"{first.path} (line {first.line})" if first.line else first.path
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        super().__init__(f"the pipeline is not valid: {where}: {first.message}{more}", details)


class JobNotFound(Refusal):
    code = "job_not_found"

    def __init__(self, job_id: int | str) -> None:
        super().__init__(f"job {job_id} does not exist")


class JobAlreadyEnded(Refusal):
    code = "job_already_ended"

    def __init__(self, job_id: int, status: str) -> None:
        super().__init__(f"job {job_id} has already ended: it is {status}")


class SourceGone(Refusal):
    code = "source_gone"

    def __init__(self, job_id: int) -> None:
        super().__init__(f"the file that job {job_id} ran on is no longer kept; upload it again")


class BlobDamaged(Refusal):
    """Stored bytes are missing, or are not those that were stored. Trying again cannot help."""

    code = "object_damaged"

    def __init__(
        self, blob_id: str, finding: str, *, is_missing: bool = False, is_known: bool = False
    ) -> None:
        """`finding` is for the operator; `is_missing`: the store has no such blob at all, which
        is also what a reader finds who comes too late for an object that was deleted;
        `is_known`: it has been reported and marked already."""
        super().__init__(
            "the stored bytes of this object are damaged; upload it again, or ask the operator "
            "of this service to restore it from a backup"
        )
        self.blob_id = blob_id
        self.finding = finding
        self.is_missing = is_missing
        self.is_known = is_known


class Unavailable(Refusal):
    """A dependency is away or overloaded; the same request may succeed later."""

    code = "unavailable"

    def __init__(
        self,
        message: str,
        retry_after_seconds: int = 1,
        *,
        is_lasting: bool = False,
        reason: str = "",
    ) -> None:
        """`is_lasting`: it answers, and refuses until its operator mends something. `reason`:
        what its operator is told instead of the message; it may name hosts and users."""
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds
        self.is_lasting = is_lasting
        self.reason = reason or message


class Overloaded(Unavailable):
    """A limit on simultaneous work is reached; the same request succeeds a little later."""

    code = "overloaded"


class StorageFull(Unavailable):
    """The disk or the quota is used up. Of those who wait for what is away, nobody has to tell
    this apart: it passes as well."""

    code = "storage_full"

    def __init__(self) -> None:
        super().__init__("the server's disk is full; nothing was stored", 60)


class DamagedRecord(Unavailable):
    """One record of the catalog cannot be read. Its request fails; others do not. Code that
    waits for an unavailable catalog handles it as one."""

    code = "record_damaged"

    def __init__(self, table: str, record_id: str, why: str) -> None:
        """`why` names columns, never values: it is logged."""
        super().__init__(
            "the record of what you asked for is damaged in the service's catalog; its operator "
            "finds it in the log and can restore it from a backup",
            60,
            is_lasting=True,
            reason=f"the record {record_id} of {table} is damaged: {why}",
        )
        self.table = table
        self.record_id = record_id
        self.why = why


class CatalogDamaged(Unavailable):
    """The catalog's file itself is damaged."""

    code = "catalog_damaged"

    def __init__(self, reason: str) -> None:
        """`reason` is the operator's sentence: the file, and how to restore it."""
        super().__init__(
            "the service's catalog is damaged; its operator has to restore it from a backup",
            60,
            is_lasting=True,
            reason=reason,
        )


class SlowClient(Refusal):
    """The client sent or read slower than the minimum rate, or stopped."""

    code = "request_timeout"
