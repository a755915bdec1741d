"""What a fault costs: its own request, told as S3 tells it, and nothing else."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import IncompleteReadError, ResponseStreamingError

from mediaconvert.model import BucketRef, ListPage, ListQuery
from mediaconvert.ports.catalog import Catalog
from tests.s3.errors import refused
from tests.s3.signing import Signer
from tests.s3.test_multipart import MIB, Upload
from tests.serving import Served, serving


class WithABug:
    """A catalog's objects, whose listing fails as no catalog may."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def list(self, ref: BucketRef, query: ListQuery) -> ListPage:
        raise RuntimeError("a bug, with something private in it")


def test_a_bug_is_one_internal_error_and_one_log_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def change(catalog: Catalog) -> Catalog:
        return dataclasses.replace(catalog, objects=WithABug(catalog.objects))

    with serving(tmp_path, change=change) as served:
        person = served.person()
        s3 = served.client(person)
        s3.create_bucket(Bucket="with-a-bug")
        answer = Signer(served, person).send("GET", "/with-a-bug")
        assert (answer.status, answer.code) == (500, "InternalError")
        assert b"private" not in answer.body
        s3.put_object(Bucket="with-a-bug", Key="k", Body=b"the service goes on")
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert errors[0].fields["request_id"] == answer.headers["x-amz-request-id"]


def blobs_of(served: Served, ref: BucketRef, key: str) -> list[Path]:
    stored = served.run(served.catalog.objects.get, ref, key)
    found = []
    for segment in stored.segments:
        (path,) = (served.folder / "blobs").rglob(segment.blob_id)
        found.append(path)
    return found


def test_a_missing_blob_is_a_500_before_the_status_is_sent(
    served: Served, person: Any, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 1000)
    (path,) = blobs_of(served, BucketRef(person.user_id, bucket), "k")
    path.unlink()
    assert refused(s3.get_object, Bucket=bucket, Key="k") == (500, "InternalError")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 1000


def test_a_blob_that_fails_half_way_cuts_the_answer_short(
    served: Served, person: Any, s3: Any, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    upload = Upload(s3, bucket)
    upload.put(1, b"x" * 5 * MIB)
    upload.put(2, b"y" * 1000)
    upload.complete()
    blobs_of(served, BucketRef(person.user_id, bucket), "k")[1].unlink()
    body = s3.get_object(Bucket=bucket, Key="k")["Body"]
    with pytest.raises((IncompleteReadError, ResponseStreamingError)):
        body.read()
    body.close()
    assert "cut short" in caplog.text
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
