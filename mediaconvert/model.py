"""The values that pass between the rooms: users, buckets, objects, pipelines, jobs.

Frozen, without behaviour beyond small derived properties, without I/O, and with no word of
HTTP or SQL. Times are integers: microseconds since 1970-01-01 UTC (suffix `_us`). Sizes are
bytes (suffix `_bytes` or plain `size`, which is always bytes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

UserId = NewType("UserId", int)
CredentialId = NewType("CredentialId", int)
ObjectId = NewType("ObjectId", int)
"""One stored version of one key. Overwriting a key makes a new id."""
JobId = NewType("JobId", int)
PipelineId = NewType("PipelineId", int)
VersionId = NewType("VersionId", int)
"""Row id of one immutable pipeline text (not an S3 version id)."""
BlobId = NewType("BlobId", str)
"""Random name of immutable bytes in the blob store: 32 lower-case hex digits."""
LeaseToken = NewType("LeaseToken", str)


# --- users and credentials -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class User:
    id: UserId
    email: str
    password_hash: str = field(repr=False)
    token_version: int
    """Part of every JWT; raising it ends all tokens of the user at once."""
    is_disabled: bool
    created_at_us: int


@dataclass(frozen=True, slots=True)
class Credential:
    """An S3 key pair as its owner sees it; the secret is shown once and never listed."""

    id: CredentialId
    user_id: UserId
    access_key: str
    bucket_name: str
    is_active: bool
    created_at_us: int


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What checking a signature needs, found by access key (active or not)."""

    credential_id: CredentialId
    user_id: UserId
    access_key: str
    sealed_secret: bytes = field(repr=False)
    is_active: bool
    """False when the credential is revoked or its user is disabled."""
    owner_email: str


# --- buckets and objects -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BucketRef:
    """A bucket as one caller names it. Every catalog call resolves it together with the
    ownership, in the same transaction: there is no way to reach a bucket without saying for
    whom."""

    user_id: UserId
    name: str


@dataclass(frozen=True, slots=True)
class Bucket:
    id: int
    name: str
    owner_id: UserId
    region: str
    created_at_us: int


BLOCK_BYTES = 1 << 20
"""A blob is verified in blocks of this size. Stored digests depend on it: never change it."""


@dataclass(frozen=True, slots=True)
class BlobDigest:
    """What a blob's bytes are verified by when they are read."""

    size: int
    """Of the whole blob."""
    blocks: bytes
    """CRC64NVME of each block of BLOCK_BYTES, the last one shorter; 8 bytes each, big-endian."""

    def block(self, index: int) -> bytes:
        """The digest of one block."""
        return self.blocks[8 * index : 8 * index + 8]


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of bytes inside one blob. An object is its segments, one after another."""

    blob_id: BlobId
    offset: int
    size: int
    digest: BlobDigest | None = field(default=None, compare=False, repr=False)
    """The blob's digest where it is at hand. On a commit: that of a new blob, to be stored."""


@dataclass(frozen=True, slots=True)
class BlobRecord:
    """What the catalog knows about one blob that an object or a part refers to."""

    blob_id: BlobId
    size: int
    """The bytes of it that are referred to; at most the blob's size."""
    digest: BlobDigest | None
    """None for a blob stored before digests were kept."""
    md5: str | None
    """Hex; where an object consists of just this blob, its ETag."""
    is_damaged: bool


@dataclass(frozen=True, slots=True)
class DamagedObject:
    """An object whose bytes cannot be read in full."""

    bucket: str
    key: str
    blob_id: BlobId
    is_current: bool
    """False for a replaced or deleted object that a job still reads."""


@dataclass(frozen=True, slots=True)
class Checksum:
    """An `x-amz-checksum-*` of an object or a part."""

    algorithm: str
    """CRC32, CRC32C, CRC64NVME, SHA1 or SHA256."""
    value: str
    """Base64; of a composite one with its `-N`."""
    type: str = "FULL_OBJECT"
    """FULL_OBJECT or COMPOSITE."""


@dataclass(frozen=True, slots=True)
class ObjectHeaders:
    """What a client says about an object when it creates it, and gets back on reads."""

    content_type: str = "binary/octet-stream"
    system: Mapping[str, str] = field(default_factory=dict)
    """cache-control, content-disposition, content-encoding, content-language, expires."""
    user: Mapping[str, str] = field(default_factory=dict)
    """User metadata: names in lower case without `x-amz-meta-`."""
    storage_class: str = "STANDARD"


@dataclass(frozen=True, slots=True)
class NewObject:
    """An object about to become visible: its bytes are staged and durable already."""

    key: str
    size: int
    etag: str
    """Without quotes."""
    headers: ObjectHeaders
    segments: tuple[Segment, ...]
    checksum: Checksum | None = None
    parts: tuple[PartInfo, ...] = ()
    """Of a multipart object: size and checksum of each part, in order."""


@dataclass(frozen=True, slots=True)
class PartInfo:
    number: int
    size: int
    checksum: str | None = None


