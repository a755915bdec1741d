"""The catalog: the one truth about users, buckets, objects, pipelines, jobs and events.

Every method is one transaction: it happens whole, or it raises and nothing happened. Writes
are as if each ran alone: the rare ones are serializable, the busy ones lock the rows that they
go by (backends/sql/driver.py, Isolation). A write that has begun is not cancelled half-way: it
runs shielded under a deadline of 5 s, after which it raises Unavailable. Any method may raise
Unavailable. Methods that take a user (or a BucketRef, which names one) see only what is that
user's: somebody else's id raises exactly what a missing one does; only a bucket, whose name is
global, tells BucketForbidden from BucketNotFound.

Clocks: `created_at` and leases are by the catalog's own clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mediaconvert.errors import CatalogDamaged, DamagedRecord, PreconditionFailed
from mediaconvert.model import (
    BlobId,
    Bucket,
    BucketRef,
    ClaimedJob,
    Committed,
    Conditions,
    Credential,
    CredentialId,
    EventBatch,
    Job,
    JobFailure,
    JobId,
    JobOutcome,
    JobPage,
    JobStatus,
    Lease,
    LeaseState,
    ListPage,
    ListQuery,
    NewObject,
    ObjectHeaders,
    ObjectId,
    Part,
    PipelineId,
    SigningKey,
    StoredObject,
    StoredPipeline,
    Transition,
    TriggeredBy,
    Upload,
    UploadPage,
    User,
    UserId,
    VersionId,
)
from mediaconvert.ports.blob_records import BlobRecords


class Users(Protocol):
    async def register(self, email: str, password_hash: str) -> User:
        """Raises UserExists; e-mail addresses are compared without case."""

    async def by_email(self, email: str) -> User | None: ...

    async def by_id(self, user_id: UserId) -> User | None: ...

    async def set_password(self, user_id: UserId, password_hash: str) -> User:
        """Also raises `token_version` by one."""

    async def set_disabled(self, user_id: UserId, *, is_disabled: bool) -> User:
        """Also raises `token_version` by one."""

    async def note_login_failure(self, subject: str) -> None:
        """`subject` is what is counted: an account and an address."""

    async def login_failures(self, subject: str, within_seconds: int) -> int: ...

    async def forget_login_failures(self, subject: str) -> None: ...


class Credentials(Protocol):
    async def create(
        self,
        user_id: UserId,
        access_key: str,
        sealed_secret: bytes,
        bucket_name: str,
        *,
        existing: bool,
        limit: int,
        region: str,
    ) -> Credential:
        """With `existing`, for a bucket of the user's (BucketNotFound otherwise, somebody
        else's included); without, the bucket is made (BucketTaken, BucketAlreadyOwned).
        Raises TooManyCredentials at `limit` active ones."""

    async def list(self, user_id: UserId) -> tuple[Credential, ...]:
        """Active and revoked, oldest first."""

    async def by_access_key(self, access_key: str) -> SigningKey | None: ...

    async def revoke(self, user_id: UserId, credential_id: CredentialId) -> Credential:
        """Idempotent. Raises CredentialNotFound."""


class Buckets(Protocol):
    async def create(self, ref: BucketRef, region: str, *, limit: int) -> Bucket:
        """Raises BucketTaken, BucketAlreadyOwned, TooManyBuckets at `limit` of the user's."""

    async def get(self, ref: BucketRef) -> Bucket:
        """Raises BucketNotFound, BucketForbidden."""

    async def list(self, user_id: UserId) -> tuple[Bucket, ...]:
        """By name, bytewise."""

    async def delete(self, ref: BucketRef) -> None:
        """Raises BucketNotEmpty while it holds an object or an upload under way. Credentials
        made for it stay. Jobs and their history stay."""

    async def exists(self, name: str) -> bool:
        """Whether anybody has it."""


