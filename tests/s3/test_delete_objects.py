from __future__ import annotations

from typing import Any

from tests.s3.errors import refused
from tests.serving import Served


def test_a_deleted_key_is_gone_and_its_blob_is_garbage(
    served: Served, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 100)
    answer = s3.delete_object(Bucket=bucket, Key="k")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(s3.get_object, Bucket=bucket, Key="k") == (404, "NoSuchKey")
    assert len(served.run(served.catalog.housekeeping.garbage, 1000)) >= 1


def test_deleting_what_is_not_there_is_no_error(s3: Any, bucket: str) -> None:
    answer = s3.delete_object(Bucket=bucket, Key="never was")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204


def test_a_delete_on_a_condition(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    wanted = {"Bucket": bucket, "Key": "k"}
    assert refused(s3.delete_object, **wanted, IfMatch='"other"') == (412, "PreconditionFailed")
    s3.delete_object(**wanted, IfMatch=etag)
    assert refused(s3.head_object, **wanted)[0] == 404


def test_many_keys_at_once_each_answer_for_themselves(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="keep", Body=b"1")["ETag"]
    for n in range(3):
        s3.put_object(Bucket=bucket, Key=f"k{n}", Body=b"x")
    answer = s3.delete_objects(
        Bucket=bucket,
        Delete={
            "Objects": [
                {"Key": "k0"},
                {"Key": "keep", "ETag": "not this"},
                {"Key": "k1", "VersionId": "null"},
                {"Key": "k2", "VersionId": "some-version"},
                {"Key": "never was"},
            ]
        },
    )
    assert [d["Key"] for d in answer["Deleted"]] == ["k0", "k1", "never was"]
    assert [(e["Key"], e["Code"]) for e in answer["Errors"]] == [
        ("keep", "PreconditionFailed"),
        ("k2", "NoSuchVersion"),
    ]
    left = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert left == ["k2", "keep"]
    quiet = s3.delete_objects(
        Bucket=bucket,
        Delete={"Objects": [{"Key": "k2"}, {"Key": "keep", "ETag": etag}], "Quiet": True},
    )
    assert "Deleted" not in quiet
    assert "Errors" not in quiet
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_a_thousand_keys_are_deleted_and_one_more_is_refused(s3: Any, bucket: str) -> None:
    keys = [{"Key": f"<&>\n{n:04}" + "é" * 100} for n in range(1000)]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys})
    assert [{"Key": d["Key"]} for d in answer["Deleted"]] == keys
    assert refused(
        s3.delete_objects, Bucket=bucket, Delete={"Objects": [*keys, {"Key": "more"}]}
    ) == (400, "MalformedXML")


def test_a_document_without_a_digest_or_with_a_wrong_one_deletes_nothing(
    s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    delete = {"Objects": [{"Key": "k"}]}

    def forge(request: Any, **_: object) -> None:
        for name in [n for n in request.headers if n.lower() in digests]:
            del request.headers[name]
        for name, value in forged.items():
            request.headers[name] = value

    digests = {"content-md5", "x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm"}
    s3.meta.events.register("before-sign.s3.DeleteObjects", forge)
    forged: dict[str, str] = {}
    assert refused(s3.delete_objects, Bucket=bucket, Delete=delete) == (400, "InvalidRequest")
    forged = {"x-amz-checksum-crc32": "AAAAAA=="}
    assert refused(s3.delete_objects, Bucket=bucket, Delete=delete) == (400, "BadDigest")
    s3.head_object(Bucket=bucket, Key="k")
