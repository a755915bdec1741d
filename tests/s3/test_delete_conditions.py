"""Conditions on DeleteObject, DeleteObjects and AbortMultipartUpload, as boto3 sends them."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest

from tests.s3.errors import refused
from tests.s3.signing import Signer, read_answer

HOUR = timedelta(hours=1)


@pytest.fixture
def stored(s3: Any, bucket: str) -> dict[str, Any]:
    """HEAD of the object `k`, of five bytes."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    head: dict[str, Any] = s3.head_object(Bucket=bucket, Key="k")
    return head


def test_a_delete_on_size_and_time(s3: Any, bucket: str, stored: dict[str, Any]) -> None:
    wanted = {"Bucket": bucket, "Key": "k"}
    true = {"IfMatchSize": 5, "IfMatchLastModifiedTime": stored["LastModified"]}
    for false in (
        {"IfMatchSize": 4},
        {"IfMatchLastModifiedTime": stored["LastModified"] - HOUR},
        true | {"IfMatch": "other"},
        true | {"IfMatch": stored["ETag"], "IfMatchSize": 6},
    ):
        assert refused(s3.delete_object, **wanted, **false) == (412, "PreconditionFailed")
        s3.head_object(**wanted)
    s3.delete_object(**wanted, IfMatch=stored["ETag"], **true)
    assert refused(s3.head_object, **wanted)[0] == 404
    # S3 API: DeleteObject: where there is no object, the answer is 204.
    s3.delete_object(**wanted, **true)


def test_the_time_that_a_list_shows_meets_the_condition(
    s3: Any, signer: Signer, bucket: str, stored: dict[str, Any]
) -> None:
    (listed,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    shown = listed["LastModified"].strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    headers = {"x-amz-if-match-last-modified-time": shown}
    assert signer.send("DELETE", f"/{bucket}/k", headers).status == 204
    assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("If-Match", ""),
        ("If-Unmodified-Since", "yesterday"),
        ("x-amz-if-match-size", "five"),
        ("x-amz-if-match-size", str(2**64)),
        ("x-amz-if-match-size", "9" * 5000),
        ("x-amz-if-match-last-modified-time", "yesterday"),
    ],
)
def test_a_delete_on_a_malformed_condition_deletes_nothing(
    s3: Any, signer: Signer, bucket: str, stored: dict[str, Any], name: str, value: str
) -> None:
    answer = signer.send("DELETE", f"/{bucket}/k", {name: value})
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    s3.head_object(Bucket=bucket, Key="k")


def test_each_of_many_deletes_has_its_own_conditions(
    s3: Any, bucket: str, stored: dict[str, Any]
) -> None:
    false: list[dict[str, Any]] = [
        {"Size": 4},
        {"LastModifiedTime": stored["LastModified"] - HOUR},
        {"ETag": "other", "Size": 5},
        {"ETag": stored["ETag"], "Size": 5, "LastModifiedTime": stored["LastModified"] + HOUR},
    ]
    answer = s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "k", **each} for each in false]}
    )
    assert [e["Code"] for e in answer["Errors"]] == ["PreconditionFailed"] * len(false)
    assert "Deleted" not in answer
    s3.head_object(Bucket=bucket, Key="k")
    true = {"ETag": stored["ETag"], "Size": 5, "LastModifiedTime": stored["LastModified"]}
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k", **true}]})
    assert [d["Key"] for d in answer["Deleted"]] == ["k"]
    assert refused(s3.head_object, Bucket=bucket, Key="k")[0] == 404


def post(signer: Signer, target: str, body: bytes) -> tuple[int, str]:
    """A signed document, as no SDK would write it."""
    digest = hashlib.sha256(body).hexdigest()
    md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    headers = {"Content-Length": str(len(body)), "Content-MD5": md5}
    with signer.served.connect() as connection:
        connection.sendall(signer.head("POST", target, headers, payload=digest) + body)
        answer = read_answer(connection)
    return answer.status, answer.code


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        (b"<IfMatchOwner>x</IfMatchOwner>", "MalformedXML"),
        (b"<ETag>other</ETag><ETag>*</ETag>", "MalformedXML"),
        (b"<Size>5</Size><Size>4</Size>", "MalformedXML"),
        (b"<size>4</size>", "MalformedXML"),
    ],
)
def test_a_document_that_is_not_understood_deletes_nothing(
    s3: Any, signer: Signer, bucket: str, stored: dict[str, Any], inner: bytes, code: str
) -> None:
    body = b"<Delete><Object><Key>k</Key>" + inner + b"</Object></Delete>"
    assert post(signer, f"/{bucket}?delete", body) == (400, code)
    unknown = b"<Delete><Object><Key>k</Key></Object><DryRun>true</DryRun></Delete>"
    assert post(signer, f"/{bucket}?delete", unknown) == (400, "MalformedXML")
    s3.head_object(Bucket=bucket, Key="k")


@pytest.mark.parametrize("name", ["ETag", "Size", "LastModifiedTime"])
@pytest.mark.parametrize("value", ["", '""', "five", "9" * 5000], ids=lambda value: value[:9])
def test_a_malformed_condition_is_the_error_of_its_entry_alone(
    s3: Any, signer: Signer, bucket: str, stored: dict[str, Any], name: str, value: str
) -> None:
    s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    body = (
        f"<Delete><Object><Key>k</Key><{name}>{value}</{name}></Object>"
        "<Object><Key>other</Key></Object></Delete>"
    ).encode()
    is_an_etag = name == "ETag" and value not in ("", '""')
    code = "PreconditionFailed" if is_an_etag else "InvalidArgument"
    assert post(signer, f"/{bucket}?delete", body) == (200, code)
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["k"]


def test_aborting_an_upload_on_its_time_of_initiation(s3: Any, bucket: str) -> None:
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    (listed,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    wanted = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    made = listed["Initiated"]
    assert refused(s3.abort_multipart_upload, **wanted, IfMatchInitiatedTime=made - HOUR) == (
        412,
        "PreconditionFailed",
    )
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    s3.abort_multipart_upload(**wanted, IfMatchInitiatedTime=made)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
