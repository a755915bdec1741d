"""Two users never reach each other's anything; a revoked key reaches nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio.testing

from mediaconvert.model import UserId
from mediaconvert.ports.notices import Notice, Topic
from tests.s3.errors import refused
from tests.serving import Person, Served

PARTS = {"Parts": [{"PartNumber": 1, "ETag": "x"}]}
DELETE = {"Objects": [{"Key": "k"}]}

CALLS: dict[str, Callable[[Any, str, str], Any]] = {
    "head_bucket": lambda c, b, u: c.head_bucket(Bucket=b),
    "delete_bucket": lambda c, b, u: c.delete_bucket(Bucket=b),
    "location": lambda c, b, u: c.get_bucket_location(Bucket=b),
    "versioning": lambda c, b, u: c.get_bucket_versioning(Bucket=b),
    "bucket_acl": lambda c, b, u: c.get_bucket_acl(Bucket=b),
    "list": lambda c, b, u: c.list_objects(Bucket=b),
    "list_v2": lambda c, b, u: c.list_objects_v2(Bucket=b),
    "list_none": lambda c, b, u: c.list_objects_v2(Bucket=b, MaxKeys=0),
    "get": lambda c, b, u: c.get_object(Bucket=b, Key="k"),
    "head": lambda c, b, u: c.head_object(Bucket=b, Key="k"),
    "attributes": lambda c, b, u: c.get_object_attributes(
        Bucket=b, Key="k", ObjectAttributes=["ETag"]
    ),
    "acl": lambda c, b, u: c.get_object_acl(Bucket=b, Key="k"),
    "tags": lambda c, b, u: c.get_object_tagging(Bucket=b, Key="k"),
    "put": lambda c, b, u: c.put_object(Bucket=b, Key="k", Body=b"mine"),
    "delete": lambda c, b, u: c.delete_object(Bucket=b, Key="k"),
    "delete_many": lambda c, b, u: c.delete_objects(Bucket=b, Delete=DELETE),
    "copy_into": lambda c, b, u: c.copy_object(
        Bucket=b, Key="k", CopySource={"Bucket": "strangers-own", "Key": "s"}
    ),
    "copy_from": lambda c, b, u: c.copy_object(
        Bucket="strangers-own", Key="k", CopySource={"Bucket": b, "Key": "k"}
    ),
    "create_upload": lambda c, b, u: c.create_multipart_upload(Bucket=b, Key="k"),
    "list_uploads": lambda c, b, u: c.list_multipart_uploads(Bucket=b),
    "list_parts": lambda c, b, u: c.list_parts(Bucket=b, Key="k", UploadId=u),
    "part": lambda c, b, u: c.upload_part(
        Bucket=b, Key="k", UploadId=u, PartNumber=1, Body=b"mine"
    ),
    "complete": lambda c, b, u: c.complete_multipart_upload(
        Bucket=b, Key="k", UploadId=u, MultipartUpload=PARTS
    ),
    "abort": lambda c, b, u: c.abort_multipart_upload(Bucket=b, Key="k", UploadId=u),
}


@pytest.fixture(scope="module")
def stranger(served: Served) -> Any:
    client = served.client(served.person("stranger"))
    client.create_bucket(Bucket="strangers-own")
    client.put_object(Bucket="strangers-own", Key="s", Body=b"x")
    return client


@pytest.mark.parametrize("name", CALLS)
def test_a_strangers_call_is_refused_and_changes_nothing(
    s3: Any, bucket: str, stranger: Any, name: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"theirs")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    assert refused(CALLS[name], stranger, bucket, upload)[0] == 403
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"theirs"
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


@pytest.mark.parametrize("name", CALLS)
def test_a_call_without_a_signature_is_refused(served: Served, bucket: str, name: str) -> None:
    nobody = served.client(Person(UserId(0), "", "UNKNOWNKEY", "unknown secret"))
    assert refused(CALLS[name], nobody, bucket, "u")[0] == 403


def test_an_upload_id_opens_nothing_in_another_bucket(s3: Any, bucket: str, stranger: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    for call in (CALLS["part"], CALLS["list_parts"], CALLS["complete"], CALLS["abort"]):
        assert refused(call, stranger, "strangers-own", upload) == (404, "NoSuchUpload")


def test_strangers_buckets_are_not_listed(bucket: str, stranger: Any) -> None:
    assert [b["Name"] for b in stranger.list_buckets()["Buckets"]] == ["strangers-own"]


def test_a_revoked_key_is_refused_at_once(served: Served, person: Person, bucket: str) -> None:
    further = served.credential_of(person)
    client = served.client(further)
    client.head_bucket(Bucket=bucket)

    async def revoke() -> None:
        key = await served.catalog.credentials.by_access_key(further.access_key)
        assert key is not None
        await served.catalog.credentials.revoke(person.user_id, key.credential_id)
        await served.notices.publish(Notice(Topic.CREDENTIAL_REVOKED, further.access_key))
        # The notice is a hint: only once its receiver has run is the key forgotten.
        await trio.testing.wait_all_tasks_blocked()

    served.run(revoke)
    assert refused(client.list_objects_v2, Bucket=bucket) == (403, "InvalidAccessKeyId")