@dataclass(frozen=True, slots=True)
class StoredObject:
    id: ObjectId
    bucket_id: int
    key: str
    size: int
    etag: str
    headers: ObjectHeaders
    segments: tuple[Segment, ...]
    checksum: Checksum | None
    parts: tuple[PartInfo, ...]
    created_at_us: int
    job_id: JobId | None = None
    """The newest job that this upload started, if any."""
    is_damaged: bool = False
    """A blob of it did not pass its verification."""
    job_status: JobStatus | None = None
    job_progress: float | None = None


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One row of a listing."""

    key: str
    size: int
    etag: str
    storage_class: str
    created_at_us: int
    checksum_algorithm: str | None = None
    checksum_type: str | None = None


@dataclass(frozen=True, slots=True)
class ListQuery:
    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    """List keys, and common prefixes, strictly greater than this (bytewise, UTF-8)."""
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class ListPage:
    objects: tuple[ListedObject, ...]
    common_prefixes: tuple[str, ...]
    next_after: str | None
    """Where the next page starts (pass as `after`); None when this was the last page."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions on a read or write, RFC 9110 §13 with S3's reading of them. ETags without
    quotes; `*` stands for itself; times in whole seconds since 1970."""

    if_match: tuple[str, ...] | None = None
    if_none_match: tuple[str, ...] | None = None
    if_modified_since: int | None = None
    if_unmodified_since: int | None = None
    if_match_size: int | None = None
    """Deletes only: the object must have this many bytes."""
    if_match_modified_us: int | None = None
    """Deletes only: the object must have been modified at this time, to the second, the
    millisecond or the microsecond."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload under way, or (state `completed`) one that has ended."""

    id: str
    bucket_id: int
    key: str
    headers: ObjectHeaders
    checksum_algorithm: str | None
    checksum_type: str | None
    created_at_us: int


@dataclass(frozen=True, slots=True)
class Part:
    """One uploaded part. `md5` is hex; the part's ETag is the same text."""

    number: int
    size: int
    md5: str
    checksum: Checksum | None
    segments: tuple[Segment, ...]
    created_at_us: int = 0


@dataclass(frozen=True, slots=True)
class UploadPage:
    """A page of ListMultipartUploads."""

    uploads: tuple[Upload, ...]
    common_prefixes: tuple[str, ...]
    next_key: str | None
    next_upload_id: str | None


@dataclass(frozen=True, slots=True)
class Committed:
    """What a write made visible."""

    object: StoredObject
    job_id: JobId | None


# --- pipelines -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredPipeline:
    """A pipeline with its newest text."""

    id: PipelineId
    user_id: UserId
    name: str
    format: str
    """yaml or json."""
    content: str
    """The text as it was saved, byte for byte."""
    digest: str
    """SHA-256 of the text, hex."""
    version_id: VersionId
    version: int
    created_at_us: int
    updated_at_us: int


# --- jobs ----------------------------------------------------------------------------------


class JobStatus(StrEnum):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def has_ended(self) -> bool:
        return self in (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELED)


class FailureKind(StrEnum):
    """Decides whether a failed attempt is tried again (jobs: retries)."""

    INPUT = "input"
    LIMIT = "limit"
    INFRA = "infra"
    CRASH = "crash"
    """The tool itself died or was killed for memory."""


class TriggeredBy(StrEnum):
    USER = "user"
    SYSTEM = "system"
    WORKER = "worker"


class LeaseState(StrEnum):
    HELD = "held"
    CANCEL = "cancel"
    LOST = "lost"
    BUSY = "busy"
    """Not known now: somebody is just writing to the job. Ours until we are told otherwise."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its owner sees it. `steps` and `result` are JSON-ready values."""

    id: JobId
    user_id: UserId
    source_id: ObjectId
    source_key: str
    source_size: int
    source_content_type: str
    bucket_name: str
    pipeline_id: PipelineId
    pipeline_name: str
    pipeline_format: str
    pipeline_content: str
    version_id: VersionId
    status: JobStatus
    progress: float
    """Percent, 0 to 100."""
    eta_seconds: float | None
    steps: tuple[Mapping[str, object], ...]
    result: Mapping[str, object]
    error: str | None
    error_code: str | None
    attempt: int
    rerun_of: JobId | None
    created_at_us: int
    started_at_us: int | None
    finished_at_us: int | None


@dataclass(frozen=True, slots=True)
class JobPage:
    jobs: tuple[Job, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of a job's history."""

    from_status: JobStatus | None
    to_status: JobStatus
    message: str
    triggered_by: TriggeredBy
    created_at_us: int


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """Everything that a worker needs, in one answer."""

    id: JobId
    token: LeaseToken
    user_id: UserId
    attempt: int
    """1 for the first."""
    infra_failures: int
    """How many earlier attempts ended in an infrastructure failure."""
    crashes: int
    """How many earlier attempts ended with a crashed tool or a dead worker."""
    bucket: BucketRef
    source: StoredObject
    pipeline_id: PipelineId
    pipeline_name: str
    pipeline_format: str
    pipeline_content: str
    pipeline_digest: str
    created_at_us: int
    started_at_us: int


@dataclass(frozen=True, slots=True)
class Lease:
    job_id: JobId
    token: LeaseToken


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """A finished attempt, ready for the one transaction that makes it visible."""

    outputs: tuple[NewObject, ...]
    """With their full keys (`results/job-<id>/…`), the manifest last."""
    result: Mapping[str, object]
    """Becomes `result_info`; its `output_files` lists the keys."""
    steps: tuple[Mapping[str, object], ...]
    output_bytes: int


@dataclass(frozen=True, slots=True)
class JobFailure:
    kind: FailureKind
    code: str
    """Stable, snake_case."""
    message: str
    """One sentence for the user, at most 2,000 characters."""
    log: tuple[str, ...] = ()
    """The tool's last lines."""
    steps: tuple[Mapping[str, object], ...] = ()


# --- analytics -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """A row of the outbox, written in the transaction of what it describes.

    `kind` is `job_metrics` (the job's state after a transition), `job_status_history` (one
    transition) or `pipeline_execution` (one step of a finished job); `payload` holds that
    table's columns, see `events.py`."""

    id: int
    kind: str
    payload: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events that are sent to the analytics store together, every time the same ones in the
    same order: the token stands for all of them."""

    token: str
    """Random; what a store refuses a second delivery by."""
    events: tuple[OutboxEvent, ...]
    """By id, each once."""
