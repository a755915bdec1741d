from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest
from botocore.handlers import validate_bucket_name

from mediaconvert.settings import S3Settings
from tests.s3.errors import refusal, refused
from tests.serving import Person, Served, serving


def name() -> str:
    return f"b-{secrets.token_hex(8)}"


def test_a_new_bucket_is_listed_with_its_owner(served: Served, s3: Any, person: Person) -> None:
    names = sorted(name() for _ in range(3))
    for each in names:
        assert s3.create_bucket(Bucket=each)["Location"] == f"/{each}"
    listed = s3.list_buckets()
    assert [b["Name"] for b in listed["Buckets"]] == names
    assert listed["Owner"] == {"ID": str(person.user_id), "DisplayName": person.email}
    assert all(b["CreationDate"].year >= 2024 for b in listed["Buckets"])


def test_listing_buckets_goes_by_pages_and_prefix(s3: Any) -> None:
    stem = name()
    names = [f"{stem}-{n}" for n in range(5)]
    for each in [*names, name()]:
        s3.create_bucket(Bucket=each)
    pages = list(
        s3.get_paginator("list_buckets").paginate(Prefix=stem, PaginationConfig={"PageSize": 2})
    )
    assert [[b["Name"] for b in p["Buckets"]] for p in pages] == [
        names[:2],
        names[2:4],
        names[4:],
    ]
    assert refused(s3.list_buckets, ContinuationToken="nonsense") == (400, "InvalidArgument")
    assert refused(s3.list_buckets, MaxBuckets=10_001) == (400, "InvalidArgument")


def test_creating_ones_own_bucket_again_is_a_conflict(s3: Any, bucket: str) -> None:
    assert refused(s3.create_bucket, Bucket=bucket) == (409, "BucketAlreadyOwnedByYou")


def test_names_are_global(served: Served, bucket: str) -> None:
    other = served.client(served.person())
    assert refused(other.create_bucket, Bucket=bucket) == (409, "BucketAlreadyExists")


@pytest.mark.parametrize("bad", ["ab", "Upper", "a..b", "192.168.1.1", "x" * 64])
def test_a_name_that_no_bucket_may_have_is_refused(
    served: Served, person: Person, bad: str
) -> None:
    client = served.client(person)
    # The client would refuse some of these itself.
    client.meta.events.unregister("before-parameter-build.s3", validate_bucket_name)
    assert refused(client.create_bucket, Bucket=bad) == (400, "InvalidBucketName")


def test_the_location_constraint_becomes_the_buckets_region(s3: Any) -> None:
    here, there = name(), name()
    s3.create_bucket(Bucket=here)
    s3.create_bucket(Bucket=there, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert s3.get_bucket_location(Bucket=here)["LocationConstraint"] is None
    assert s3.get_bucket_location(Bucket=there)["LocationConstraint"] == "eu-central-1"
    assert s3.head_bucket(Bucket=there)["BucketRegion"] == "eu-central-1"
    assert s3.head_bucket(Bucket=here)["BucketRegion"] == "us-east-1"


def test_a_service_of_one_region_refuses_others(tmp_path: Path) -> None:
    with serving(tmp_path, s3=S3Settings(region="eu-west-1", any_region=False)) as served:
        s3 = served.client(served.person(), region_name="eu-west-1")
        mine, wrong = name(), name()
        s3.create_bucket(Bucket=mine, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        assert s3.get_bucket_location(Bucket=mine)["LocationConstraint"] == "eu-west-1"
        config = {"LocationConstraint": "eu-north-1"}
        assert refused(s3.create_bucket, Bucket=wrong, CreateBucketConfiguration=config) == (
            400,
            "InvalidLocationConstraint",
        )


def test_a_user_may_not_have_more_buckets_than_the_limit(tmp_path: Path) -> None:
    with serving(tmp_path, s3=S3Settings(max_buckets=2)) as served:
        s3 = served.client(served.person())
        s3.create_bucket(Bucket=name())
        s3.create_bucket(Bucket=name())
        assert refused(s3.create_bucket, Bucket=name()) == (400, "TooManyBuckets")


def test_only_an_empty_bucket_is_deleted(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert refused(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.delete_object(Bucket=bucket, Key="k")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    assert refused(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    assert s3.delete_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(s3.head_bucket, Bucket=bucket)[0] == 404


def test_a_missing_bucket_is_named_in_the_error(s3: Any) -> None:
    missing = name()
    error = refusal(s3.list_objects_v2, Bucket=missing)
    assert (error["Code"], error["BucketName"]) == ("NoSuchBucket", missing)
    assert refused(s3.delete_bucket, Bucket=missing) == (404, "NoSuchBucket")
    assert refused(s3.get_bucket_location, Bucket=missing) == (404, "NoSuchBucket")
    assert refused(s3.put_object, Bucket=missing, Key="k", Body=b"x") == (404, "NoSuchBucket")


def test_what_clients_probe_is_answered_truthfully(s3: Any, bucket: str, person: Person) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    acl = s3.get_bucket_acl(Bucket=bucket)
    assert acl["Owner"]["ID"] == str(person.user_id)
    assert [g["Permission"] for g in acl["Grants"]] == ["FULL_CONTROL"]
    assert acl["Grants"][0]["Grantee"]["Type"] == "CanonicalUser"
    assert refused(s3.get_bucket_policy, Bucket=bucket) == (501, "NotImplemented")


def test_an_acl_that_would_open_a_bucket_is_refused(s3: Any) -> None:
    s3.create_bucket(Bucket=name(), ACL="private")
    assert refused(s3.create_bucket, Bucket=name(), ACL="public-read") == (
        400,
        "AccessControlListNotSupported",
    )
    assert refused(s3.create_bucket, Bucket=name(), ObjectLockEnabledForBucket=True) == (
        501,
        "NotImplemented",
    )


def test_the_expected_owner_must_be_the_caller(s3: Any, bucket: str, person: Person) -> None:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=str(person.user_id))
    expected = str(int(person.user_id) + 1)
    assert refused(s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner=expected) == (
        403,
        "AccessDenied",
    )
