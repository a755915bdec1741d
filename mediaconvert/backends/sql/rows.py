"""Rows of the catalog's tables become the model's values here, and JSON text becomes values.

No statements, no decisions. Called by the subjects of the catalog. Whatever reads a row raises
DamagedRecord where a column has a value that it cannot have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mediaconvert.backends.sql.driver import Param, Row
from mediaconvert.backends.sql.values import (
    LAST_MOMENT_US,
    Unreadable,
    choice,
    damaged,
    data,
    flag,
    header,
    integer,
    json_headers,
    json_object,
    json_objects,
    moment,
    number,
    optional_moment,
    optional_number,
    optional_text,
    parsed,
    record,
    text,
    whole,
)
from mediaconvert.conditions import Current
from mediaconvert.events import JobFacts
from mediaconvert.model import (
    BLOCK_BYTES,
    BlobDigest,
    BlobId,
    Bucket,
    BucketRef,
    Checksum,
    ClaimedJob,
    Credential,
    CredentialId,
    Job,
    JobId,
    JobStatus,
    LeaseToken,
    ListedObject,
    ObjectHeaders,
    ObjectId,
    OutboxEvent,
    Part,
    PartInfo,
    PipelineId,
    Segment,
    SigningKey,
    StoredObject,
    StoredPipeline,
    Transition,
    TriggeredBy,
    Upload,
    User,
    UserId,
    VersionId,
)


@record("meta", "name")
def meta_value(row: Row) -> str:
    return text(row, "value")


@record("jobs")
def job_status(row: Row) -> JobStatus:
    return choice(row, "status", JobStatus)


def dumps(value: object) -> str:
    """JSON as it lies in the tables."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def mappings(values: Iterable[Mapping[str, object]]) -> str:
    """Steps as they lie in the tables."""
    return dumps([dict(value) for value in values])


@record("users")
def user(row: Row) -> User:
    return User(
        id=UserId(whole(row, "id")),
        email=text(row, "email"),
        password_hash=text(row, "password_hash"),
        token_version=whole(row, "token_version"),
        is_disabled=flag(row, "is_disabled"),
        created_at_us=moment(row, "created_at"),
    )


@record("s3_credentials")
def credential(row: Row) -> Credential:
    return Credential(
        id=CredentialId(whole(row, "id")),
        user_id=UserId(whole(row, "user_id")),
        access_key=text(row, "access_key"),
        bucket_name=text(row, "bucket_name"),
        is_active=flag(row, "is_active"),
        created_at_us=moment(row, "created_at"),
    )


@record("s3_credentials")
def signing_key(row: Row) -> SigningKey:
    return SigningKey(
        credential_id=CredentialId(whole(row, "id")),
        user_id=UserId(whole(row, "user_id")),
        access_key=text(row, "access_key"),
        sealed_secret=data(row, "sealed_secret"),
        is_active=flag(row, "is_active") and not flag(row, "is_disabled"),
        owner_email=text(row, "email"),
    )


@record("buckets")
def bucket(row: Row) -> Bucket:
    return Bucket(
        id=whole(row, "id"),
        name=text(row, "name"),
        owner_id=UserId(whole(row, "owner_id")),
        region=text(row, "region"),
        created_at_us=moment(row, "created_at"),
    )


# --- objects and uploads ---------------------------------------------------------------------


def header_params(headers: ObjectHeaders) -> tuple[Param, Param, Param, Param]:
    """content_type, system_headers, user_metadata, storage_class."""
    return (
        headers.content_type,
        dumps(dict(headers.system)),
        dumps(dict(headers.user)),
        headers.storage_class,
    )


def checksum_params(checksum: Checksum | None) -> tuple[Param, Param, Param]:
    """checksum_algorithm, checksum_value, checksum_type."""
    if checksum is None:
        return (None, None, None)
    return (checksum.algorithm, checksum.value, checksum.type)


