"""What can go wrong with an S3 store, in the seam's two refusals and one sentence each.

Texts hold a code or a reason and never what the store itself wrote: that may name hosts and
keys. Called in the threads that talk to the store; `s3_opening.py` has the sentences for the
start.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from mediaconvert.errors import StorageFull, Unavailable

# The SDK raises ValueError and ParseError for answers that it cannot read.
FAILURES = (MinioException, HTTPError, HTTPException, ParseError, OSError, ValueError)
CLOCK_CODES = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
MISSING_CODES = frozenset({"NoSuchKey", "NoSuchObject"})
# MinIO's and Ceph's words, AWS's, and this program's own as a store.
_FULL_CODES = frozenset(
    {
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
        "QuotaExceeded",
        "StorageQuotaExceeded",
        "InsufficientStorage",
        "InsufficientCapacity",
        "StorageFull",
    }
)
CLOCK_SENTENCE = (
    "the clocks of this machine and of the S3 store differ by more than 15 minutes; set both by NTP"
)


class Abandoned(Exception):
    """Raised where an upload's bytes are asked for that nobody will send. An Exception, so
    that the SDK aborts the upload."""


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Failures of the store become StorageFull or Unavailable."""
    try:
        yield
    except FAILURES as error:
        raise refusal(doing, error) from error


def refusal(doing: str, error: BaseException) -> Unavailable:
    """The refusal that a failure stands for; of a failure during the SDK's clean-up, the one
    that made it necessary."""
    told = _most_telling(error)
    if isinstance(told, Unavailable):
        return told
    code = code_of(told)
    if code in _FULL_CODES or status_of(told) == 507:
        return StorageFull()
    if code in CLOCK_CODES:
        return Unavailable(CLOCK_SENTENCE, 60)
    return Unavailable(f"the blob store failed while {doing}: {reason(told)}")


def reason(error: BaseException) -> str:
    """A few words that tell nothing but the kind of failure."""
    if isinstance(error, MinioException):
        return code_of(error) or f"HTTP status {status_of(error) or 'unknown'}"
    match error:
        case NameResolutionError():
            return "its name could not be resolved"
        case NewConnectionError():
            return "it could not be reached"
        case ConnectTimeoutError() | ReadTimeoutError():
            return "it did not answer in time"
        case SSLError() if is_distrust(error):
            return "its certificate is not trusted"
        case SSLError():
            return "TLS failed"
        case HTTPError() | HTTPException():
            return "the connection broke"
        case ParseError() | ValueError():
            return "its answer was not understood"
        case OSError(strerror=str(words)):
            return words
        case _:
            return type(error).__name__


def code_of(error: BaseException) -> str:
    """S3's code of the error, or the empty text."""
    return (error.code or "") if isinstance(error, S3Error) else ""


def status_of(error: BaseException) -> int:
    """The HTTP status, or 0 where none came."""
    match error:
        case S3Error():
            return int(error.response.status)
        case ServerError():
            return int(error.status_code)
        case InvalidResponseError():
            words = str(error).partition("Response code: ")[2].partition(",")[0]
            return int(words) if words.isdecimal() else 0
        case _:
            return 0


def is_distrust(error: BaseException) -> bool:
    """A certificate that does not hold, and will not by asking again."""
    return isinstance(error, SSLError) and any(
        isinstance(argument, ssl.SSLCertVerificationError) for argument in error.args
    )


def _most_telling(error: BaseException) -> BaseException:
    """Along the chain of contexts, the last failure for which the store gave a code."""
    told, seen = error, error.__context__
    while seen is not None:
        if isinstance(seen, MinioException):
            told = seen
        seen = seen.__context__
    return told
