"""Headers that clients add to every request: none of them may cost the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mediaconvert.api.s3.table import ROUTES
from tests.s3.signing import Signer
from tests.s3.stocked import Stocked, stock
from tests.serving import Person, Served

OPERATIONS = [row.operation for row in ROUTES.rows if row.handler is not None]

# Beside these botocore itself adds amz-sdk-invocation-id and amz-sdk-request to each call.
CLIENTS: Mapping[str, Mapping[str, str]] = {
    "SDK for C++": {
        "x-amz-api-version": "2006-03-01",
        "x-amz-sdk-checksum-algorithm": "CRC32",
    },
    "SDK for Java 2": {
        "x-amz-checksum-mode": "ENABLED",
        "x-amz-te": "append-md5",
    },
    "SDK for JavaScript": {
        "x-amz-sdk-checksum-algorithm": "CRC32",
        "x-amz-user-agent": "aws-sdk-js/3.940.0",
    },
    "CloudFront": {"x-amz-cf-id": "a-hV3Fqk==", "x-amzn-trace-id": "Root=1-67891233-abcdef"},
}


@pytest.fixture
def stocked(s3: Any, person: Person) -> Stocked:
    return stock(s3, person)


def add_headers(s3: Any, headers: Mapping[str, str]) -> None:
    def add(request: Any, **_: object) -> None:
        for name, value in headers.items():
            del request.headers[name]
            request.headers[name] = value

    s3.meta.events.register_last("before-sign.s3", add)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_headers_of_a_client_on_every_operation(
    stocked: Stocked, operation: str, client: str
) -> None:
    add_headers(stocked.s3, CLIENTS[client])
    stocked.call(operation, stocked.base(operation))


@pytest.mark.parametrize("directive", ["COPY", "REPLACE"])
def test_s3cmds_directive_where_a_large_copy_begins(stocked: Stocked, directive: str) -> None:
    """The metadata come from the request, whatever the directive."""
    params = stocked.base("CreateMultipartUpload") | {"Metadata": {"a": "b"}}

    def add(request: Any, **_: object) -> None:
        request.headers["x-amz-metadata-directive"] = directive

    stocked.s3.meta.events.register_last("before-sign.s3.CreateMultipartUpload", add)
    assert stocked.stored("CreateMultipartUpload", params)["Metadata"] == {"a": "b"}


def test_no_answer_announces_an_md5_behind_the_body(
    served: Served, stocked: Stocked, person: Person
) -> None:
    answer = Signer(served, person).send("GET", f"/{stocked.bucket}/k", {"x-amz-te": "append-md5"})
    assert len(answer.body) == 5
    assert "x-amz-transfer-encoding" not in answer.headers
