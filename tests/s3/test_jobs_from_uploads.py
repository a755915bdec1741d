"""Metadata that name a pipeline start a job: at PUT, at Complete, at a replacing copy."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from mediaconvert.model import Job, JobId, JobStatus
from mediaconvert.ports.notices import Topic
from tests.program import WAIT_SECONDS
from tests.s3.errors import refusal, refused
from tests.serving import Person, Served

HEADER = "x-mediaconvert-job-id"


@pytest.fixture
def pipeline(served: Served, person: Person) -> int:
    return served.pipeline(person, "shrink")


def job_of(served: Served, person: Person, answer: dict[str, Any]) -> Job:
    job_id = JobId(int(answer["ResponseMetadata"]["HTTPHeaders"][HEADER]))
    return served.run(served.catalog.jobs.get, person.user_id, job_id)


def jobs(served: Served, person: Person) -> int:
    return served.run(served.catalog.jobs.list, person.user_id, None, 0, 1).total


@pytest.mark.parametrize("name", ["Pipeline", "pipeline", "PIPELINE"])
def test_an_upload_starts_its_job(
    served: Served, person: Person, s3: Any, bucket: str, pipeline: int, name: str
) -> None:
    answer = s3.put_object(Bucket=bucket, Key="k.mp4", Body=b"film", Metadata={name: "shrink"})
    job = job_of(served, person, answer)
    assert (job.status, job.source_key, job.source_size) == (JobStatus.PENDING, "k.mp4", 4)
    assert (job.version_id, job.bucket_name) == (pipeline, bucket)
    for call in (s3.head_object, s3.get_object):
        told = call(Bucket=bucket, Key="k.mp4")
        if "Body" in told:
            assert told["Body"].read() == b"film"
        headers = told["ResponseMetadata"]["HTTPHeaders"]
        assert headers[HEADER] == str(job.id)
        assert headers["x-mediaconvert-job-status"] == "pending"
        assert headers["x-mediaconvert-job-progress"] == "0.0"


def test_an_upload_without_a_pipeline_starts_none(
    served: Served, person: Person, s3: Any, bucket: str, pipeline: int
) -> None:
    answer = s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"other": "shrink"})
    assert HEADER not in answer["ResponseMetadata"]["HTTPHeaders"]
    assert jobs(served, person) == 0


def test_the_worker_is_told(served: Served, s3: Any, bucket: str, pipeline: int) -> None:
    started, told = trio.Event(), trio.Event()

    async def listen() -> str:
        async with served.notices.subscribe(Topic.JOB_READY) as subscription:
            started.set()
            with trio.fail_after(WAIT_SECONDS):
                notice = await subscription.receive()
            told.set()
            return notice.value

    async def both() -> tuple[str, str]:
        values: list[str] = []

        async def listener() -> None:
            values.append(await listen())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener)
            await started.wait()
            answer = await trio.to_thread.run_sync(
                lambda: s3.put_object(
                    Bucket=bucket, Key="k", Body=b"x", Metadata={"pipeline": "shrink"}
                )
            )
        return values[0], answer["ResponseMetadata"]["HTTPHeaders"][HEADER]

    value, job_id = served.run(both)
    assert value == job_id


def test_an_unknown_pipeline_is_refused_everywhere(
    served: Served, person: Person, s3: Any, bucket: str, pipeline: int
) -> None:
    before = served.blob_files()
    wanted = {"Bucket": bucket, "Key": "k", "Metadata": {"Pipeline": "shrnk"}}
    error = refusal(s3.put_object, **wanted, Body=b"x" * 100)
    assert error["Code"] == "InvalidArgument"
    assert error["Message"] == "pipeline 'shrnk' does not exist; did you mean 'shrink'?"
    assert refused(s3.create_multipart_upload, **wanted) == (400, "InvalidArgument")
    s3.put_object(Bucket=bucket, Key="src", Body=b"")
    source = {"Bucket": bucket, "Key": "src"}
    assert refused(s3.copy_object, **wanted, CopySource=source, MetadataDirective="REPLACE") == (
        400,
        "InvalidArgument",
    )
    assert served.blob_files() == before
    assert jobs(served, person) == 0


def test_anothers_pipeline_is_unknown(served: Served, s3: Any, bucket: str) -> None:
    served.pipeline(served.person(), "theirs")
    assert refused(
        s3.put_object, Bucket=bucket, Key="k", Body=b"", Metadata={"pipeline": "theirs"}
    ) == (400, "InvalidArgument")


def test_a_multipart_uploads_job_starts_at_its_completion(
    served: Served, person: Person, s3: Any, bucket: str, pipeline: int
) -> None:
    args = {"Bucket": bucket, "Key": "k"}
    created = s3.create_multipart_upload(**args, Metadata={"Pipeline": "shrink"})
    args["UploadId"] = created["UploadId"]
    part = s3.upload_part(**args, PartNumber=1, Body=b"film")
    assert jobs(served, person) == 0
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    answer = s3.complete_multipart_upload(**args, MultipartUpload=parts)
    assert job_of(served, person, answer).source_size == 4
    again = s3.complete_multipart_upload(**args, MultipartUpload=parts)
    assert job_of(served, person, again).id == job_of(served, person, answer).id
    assert jobs(served, person) == 1


def test_a_copy_starts_a_job_only_with_new_metadata(
    served: Served, person: Person, s3: Any, bucket: str, pipeline: int
) -> None:
    s3.put_object(Bucket=bucket, Key="src", Body=b"film", Metadata={"Pipeline": "shrink"})
    source = {"Bucket": bucket, "Key": "src"}
    copied = s3.copy_object(Bucket=bucket, Key="a", CopySource=source)
    assert HEADER not in copied["ResponseMetadata"]["HTTPHeaders"]
    s3.copy_object(Bucket=bucket, Key="b", CopySource=source, StorageClass="GLACIER")
    assert s3.head_object(Bucket=bucket, Key="a")["Metadata"] == {"pipeline": "shrink"}
    assert jobs(served, person) == 1
    replaced = s3.copy_object(
        Bucket=bucket,
        Key="c",
        CopySource=source,
        MetadataDirective="REPLACE",
        Metadata={"Pipeline": "shrink"},
    )
    assert job_of(served, person, replaced).source_key == "c"
    assert jobs(served, person) == 2


def test_a_waiting_job_keeps_its_source_through_overwrite_and_delete(
    served: Served, s3: Any, bucket: str, pipeline: int
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"first", Metadata={"pipeline": "shrink"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"second")
    s3.delete_object(Bucket=bucket, Key="k")

    async def read_source() -> bytes:
        (claimed,) = [
            job
            for job in await served.catalog.queue.claim("worker", 1000, 60.0)
            if job.bucket.name == bucket
        ]
        async with served.blobs.open(claimed.source.segments) as pieces:
            return b"".join([piece async for piece in pieces])

    assert served.run(read_source) == b"first"