class Objects(Protocol):
    """Raises, besides what is said: BucketNotFound, BucketForbidden."""

    async def put(
        self,
        ref: BucketRef,
        new: NewObject,
        conditions: Conditions,
        pipeline: VersionId | None,
    ) -> Committed:
        """Make the object visible in place of what had its key, and, with a pipeline, submit
        its job with the first history row and event. What it replaced is detached: invisible,
        but kept while a job that has not ended reads it, then its blobs become garbage.
        Raises PreconditionFailed (ObjectNotFound for If-Match on a missing key)."""

    async def copy(
        self,
        source: BucketRef,
        source_key: str,
        source_conditions: Conditions,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders | None,
        conditions: Conditions,
        pipeline: VersionId | None,
        *,
        source_id: ObjectId | None = None,
    ) -> Committed | None:
        """A new object with the same segments, ETag and checksum; copies no bytes. `headers`
        None keeps the source's. None, and nothing was done, where the source is not `source_id`
        (whose bytes the caller has verified). Raises ObjectNotFound, PreconditionFailed."""

    async def get(self, ref: BucketRef, key: str) -> StoredObject:
        """Raises ObjectNotFound."""

    async def delete(
        self, ref: BucketRef, keys: Sequence[tuple[str, Conditions]]
    ) -> tuple[bool | PreconditionFailed, ...]:
        """Detach each; in order, whether it had existed, or the condition that failed. A
        missing key is no error. Not atomic: some at a time (S3 API: DeleteObjects)."""

    async def list(self, ref: BucketRef, query: ListQuery) -> ListPage:
        """Keys in order of their UTF-8 bytes. The cost does not depend on where the page
        starts, nor on how many keys a common prefix stands for."""


class Uploads(Protocol):
    """Multipart. Raises, besides what is said: BucketNotFound, BucketForbidden, and
    UploadNotFound for an id that is not this bucket's and key's."""

    async def create(
        self,
        ref: BucketRef,
        key: str,
        headers: ObjectHeaders,
        pipeline: VersionId | None,
        checksum_algorithm: str | None,
        checksum_type: str | None,
    ) -> Upload: ...

    async def get(self, ref: BucketRef, key: str, upload_id: str) -> Upload: ...

    async def put_part(self, ref: BucketRef, key: str, upload_id: str, part: Part) -> None:
        """Replaces an earlier part of the number, whose blobs become garbage."""

    async def list_parts(
        self, ref: BucketRef, key: str, upload_id: str, after: int, limit: int
    ) -> tuple[Part, ...]:
        """Parts with numbers above `after`, ascending, at most `limit`."""

    async def list(self, ref: BucketRef, query: ListQuery, after_upload_id: str) -> UploadPage:
        """By key, then by time of creation. `query.after` is the key-marker: with
        `after_upload_id` the uploads of that key which come after that one are included."""

    async def complete(
        self,
        ref: BucketRef,
        key: str,
        upload_id: str,
        assemble: Callable[[Upload, Sequence[Part]], NewObject],
        conditions: Conditions,
    ) -> Committed:
        """One transaction, no bytes copied: `assemble` (pure; it may raise InvalidPart,
        InvalidPartOrder, PartTooSmall, ChecksumMismatch) gets all stored parts and names the
        object; unused parts become garbage; the object is put, and its pipeline's job
        submitted, as by `Objects.put`. Repeating a completed one answers the same Committed
        while that object is still the key's, for a week; else UploadNotFound."""

    async def abort(
        self, ref: BucketRef, key: str, upload_id: str, if_initiated_us: int | None = None
    ) -> None:
        """The parts' blobs become garbage. With `if_initiated_us`, PreconditionFailed unless
        the upload was initiated at that time; both in one transaction."""


class Pipelines(Protocol):
    async def create(self, user_id: UserId, name: str, format: str, content: str) -> StoredPipeline:
        """Raises PipelineNameTaken."""

    async def list(self, user_id: UserId) -> tuple[StoredPipeline, ...]:
        """Oldest first."""

    async def get(self, user_id: UserId, pipeline_id: PipelineId) -> StoredPipeline:
        """Raises PipelineNotFound."""

    async def by_name(self, user_id: UserId, name: str) -> StoredPipeline:
        """Raises UnknownPipeline, with the names that the user has."""

    async def replace(
        self, user_id: UserId, pipeline_id: PipelineId, name: str, format: str, content: str
    ) -> StoredPipeline:
        """A new version. Raises PipelineNotFound, PipelineNameTaken."""

    async def delete(self, user_id: UserId, pipeline_id: PipelineId) -> None:
        """Its texts stay for the jobs that were made with them. Raises PipelineNotFound."""


class Jobs(Protocol):
    """The owner's side of jobs."""

    async def get(self, user_id: UserId, job_id: JobId) -> Job:
        """Raises JobNotFound."""

    async def list(
        self, user_id: UserId, status: JobStatus | None, offset: int, limit: int
    ) -> JobPage:
        """Newest first."""

    async def history(self, user_id: UserId, job_id: JobId) -> tuple[Transition, ...]:
        """Oldest first. Raises JobNotFound."""

    async def cancel(self, user_id: UserId, job_id: JobId) -> JobStatus:
        """End it as canceled, whatever it is doing: its lease is void from here on, so the
        worker can no longer finish it. Answers the status it had. Raises JobNotFound,
        JobAlreadyEnded."""

    async def rerun(self, user_id: UserId, job_id: JobId, *, latest: bool) -> Job:
        """A new pending job on the same source object and the same pipeline version, or with
        `latest` the pipeline's newest. Raises JobNotFound, SourceGone, PipelineNotFound (with
        `latest`, of a deleted pipeline)."""


