"""Two users cannot see, guess or touch each other's anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.program import PHOTO, Person


@pytest.fixture
def owned(person: Person) -> dict[str, int]:
    pipeline = person.save_pipeline("image-resize")
    job = person.upload("secret.jpg", PHOTO, "image-resize")
    assert job is not None
    person.wait_for_job(job)
    return {"pipeline": pipeline, "job": job, "credential": int(person.keys["id"])}


REST_CALLS = [
    ("GET", "/api/pipelines/{pipeline}"),
    ("PUT", "/api/pipelines/{pipeline}"),
    ("DELETE", "/api/pipelines/{pipeline}"),
    ("GET", "/api/jobs/{job}"),
    ("GET", "/api/jobs/{job}/history"),
    ("POST", "/api/jobs/{job}/cancel"),
    ("POST", "/api/jobs/{job}/rerun"),
    ("DELETE", "/api/s3-credentials/{credential}"),
]


@pytest.mark.parametrize(("method", "path"), REST_CALLS)
def test_a_foreign_id_answers_exactly_as_a_missing_one(
    owned: dict[str, int], stranger: Person, method: str, path: str
) -> None:
    body = {"name": "n", "format": "yaml", "content": "name: n"} if method == "PUT" else None
    missing_ids = dict.fromkeys(owned, 987654321)
    foreign = stranger.rest.request(method, path.format(**owned), json=body)
    missing = stranger.rest.request(method, path.format(**missing_ids), json=body)
    if method == "PUT":  # the text is checked first, for everybody alike
        assert foreign.status_code == missing.status_code
        return
    assert foreign.status_code == missing.status_code == 404

    def neutral(answer: dict[str, Any], ids: dict[str, int]) -> str:
        text = str({k: v for k, v in answer.items() if k != "request_id"})
        for value in ids.values():
            text = text.replace(str(value), "ID")
        return text

    assert neutral(foreign.json(), owned) == neutral(missing.json(), missing_ids)


S3_CALLS: dict[str, Callable[[Any, str], object]] = {
    "read": lambda s3, b: s3.get_object(Bucket=b, Key="secret.jpg"),
    "head": lambda s3, b: s3.head_object(Bucket=b, Key="secret.jpg"),
    "write": lambda s3, b: s3.put_object(Bucket=b, Key="new", Body=b"x"),
    "delete": lambda s3, b: s3.delete_object(Bucket=b, Key="secret.jpg"),
    "delete many": lambda s3, b: s3.delete_objects(
        Bucket=b, Delete={"Objects": [{"Key": "secret.jpg"}]}
    ),
    "list": lambda s3, b: s3.list_objects_v2(Bucket=b),
    "list v1": lambda s3, b: s3.list_objects(Bucket=b),
    "list uploads": lambda s3, b: s3.list_multipart_uploads(Bucket=b),
    "begin an upload": lambda s3, b: s3.create_multipart_upload(Bucket=b, Key="new"),
    "delete the bucket": lambda s3, b: s3.delete_bucket(Bucket=b),
    "head the bucket": lambda s3, b: s3.head_bucket(Bucket=b),
    "attributes": lambda s3, b: s3.get_object_attributes(
        Bucket=b, Key="secret.jpg", ObjectAttributes=["ETag"]
    ),
}


@pytest.mark.parametrize("call", S3_CALLS)
def test_a_stranger_is_denied_everything_in_a_bucket(
    owned: dict[str, int], person: Person, stranger: Person, call: str
) -> None:
    with pytest.raises(stranger.s3.exceptions.ClientError) as caught:
        S3_CALLS[call](stranger.s3, person.bucket)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert person.read("secret.jpg") == PHOTO.read_bytes()


def test_nothing_can_be_copied_out_of_a_foreign_bucket(
    owned: dict[str, int], person: Person, stranger: Person
) -> None:
    with pytest.raises(stranger.s3.exceptions.ClientError) as caught:
        stranger.s3.copy_object(
            Bucket=stranger.bucket, Key="k", CopySource=f"{person.bucket}/secret.jpg"
        )
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    assert stranger.keys_below("") == []


def test_lists_show_only_what_is_ones_own(owned: dict[str, int], stranger: Person) -> None:
    assert stranger.get("/api/jobs")["jobs"] == []
    assert stranger.get("/api/pipelines")["pipelines"] == []
    assert [c["id"] for c in stranger.get("/api/s3-credentials")["credentials"]] == [
        stranger.keys["id"]
    ]
    names = [b["Name"] for b in stranger.s3.list_buckets()["Buckets"]]
    assert names == [stranger.bucket]
    assert stranger.get("/api/analytics/jobs/stats")["total_jobs"] == 0


def test_a_pipeline_of_another_user_cannot_be_named(
    owned: dict[str, int], stranger: Person
) -> None:
    with pytest.raises(stranger.s3.exceptions.ClientError) as caught:
        stranger.upload("k", PHOTO, "image-resize")
    assert "you have saved none yet" in caught.value.response["Error"]["Message"]


def test_a_revoked_key_is_refused_and_its_objects_stay(person: Person) -> None:
    person.upload("k", b"kept")
    more = {"bucket_name": person.bucket, "existing": True}
    second = person.post("/api/s3-credentials", 201, more)
    assert person.rest.delete(f"/api/s3-credentials/{person.keys['id']}").status_code == 200
    with pytest.raises(person.s3.exceptions.ClientError) as caught:
        person.read("k")
    assert caught.value.response["Error"]["Code"] == "InvalidAccessKeyId"
    person.keys = second
    person.move_to(person.url)  # with the other key
    assert person.read("k") == b"kept"
