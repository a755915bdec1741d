"""Rows of the catalog's tables become the model's values here, and JSON text becomes values.

No statements, no decisions. Called by the subjects of the catalog.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mediaconvert.backends.sql.driver import Param, Row
from mediaconvert.events import JobFacts
from mediaconvert.model import (
    BlobDigest,
    Bucket,
    Checksum,
    Credential,
    Job,
    JobStatus,
    ListedObject,
    ObjectHeaders,
    OutboxEvent,
    Part,
    PartInfo,
    Segment,
    SigningKey,
    StoredObject,
    StoredPipeline,
    Transition,
    TriggeredBy,
    Upload,
    User,
)


def dumps(value: object) -> str:
    """JSON as it lies in the tables."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def mappings(values: Iterable[Mapping[str, object]]) -> str:
    """Steps as they lie in the tables."""
    return dumps([dict(value) for value in values])


def user(row: Row) -> User:
    return User(
        id=row["id"],
        email=row["email"],
        password_hash=row["password_hash"],
        token_version=row["token_version"],
        is_disabled=bool(row["is_disabled"]),
        created_at_us=row["created_at"],
    )


def credential(row: Row) -> Credential:
    return Credential(
        id=row["id"],
        user_id=row["user_id"],
        access_key=row["access_key"],
        bucket_name=row["bucket_name"],
        is_active=bool(row["is_active"]),
        created_at_us=row["created_at"],
    )


def signing_key(row: Row) -> SigningKey:
    return SigningKey(
        credential_id=row["id"],
        user_id=row["user_id"],
        access_key=row["access_key"],
        sealed_secret=row["sealed_secret"],
        is_active=bool(row["is_active"]) and not row["is_disabled"],
        owner_email=row["email"],
    )


def bucket(row: Row) -> Bucket:
    return Bucket(
        id=row["id"],
        name=row["name"],
        owner_id=row["owner_id"],
        region=row["region"],
        created_at_us=row["created_at"],
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
        content_type=row["content_type"],
        system=json.loads(row["system_headers"]),
        user=json.loads(row["user_metadata"]),
        storage_class=row["storage_class"],
    )


def _checksum(row: Row) -> Checksum | None:
    if row["checksum_value"] is None:
        return None
    return Checksum(row["checksum_algorithm"], row["checksum_value"], row["checksum_type"])


def segment(row: Row) -> Segment:
    return Segment(blob_id=row["blob_id"], offset=row["start"], size=row["size"])


def blob_digest(row: Row, size_column: str = "size") -> BlobDigest | None:
    """Of a row with a blob's size and digests, or nulls; None without a digest."""
    digests = row["digests"]
    return BlobDigest(row[size_column], bytes(digests)) if digests else None


def verified_segment(row: Row) -> Segment:
    """Of a row of `object_segments`: with the blob's digest, where the row has it."""
    digest = blob_digest(row, "blob_size")
    return Segment(blob_id=row["blob_id"], offset=row["start"], size=row["size"], digest=digest)


def stored_object(row: Row, segments: Iterable[Segment], job: Row | None) -> StoredObject:
    """`job` is the object's newest one, where that is wanted and there is one."""
    return StoredObject(
        id=row["id"],
        bucket_id=row["bucket_id"],
        key=row["key"],
        size=row["size"],
        etag=row["etag"],
        headers=_headers(row),
        segments=tuple(segments),
        checksum=_checksum(row),
        parts=tuple(PartInfo(*info) for info in json.loads(row["parts"])),
        created_at_us=row["created_at"],
        job_id=None if job is None else job["id"],
        job_status=None if job is None else JobStatus(job["status"]),
        job_progress=None if job is None else job["progress"],
    )


def listed_object(row: Row) -> ListedObject:
    return ListedObject(
        key=row["key"],
        size=row["size"],
        etag=row["etag"],
        storage_class=row["storage_class"],
        created_at_us=row["created_at"],
        checksum_algorithm=row["checksum_algorithm"],
        checksum_type=row["checksum_type"],
    )


def upload(row: Row) -> Upload:
    return Upload(
        id=row["id"],
        bucket_id=row["bucket_id"],
        key=row["key"],
        headers=_headers(row),
        checksum_algorithm=row["checksum_algorithm"],
        checksum_type=row["checksum_type"],
        created_at_us=row["created_at"],
    )


def part(row: Row, segments: Sequence[Segment]) -> Part:
    return Part(
        number=row["number"],
        size=row["size"],
        md5=row["md5"],
        checksum=_checksum(row),
        segments=tuple(segments),
        created_at_us=row["created_at"],
    )


# --- pipelines, jobs, events -----------------------------------------------------------------


def pipeline(row: Row) -> StoredPipeline:
    return StoredPipeline(
        id=row["id"],
        user_id=row["user_id"],
        name=row["name"],
        format=row["format"],
        content=row["content"],
        digest=row["digest"],
        version_id=row["version_id"],
        version=row["version"],
        created_at_us=row["created_at"],
        updated_at_us=row["updated_at"],
    )


def job(row: Row) -> Job:
    return Job(
        id=row["id"],
        user_id=row["user_id"],
        source_id=row["source_id"],
        source_key=row["source_key"],
        source_size=row["source_size"],
        source_content_type=row["source_content_type"],
        bucket_name=row["bucket_name"],
        pipeline_id=row["pipeline_id"],
        pipeline_name=row["pipeline_name"],
        pipeline_format=row["pipeline_format"],
        pipeline_content=row["pipeline_content"],
        version_id=row["version_id"],
        status=JobStatus(row["status"]),
        progress=row["progress"],
        eta_seconds=row["eta_seconds"],
        steps=tuple(json.loads(row["steps"])),
        result=json.loads(row["result"]),
        error=row["error"],
        error_code=row["error_code"],
        attempt=row["attempt"],
        rerun_of=row["rerun_of"],
        created_at_us=row["created_at"],
        started_at_us=row["started_at"],
        finished_at_us=row["finished_at"],
    )


def transition(row: Row) -> Transition:
    return Transition(
        from_status=None if row["from_status"] is None else JobStatus(row["from_status"]),
        to_status=JobStatus(row["to_status"]),
        message=row["message"],
        triggered_by=TriggeredBy(row["triggered_by"]),
        created_at_us=row["created_at"],
    )


def job_facts(
    row: Row, pipeline_name: str, *, id_column: str = "id", created_column: str = "created_at"
) -> JobFacts:
    """Two of the job's columns have other names where a row has its source's columns too."""
    return JobFacts(
        job_id=row[id_column],
        user_id=row["user_id"],
        pipeline_id=row["pipeline_id"],
        pipeline_name=pipeline_name,
        content_type=row["source_content_type"],
        input_bytes=row["source_size"],
        output_bytes=row["output_bytes"],
        status=JobStatus(row["status"]),
        attempt=row["attempt"],
        error=row["error"],
        error_code=row["error_code"],
        created_at_us=row[created_column],
        started_at_us=row["started_at"],
        finished_at_us=row["finished_at"],
        clock_offset_us=row["clock_offset"],
    )


def claimed_facts(row: Row) -> JobFacts:
    """Of a row of `claimed`."""
    return job_facts(row, row["pipeline_name"], id_column="job_id", created_column="job_created_at")


def event(row: Row) -> OutboxEvent:
    payload: Mapping[str, Any] = json.loads(row["payload"])
    return OutboxEvent(id=row["id"], kind=row["kind"], payload=payload)