class Queue(Protocol):
    """The workers' side of jobs. Every write carries the lease token; False means that the
    lease is gone, nothing was written, and what was made must be thrown away."""

    async def claim(
        self, worker_id: str, limit: int, lease_seconds: float
    ) -> tuple[ClaimedJob, ...]:
        """At most `limit` pending jobs that are due, suspects left out: by priority, then
        fewest running jobs of the user, then age. Sets processing, attempt + 1, token, lease
        and history."""

    async def next_due_seconds(self) -> float | None:
        """How long until a pending job is due (0 for now), suspects left out; None when there
        is none."""

    async def suspect_due_seconds(self) -> float | None:
        """How long until a suspect is due, below 0 for how long one has been; None when none
        is pending. A cheap read."""

    async def claim_suspect(
        self, worker_id: str, lease_seconds: float, overdue_seconds: float
    ) -> ClaimedJob | None:
        """As `claim`, of one suspect that has been due for so long: a job that may have ended
        its worker processes. The caller runs it only after `run_alone`."""

    async def run_alone(self, lease: Lease) -> bool:
        """Note that the claimed suspect is run from here on, and that its process runs no other
        job until it has ended: should the process die, that is evidence against the job."""

    async def renew(
        self, worker_id: str, leases: Sequence[Lease], lease_seconds: float
    ) -> dict[JobId, LeaseState]:
        """All of a process's leases at once. One whose job is just being written to is not
        waited for: it is BUSY, and neither renewed nor lost."""

    async def progress(
        self,
        lease: Lease,
        progress: float,
        eta_seconds: float | None,
        steps: Sequence[dict[str, object]],
    ) -> bool: ...

    async def finish(self, lease: Lease, outcome: JobOutcome) -> bool:
        """Outputs visible, job completed, history, events: one transaction. An output
        replaces whatever has its key, as Objects.put does. When the bucket is gone the job
        fails instead (`bucket_gone`), and False is answered."""

    async def fail(
        self, lease: Lease, failure: JobFailure, retry_after_seconds: float | None
    ) -> bool:
        """Ends the job as failed; with `retry_after_seconds` it goes back to pending, due
        then, and the failure's kind is counted."""

    async def release(self, lease: Lease, reason: str) -> bool:
        """Back to pending at once, without losing an attempt (shutdown)."""

    async def any_expired(self) -> bool:
        """Whether `recover` would find a lease that has run out. A cheap read."""

    async def recover(
        self,
        *,
        all_running: bool,
        by: TriggeredBy,
        message: str,
        is_crash: bool = True,
        retry_base_seconds: float = 5.0,
    ) -> tuple[JobId, ...]:
        """Back to pending: every processing job whose lease has run out, or, with
        `all_running` (an embedded start, which holds the only lock), every one.

        Counts as the death of their worker process, unless `is_crash` is false, when that is
        known to live. After two such deaths a job is a suspect, due after
        `3 * retry_base_seconds`, twice as long after each further one, at most 600 s. A third
        death in a row while it ran alone fails it as `poison`. The death of a process that did
        not run a suspect alone ends the row of all suspects; an embedded process that died idle
        is noticed too, unless it had called `note_clean_stop`."""

    async def note_clean_stop(self) -> None:
        """The embedded process ends in order: its end is no death."""


class Outbox(Protocol):
    """Analytics events on their way out, for any number of flushers. There is at most one open
    batch: it is sent again, unchanged, until it is acknowledged, by whoever holds it."""

    async def open_batch(self, holder: str, limit: int, lease_seconds: float) -> EventBatch | None:
        """The open batch, or a new one of up to `limit` waiting events by id; from now on it is
        the holder's for that long. One whose lease has run out (or is `holder`'s own) is handed
        out with the token, events and order that it had. None when nothing waits, or when
        another holder's lease is running."""

    async def acknowledge(self, token: str) -> None:
        """The store has the batch: forget it and its events. Idempotent; a token that is not
        the open batch's changes nothing."""

    async def trim(self, keep: int) -> int:
        """Drop the oldest events beyond the `keep` newest, but never one of the open batch;
        answers how many."""


