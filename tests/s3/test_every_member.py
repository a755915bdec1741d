"""Every input member that botocore knows is honoured, refused or harmless, and is shown to be.

The members come from the installed botocore: one that a new release brings fails here until it
is classified in `members.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.model import OperationModel, Shape, StructureShape

from mediaconvert.api.s3.table import ROUTES
from tests.s3.checks import Answers, Stores, check_of, run
from tests.s3.members import HARMLESS, HONOURED, REASONS, REFUSED, pairs
from tests.s3.signing import Signer, read_answer
from tests.s3.stocked import Stocked, stock
from tests.serving import Person, Served

MODEL = boto3.session.Session().client("s3", region_name="us-east-1").meta.service_model
IMPLEMENTED = [row.operation for row in ROUTES.rows if row.handler is not None]

VALUES: dict[str, object] = {
    "ACL": "public-read",
    "BucketNamespace": "account-regional",
    "GrantFullControl": 'id="1"',
    "ServerSideEncryption": "AES256",
    "Tagging": "a=b",
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": "0" * 32,
    "CopySourceSSECustomerKey": "0" * 32,
}


def leaves(shape: Shape, path: str) -> Iterator[tuple[str, Shape]]:
    """The members of a document, with their paths; of a map, the map."""
    if isinstance(shape, StructureShape):
        for name, member in shape.members.items():
            yield from leaves(member, f"{path}.{name}")
    elif shape.type_name == "list" and isinstance(shape.member, StructureShape):
        yield from leaves(shape.member, path)
    else:
        yield path, shape


def members(operation: str) -> dict[str, Shape]:
    model: OperationModel = MODEL.operation_model(operation)
    found: dict[str, Shape] = {}
    for name, shape in model.input_shape.members.items():
        found.update(leaves(shape, name))
    return found


def plausible(path: str, shape: Shape) -> object:
    name = path.rsplit(".", 1)[-1]
    if name in VALUES and not path.startswith("CreateBucketConfiguration"):
        return VALUES[name]
    match shape.type_name:
        case "boolean":
            return True
        case "integer" | "long":
            return 1
        case "timestamp":
            return datetime(2199, 1, 1, tzinfo=UTC)
        case "list":
            return [shape.member.enum[0]]
        case _:
            return getattr(shape, "enum", None)[0] if getattr(shape, "enum", None) else "value"


@pytest.fixture(scope="module")
def unchanged(served: Served) -> Stocked:
    """For calls that have no effect."""
    person = served.person()
    return stock(served.client(person), person)


@pytest.fixture
def stocked(s3: Any, person: Person) -> Stocked:
    return stock(s3, person)


@pytest.mark.parametrize("operation", IMPLEMENTED)
def test_every_member_is_classified_once(operation: str) -> None:
    named = [
        name for table in (HONOURED, REFUSED, HARMLESS) for name in table.get(operation, "").split()
    ]
    assert sorted(named) == sorted(members(operation))


def test_only_implemented_operations_are_classified() -> None:
    assert set(HONOURED) | set(REFUSED) | set(HARMLESS) == set(IMPLEMENTED)


def test_every_harmless_member_has_its_reason() -> None:
    assert {name for _, name in pairs(HARMLESS)} == set(REASONS)


@pytest.mark.parametrize(("operation", "path"), pairs(HONOURED))
def test_an_honoured_member(request: pytest.FixtureRequest, operation: str, path: str) -> None:
    check = check_of(operation, path)
    has_effect = isinstance(check, (Answers, Stores))
    at: Stocked = request.getfixturevalue("stocked" if has_effect else "unchanged")
    run(check, at, operation, path)


@pytest.mark.parametrize(("operation", "path"), pairs(REFUSED))
def test_a_refused_member_has_no_effect(unchanged: Stocked, operation: str, path: str) -> None:
    shape = members(operation)[path]
    params = unchanged.with_member(operation, path, plausible(path, shape))
    before = unchanged.state()
    status, code, message = unchanged.refusal(operation, params)
    assert 400 <= status < 500 or status == 501
    if operation != "HeadObject":
        assert code in {"NotImplemented", "AccessControlListNotSupported"} or status == 400
        named = {shape.serialization.get("name", ""), *path.split(".")[1:], "checksum algorithm"}
        assert any(name and name.lower() in message.lower() for name in named)
    assert unchanged.state() == before


@pytest.mark.parametrize(("operation", "path"), pairs(HARMLESS))
def test_a_harmless_member_is_accepted(stocked: Stocked, operation: str, path: str) -> None:
    value = plausible(path, members(operation)[path])
    stocked.call(operation, stocked.with_member(operation, path, value))


# What no model has, but HTTP or other clients: sent with a raw request.
UNKNOWN = [
    ("DELETE", "/{bucket}/k", "x-amz-if-match-owner", "1"),
    ("DELETE", "/{bucket}/k", "x-amz-if-match-initiated-time", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ("DELETE", "/{bucket}-empty", "If-Match", '"other"'),
    ("DELETE", "/{bucket}/k?uploadId={upload_id}", "If-Match", '"other"'),
    ("GET", "/{bucket}?list-type=2", "If-Match", '"other"'),
    ("GET", "/{bucket}/k", "x-amz-if-match-size", "4"),
    ("POST", "/{bucket}/new?uploads", "If-None-Match", "*"),
    ("PUT", "/{bucket}/new", "Content-Range", "bytes 0-4/10"),
    ("PUT", "/{bucket}/new", "x-amz-future-protection", "on"),
    ("PUT", "/{bucket}-new", "If-None-Match", "*"),
    ("PUT", "/{bucket}/k?partNumber=2&uploadId={upload_id}", "If-Match", '"other"'),
]


@pytest.mark.parametrize(("method", "target", "name", "value"), UNKNOWN)
def test_a_header_that_nobody_knows_has_no_effect(
    served: Served, unchanged: Stocked, method: str, target: str, name: str, value: str
) -> None:
    before = unchanged.state()
    filled = target.format(bucket=unchanged.bucket, upload_id=unchanged.upload_id)
    answer = Signer(served, unchanged.person).send(
        method, filled, {name: value, "Content-Length": "0"}
    )
    assert (answer.status, answer.code) == (501, "NotImplemented")
    assert name.lower().encode() in answer.body
    assert unchanged.state() == before


@pytest.mark.parametrize("is_presigned", [True, False])
def test_a_condition_in_the_query_counts(
    served: Served, unchanged: Stocked, is_presigned: bool
) -> None:
    target = f"/{unchanged.bucket}/k?x-amz-if-match-size=4"
    if is_presigned:
        url = f"{served.url}{target}"
        request = AWSRequest(method="DELETE", url=url)
        person = unchanged.person
        S3SigV4QueryAuth(
            Credentials(person.access_key, person.secret_key), "s3", "us-east-1"
        ).add_auth(request)
        with served.connect() as connection:
            path = request.url.removeprefix(served.url)
            host = served.url.removeprefix("http://")
            connection.sendall(f"DELETE {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            answer = read_answer(connection)
    else:
        answer = Signer(served, unchanged.person).send("DELETE", target)
    assert (answer.status, answer.code) == (412, "PreconditionFailed")


def test_values_that_ask_for_nothing_are_accepted(stocked: Stocked) -> None:
    at = {"Bucket": stocked.bucket, "Key": "k"}
    stocked.s3.put_object(
        **at, Body=b"1", ACL="private", ObjectLockLegalHoldStatus="OFF", BucketKeyEnabled=False
    )
    stocked.s3.delete_object(**at, BypassGovernanceRetention=False)
    new = f"{stocked.bucket}-new"
    stocked.s3.create_bucket(Bucket=new, ObjectLockEnabledForBucket=False, BucketNamespace="global")
