"""What a failure of the S3 store is called, by what the store answered."""

from __future__ import annotations

import pytest
import urllib3
from minio.error import InvalidResponseError, S3Error, ServerError

from mediaconvert.backends.blobs.s3_errors import refusal
from mediaconvert.errors import StorageFull, Unavailable


def answer(status: int, code: str, message: str = "secret.host.internal says no") -> S3Error:
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    return S3Error.fromxml(urllib3.HTTPResponse(body=body, status=status))


@pytest.mark.parametrize(
    "error",
    [
        answer(507, "XMinioStorageFull"),
        answer(403, "QuotaExceeded"),
        answer(507, "InsufficientStorage"),
        answer(507, "SomethingNew"),
        ServerError("server failed", 507),
        InvalidResponseError(507, "text/plain", "full"),
    ],
)
def test_a_full_store_or_quota_is_storage_full(error: Exception) -> None:
    assert isinstance(refusal("storing a blob", error), StorageFull)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (answer(503, "SlowDown"), "SlowDown"),
        (answer(403, "AccessDenied"), "AccessDenied"),
        (ServerError("server failed", 502), "HTTP status 502"),
        (InvalidResponseError(400, "text/html", "<html>"), "HTTP status 400"),
        (ValueError("could not convert"), "was not understood"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
    ],
)
def test_everything_else_is_unavailable_for_a_reason(error: Exception, words: str) -> None:
    found = refusal("storing a blob", error)
    assert type(found) is Unavailable
    assert str(found).startswith("the blob store failed while storing a blob: ")
    assert words in str(found)
    assert "secret.host" not in str(found)


def test_a_clock_that_is_off_has_its_own_sentence() -> None:
    assert "NTP" in str(refusal("reading", answer(403, "RequestTimeTooSkewed")))


def test_a_failed_clean_up_does_not_hide_what_it_was_for() -> None:
    def abort() -> None:
        try:
            raise answer(507, "XMinioStorageFull")
        except S3Error:
            raise ConnectionResetError(104, "reset") from None

    with pytest.raises(ConnectionResetError) as caught:
        abort()
    assert isinstance(refusal("storing a blob", caught.value), StorageFull)