class Housekeeping(Protocol):
    """What the janitor asks; gauges, check and meta."""

    @property
    def damage(self) -> Damage: ...

    async def check_file(self) -> None:
        """Finish the check of the database's file that the start had no time for, at low
        priority; what it finds is in `damage`. Returns at once where nothing is left to check.
        May be cancelled. Raises Unavailable."""

    async def garbage(self, limit: int, *, older_than_seconds: float = 0.0) -> tuple[BlobId, ...]:
        """Blobs that nothing has referred to for so long, oldest first; condemned ones when
        they have been due for so long. Never one that something refers to."""

    async def forget_garbage(self, blob_ids: Sequence[BlobId]) -> None:
        """They have been deleted from the store."""

    async def unknown_blobs(self, blob_ids: Sequence[BlobId]) -> tuple[BlobId, ...]:
        """Those of the names that no row refers to (garbage counts as known)."""

    async def condemn(self, blob_ids: Sequence[BlobId], after_seconds: float) -> None:
        """Note unknown blobs as garbage that becomes due so much later. Of one that is noted
        already nothing changes."""

    async def is_referenced(self, blob_id: BlobId) -> bool:
        """Whether an object or part refers to it: asked after an uncertain commit, before the
        blob is thrown away."""

    async def purge_detached(self, limit: int) -> int:
        """Delete detached objects that no unended job reads; their blobs become garbage.
        `finish` and `fail` do it for their own source already."""

    async def expire_uploads(self, older_than_seconds: float, limit: int) -> int:
        """Abort uploads that were begun so long ago; forget completed ones after a week."""

    async def take_turn(self, name: str, every_seconds: float) -> bool:
        """Whether it is the caller's turn at a duty that one process does for all: nobody has
        taken it for so long, by the catalog's clock."""

    async def watch_clock(self) -> float:
        """Look whether the wall clock that the catalog goes by has been set. Leases, backoffs
        and ages are measured by steady time, which a step does not change: of all processes
        that see a step, one writes it down. The seconds of the step that this call wrote down
        (negative: back), else 0. A cheap read most of the time. Called at start, before
        anything else is asked, and every few seconds. Raises Unavailable."""

    async def end_stalled(self, after_seconds: float) -> int:
        """End transactions of processes that have stood still for so long in the midst of one
        (a suspended process or machine, a cut line), so that they no longer keep what they have
        locked from everybody else; answers how many. `after_seconds` is more than a transaction
        takes in a process that serves. One process alone has none."""

    async def gauges(self) -> CatalogGauges: ...

    async def check(self) -> str:
        """The database and its version (`PostgreSQL 18.1`). Raises Unavailable when the
        catalog cannot be written to, or has a schema that is newer than this program."""

    async def find_meta(self, key: str) -> str | None:
        """The installation's value of a name, None where there is none."""

    async def meta(self, key: str, value_if_absent: str) -> str:
        """The installation's value of a name, set now if there was none (used to recognise a
        wrong master key)."""

    async def set_meta(self, key: str, value: str) -> None: ...


@dataclass(frozen=True, slots=True)
class DamageReport:
    """What this process has found damaged since its start."""

    records: int
    """How many records could not be read."""
    shown: tuple[str, ...]
    """A few of them: `objects 17`."""
    file: str
    """What is wrong with the file, and how to restore it; empty where nothing is."""


class Damage(Protocol):
    def report(self) -> DamageReport: ...

    def note(self, error: DamagedRecord | CatalogDamaged) -> None:
        """Log and count it, unless that was done before in this process."""

    def observe(self, tell: Callable[[str], None]) -> None:
        """Call `tell` with `record` or `file` for each damage found, earlier ones included. It
        is called in any thread, must not block and must not raise."""


@dataclass(frozen=True, slots=True)
class CatalogGauges:
    """Counts for /metrics and /ready."""

    jobs_pending: int
    jobs_processing: int
    oldest_pending_seconds: float
    outbox_events: int
    garbage_blobs: int
    damaged_blobs: int


@dataclass(frozen=True, slots=True)
class Catalog:
    """All of the catalog, one object a subject; they share one database."""

    users: Users
    credentials: Credentials
    buckets: Buckets
    objects: Objects
    uploads: Uploads
    blobs: BlobRecords
    pipelines: Pipelines
    jobs: Jobs
    queue: Queue
    outbox: Outbox
    housekeeping: Housekeeping
