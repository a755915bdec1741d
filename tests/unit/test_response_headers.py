"""What the server makes of an application's response headers."""

from __future__ import annotations

import pytest
from botocore.awsrequest import AWSRequest
from botocore.handlers import add_retry_headers

from mediaconvert.api.drain import retries_left
from mediaconvert.api.response_headers import Headers, response_headers

SERVER: Headers = [(b"date", b"today"), (b"server", b"MediaConvert")]


def sent(status: int, *headers: tuple[bytes, bytes], must_close: bool = False) -> Headers:
    return response_headers(status, headers, SERVER, must_close=must_close)


def test_a_503_has_both_retry_headers_whoever_made_it() -> None:
    assert (b"retry-after", b"1") in sent(503)
    assert (b"x-amz-retry-after", b"1000") in sent(503)
    told = sent(503, (b"retry-after", b"7"))
    assert told.count((b"retry-after", b"7")) == told.count((b"x-amz-retry-after", b"7000")) == 1


def test_a_date_in_retry_after_is_replaced_by_the_default() -> None:
    assert (b"retry-after", b"1") in sent(503, (b"retry-after", b"Mon, 30 Nov 2026 21:49:30 GMT"))


def test_another_status_has_them_only_where_the_application_set_one() -> None:
    assert sent(500) == SERVER
    assert (b"x-amz-retry-after", b"900000") in sent(429, (b"retry-after", b"900"))


@pytest.mark.parametrize("must_close", [True, False])
def test_connection_close_is_sent_once(must_close: bool) -> None:
    twice = [(b"connection", b"close"), (b"connection", b"Keep-Alive, Close")]
    headers = sent(200, *twice, must_close=must_close)
    assert [value for name, value in headers if name == b"connection"] == [b"close"]


def test_the_connection_is_described_by_the_server_alone() -> None:
    fields = [
        *((b"connection", b"keep-alive"), (b"keep-alive", b"timeout=5"), (b"upgrade", b"h2c")),
        *((b"transfer-encoding", b"chunked"), (b"proxy-connection", b"close"), (b"te", b"gzip")),
    ]
    assert sent(200, (b"content-length", b"2"), *fields) == [(b"content-length", b"2"), *SERVER]


def test_a_date_of_the_application_is_not_doubled() -> None:
    assert sent(200, (b"date", b"then")) == [(b"date", b"then"), (b"server", b"MediaConvert")]


@pytest.mark.parametrize(
    ("header", "left"),
    [
        (b"attempt=1; max=3", 2),
        (b"attempt=2; max=3", 1),
        (b"ttl=20261130T221500Z; attempt=2; max=3", 1),
        (b"attempt=3; max=3", 0),
        (b"attempt=1", None),
        (b"attempt=1; max=9999999999", None),
        (b"", None),
        (None, None),
    ],
)
def test_the_attempt_of_an_sdk(header: bytes | None, left: int | None) -> None:
    assert retries_left(header) == left


def test_the_attempt_as_botocore_writes_it() -> None:
    request = AWSRequest("PUT", "http://127.0.0.1/b/k")
    retries = {"invocation-id": "1", "ttl": "20261130T221500Z", "attempt": 2, "max": 3}
    request.context["retries"] = retries
    add_retry_headers(request)
    assert retries_left(request.headers["amz-sdk-request"].encode()) == 1