def part_infos(parts: Sequence[PartInfo]) -> str:
    return dumps([[part.number, part.size, part.checksum] for part in parts])


def _headers(row: Row) -> ObjectHeaders:
    return ObjectHeaders(
        content_type=header(row, "content_type"),
        system=json_headers(row, "system_headers"),
        user=json_headers(row, "user_metadata"),
        storage_class=header(row, "storage_class"),
    )


def _checksum(row: Row) -> Checksum | None:
    if row["checksum_value"] is None:
        return None
    return Checksum(
        text(row, "checksum_algorithm"),
        header(row, "checksum_value"),
        header(row, "checksum_type"),
    )


_BLOB_ID = re.compile(r"[0-9a-f]{32}")


@record("object_segments", "blob_id")
def segment(row: Row) -> Segment:
    blob_id = text(row, "blob_id")
    if _BLOB_ID.fullmatch(blob_id) is None:
        raise Unreadable("blob_id is not 32 hex digits")
    return Segment(blob_id=BlobId(blob_id), offset=whole(row, "start"), size=whole(row, "size"))


@record("blobs", "blob_id")
def blob_digest(row: Row, size_column: str = "size") -> BlobDigest | None:
    """Of a row with a blob's size and digests; None where they are null or empty."""
    if not row["digests"]:
        return None
    size, blocks = whole(row, size_column), data(row, "digests")
    if len(blocks) != 8 * -(-size // BLOCK_BYTES):
        raise Unreadable("digests are not those of as many bytes")
    return BlobDigest(size, blocks)


def verified_segment(row: Row) -> Segment:
    """Of a row of `object_segments`: with the blob's digest, where the row has it."""
    return replace(segment(row), digest=blob_digest(row, "blob_size"))


def _whole_of(row: Row, segments: tuple[Segment, ...]) -> int:
    """The size of an object or part, which its segments have together."""
    size = whole(row, "size")
    if size != sum(each.size for each in segments):
        raise Unreadable("size is not that of its segments")
    return size


@record("objects")
def stored_object(
    row: Row,
    segments: Iterable[Row],
    job: Row | None,
    *,
    read_segment: Callable[[Row], Segment] = segment,
) -> StoredObject:
    """`job` is the object's newest one, where that is wanted and there is one."""
    pieces = tuple(read_segment(each) for each in segments)
    return StoredObject(
        id=ObjectId(whole(row, "id")),
        bucket_id=whole(row, "bucket_id"),
        key=text(row, "key"),
        size=_whole_of(row, pieces),
        etag=header(row, "etag"),
        headers=_headers(row),
        segments=pieces,
        checksum=_checksum(row),
        parts=_part_infos(row),
        created_at_us=moment(row, "created_at"),
        job_id=None if job is None else JobId(whole(job, "id")),
        job_status=None if job is None else choice(job, "status", JobStatus),
        job_progress=None if job is None else number(job, "progress"),
    )


def _part_infos(row: Row) -> tuple[PartInfo, ...]:
    infos = []
    for info in parsed(row, "parts"):
        match info:
            case [int(position), int(size), str() | None as checksum] if position > 0 <= size:
                infos.append(PartInfo(position, size, checksum))
            case _:
                raise Unreadable("parts does not list parts")
    return tuple(infos)


@record("objects")
def current_facts(row: Row) -> Current:
    """What conditions are compared with."""
    return Current(header(row, "etag"), whole(row, "size"), moment(row, "created_at"))


def listed_key(row: Row) -> str:
    """The key of a row of a listing: what the index says of it, if the row itself agrees. One that
    a damaged index has in a wrong place says nothing about the keys that follow."""
    key = row["key"]
    is_sound = type(key) is str and key.isascii() and key == row["stored_key"]
    return key if is_sound else _listed_key(row)


@record("objects")
def _listed_key(row: Row) -> str:
    key = text(row, "key")
    if key != row["stored_key"]:
        raise Unreadable("key is not the one in the index")
    return key


@record("uploads")
def upload_id(row: Row) -> str:
    return text(row, "id")


def listed_object(row: Row) -> ListedObject:
    """A page has up to 1,000: what is plainly sound (ASCII, as nearly all are) is seen at one
    look, which saves a third of a listing; the rest is read column by column."""
    listed = ListedObject(
        key=row["key"],
        size=row["size"],
        etag=row["etag"],
        storage_class=row["storage_class"],
        created_at_us=row["created_at"],
        checksum_algorithm=row["checksum_algorithm"],
        checksum_type=row["checksum_type"],
    )
    if (
        type(listed.key) is type(listed.etag) is type(listed.storage_class) is str
        and type(listed.size) is type(listed.created_at_us) is int
        and listed.size >= 0
        and 0 <= listed.created_at_us <= LAST_MOMENT_US
        and listed.key.isascii()
        and (sent := listed.etag + listed.storage_class).isascii()
        and sent.isprintable()
        and listed.checksum_algorithm is listed.checksum_type is None
    ):
        return listed
    return _listed_object(row)


@record("objects")
def _listed_object(row: Row) -> ListedObject:
    return ListedObject(
        key=text(row, "key"),
        size=whole(row, "size"),
        etag=header(row, "etag"),
        storage_class=header(row, "storage_class"),
        created_at_us=moment(row, "created_at"),
        checksum_algorithm=optional_text(row, "checksum_algorithm"),
        checksum_type=optional_text(row, "checksum_type"),
    )


@record("uploads")
def upload(row: Row) -> Upload:
    return Upload(
        id=text(row, "id"),
        bucket_id=whole(row, "bucket_id"),
        key=text(row, "key"),
        headers=_headers(row),
        checksum_algorithm=optional_text(row, "checksum_algorithm"),
        checksum_type=optional_text(row, "checksum_type"),
        created_at_us=moment(row, "created_at"),
    )


@record("upload_parts", "number")
def part(row: Row, segment_rows: Iterable[Row]) -> Part:
    segments = tuple(segment(each) for each in segment_rows)
    return Part(
        number=whole(row, "number"),
        size=_whole_of(row, segments),
        md5=text(row, "md5"),
        checksum=_checksum(row),
        segments=segments,
        created_at_us=moment(row, "created_at"),
    )


# --- pipelines, jobs, events -----------------------------------------------------------------


@record("pipelines")
def pipeline(row: Row) -> StoredPipeline:
    return StoredPipeline(
        id=PipelineId(whole(row, "id")),
        user_id=UserId(whole(row, "user_id")),
        name=text(row, "name"),
        format=text(row, "format"),
        content=text(row, "content"),
        digest=text(row, "digest"),
        version_id=VersionId(whole(row, "version_id")),
        version=whole(row, "version"),
        created_at_us=moment(row, "created_at"),
        updated_at_us=moment(row, "updated_at"),
    )


@record("jobs")
def job(row: Row) -> Job:
    return Job(
        id=JobId(whole(row, "id")),
        user_id=UserId(whole(row, "user_id")),
        source_id=ObjectId(whole(row, "source_id")),
        source_key=text(row, "source_key"),
        source_size=whole(row, "source_size"),
        source_content_type=header(row, "source_content_type"),
        bucket_name=text(row, "bucket_name"),
        pipeline_id=PipelineId(whole(row, "pipeline_id")),
        pipeline_name=text(row, "pipeline_name"),
        pipeline_format=text(row, "pipeline_format"),
        pipeline_content=text(row, "pipeline_content"),
        version_id=VersionId(whole(row, "version_id")),
        status=choice(row, "status", JobStatus),
        progress=number(row, "progress"),
        eta_seconds=optional_number(row, "eta_seconds"),
        steps=json_objects(row, "steps"),
        result=json_object(row, "result"),
        error=optional_text(row, "error"),
        error_code=optional_text(row, "error_code"),
        attempt=whole(row, "attempt"),
        rerun_of=None if row["rerun_of"] is None else JobId(whole(row, "rerun_of")),
        created_at_us=moment(row, "created_at"),
        started_at_us=optional_moment(row, "started_at"),
        finished_at_us=optional_moment(row, "finished_at"),
    )


@record("job_history")
def transition(row: Row) -> Transition:
    return Transition(
        from_status=None if row["from_status"] is None else choice(row, "from_status", JobStatus),
        to_status=choice(row, "to_status", JobStatus),
        message=text(row, "message"),
        triggered_by=choice(row, "triggered_by", TriggeredBy),
        created_at_us=moment(row, "created_at"),
    )


def job_facts(
    row: Row, pipeline_name: str, *, id_column: str = "id", created_column: str = "created_at"
) -> JobFacts:
    """Two of the job's columns have other names where a row has its source's columns too."""
    try:
        return JobFacts(
            job_id=JobId(whole(row, id_column)),
            user_id=UserId(whole(row, "user_id")),
            pipeline_id=PipelineId(whole(row, "pipeline_id")),
            pipeline_name=pipeline_name,
            content_type=header(row, "source_content_type"),
            input_bytes=whole(row, "source_size"),
            output_bytes=whole(row, "output_bytes"),
            status=choice(row, "status", JobStatus),
            attempt=whole(row, "attempt"),
            error=optional_text(row, "error"),
            error_code=optional_text(row, "error_code"),
            created_at_us=moment(row, created_column),
            started_at_us=optional_moment(row, "started_at"),
            finished_at_us=optional_moment(row, "finished_at"),
            clock_offset_us=integer(row, "clock_offset"),
        )
    except Unreadable as error:
        raise damaged("jobs", row[id_column], str(error)) from error


@record("jobs", "job_id")
def claimed_facts(row: Row) -> JobFacts:
    """Of a row of `claimed`."""
    name = text(row, "pipeline_name")
    return job_facts(row, name, id_column="job_id", created_column="job_created_at")


@record("outbox_batch", "token")
def check_batch(row: Row) -> None:
    """Raises DamagedRecord for a batch under way whose events cannot be told."""
    text(row, "token")
    text(row, "holder")
    whole(row, "lease_until")
    ids = parsed(row, "event_ids")
    if not isinstance(ids, list) or not all(isinstance(each, int) for each in ids):
        raise Unreadable("event_ids is not an array of ids")


@record("outbox")
def event(row: Row) -> OutboxEvent:
    return OutboxEvent(
        id=whole(row, "id"), kind=text(row, "kind"), payload=json_object(row, "payload")
    )


@record("jobs", "job_id")
def claimed_job(row: Row) -> ClaimedJob:
    """Of a row of `claimed` whose source is there."""
    return ClaimedJob(
        id=JobId(whole(row, "job_id")),
        token=LeaseToken(text(row, "lease_token")),
        user_id=UserId(whole(row, "user_id")),
        attempt=whole(row, "attempt"),
        infra_failures=whole(row, "infra_failures"),
        crashes=whole(row, "crashes"),
        bucket=BucketRef(UserId(whole(row, "user_id")), text(row, "bucket_name")),
        source=stored_object(row, _claimed_segments(row), None),
        pipeline_id=PipelineId(whole(row, "pipeline_id")),
        pipeline_name=text(row, "pipeline_name"),
        pipeline_format=text(row, "pipeline_format"),
        pipeline_content=text(row, "pipeline_content"),
        pipeline_digest=text(row, "pipeline_digest"),
        created_at_us=moment(row, "job_created_at"),
        started_at_us=moment(row, "started_at"),
    )


def _claimed_segments(row: Row) -> list[dict[str, Any]]:
    if row["segments"] is None:
        return []
    segments = []
    for values in parsed(row, "segments") or []:
        match values:
            case [str(blob_id), int(start), int(size)]:
                segments.append({"blob_id": blob_id, "start": start, "size": size})
            case _:
                raise Unreadable("its source's segments are not segments")
    return segments
