"""What a request declares about its body: Content-MD5, `x-amz-checksum-*`, trailers, length.

The headers are read here and nothing is computed: `intake` compares. Texts of refusals are
S3's own where clients are known to look at them. Pure.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from mediaconvert.api.s3.errors import S3Error, invalid_argument
from mediaconvert.api.s3.numbers import whole_number
from mediaconvert.digests import SIZES, is_checksum_value
from mediaconvert.model import Checksum
from mediaconvert.multipart import checksum_type

CHECKSUM_HEADERS: Mapping[str, str] = {f"x-amz-checksum-{a.lower()}": a for a in SIZES}
"""Header (or trailer) name → algorithm."""

# Beside the values: what else begins with x-amz-checksum-.
_NOT_VALUES = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-mode", "x-amz-checksum-type"})
_COMPOSITE = re.compile(r"(?P<value>[^-]+)-(?P<parts>[1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class DeclaredChecksum:
    """At most one of the two is set."""

    checksum: Checksum | None = None
    """In a header, before the body."""
    trailing: str | None = None
    """The algorithm of one that follows the body as a trailer."""


def parse_content_md5(headers: Mapping[str, str]) -> bytes | None:
    """The 16 raw bytes of Content-MD5. Raises S3Error InvalidDigest."""
    text = headers.get("content-md5")
    if text is None:
        return None
    try:
        raw = base64.b64decode(text.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    if len(raw) != 16:
        raise S3Error(
            "InvalidDigest",
            f"The Content-MD5 you specified was invalid: {text!r} is not the Base64 of 16 bytes.",
            {"Content-MD5": text},
        )
    return raw


def declares_checksum(headers: Mapping[str, str]) -> bool:
    """Whether a header or an announced trailer has a checksum of the body, known or not."""
    return any(
        name == "x-amz-trailer" or (name.startswith("x-amz-checksum-") and name not in _NOT_VALUES)
        for name in headers
    )


def parse_checksum(headers: Mapping[str, str]) -> DeclaredChecksum:
    """The checksum of a body: in a header, or announced by `x-amz-trailer`.

    Raises S3Error InvalidRequest for several of them, unknown algorithms, values that are no
    Base64 of the right length, and an `x-amz-sdk-checksum-algorithm` that nothing matches.
    """
    given = _checksum_headers(headers)
    trailing = _announced(headers)
    if len(given) + (trailing is not None) > 1:
        raise _invalid(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    _check_sdk_algorithm(headers, trailing or (given[0].algorithm if given else None))
    for checksum in given:
        if not is_checksum_value(checksum.algorithm, checksum.value):
            raise _invalid_value(checksum)
    return DeclaredChecksum(given[0] if given else None, trailing)


def parse_whole_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """The whole object's checksum in CompleteMultipartUpload, which may be a composite one
    with its `-N`. Raises S3Error InvalidRequest."""
    given = _checksum_headers(headers)
    if len(given) > 1:
        raise _invalid(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    if not given:
        return None
    checksum = given[0]
    composite = _COMPOSITE.fullmatch(checksum.value)
    if not is_checksum_value(
        checksum.algorithm, composite["value"] if composite else checksum.value
    ):
        raise _invalid_value(checksum)
    if composite:
        return Checksum(checksum.algorithm, checksum.value, "COMPOSITE")
    return checksum


def parse_upload_checksum(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Algorithm and type of the checksums of a new multipart upload (or copy), from
    `x-amz-checksum-algorithm` and `x-amz-checksum-type`. Raises S3Error InvalidRequest and
    errors.InvalidRequest."""
    name = headers.get("x-amz-checksum-algorithm")
    algorithm = None if name is None else _known_algorithm(name)
    requested = headers.get("x-amz-checksum-type")
    return algorithm, checksum_type(algorithm, requested and requested.upper())


def parse_trailing_checksum(trailers: Mapping[str, str], algorithm: str) -> Checksum | None:
    """The announced checksum out of a body's trailers; None where it did not come. Raises
    S3Error InvalidRequest for a value that is none."""
    value = trailers.get(f"x-amz-checksum-{algorithm.lower()}")
    if value is None:
        return None
    checksum = Checksum(algorithm, value)
    if not is_checksum_value(algorithm, value):
        raise _invalid_value(checksum)
    return checksum


def parse_decoded_length(headers: Mapping[str, str]) -> int:
    """`x-amz-decoded-content-length` of an aws-chunked body. Raises S3Error."""
    text = headers.get("x-amz-decoded-content-length")
    if text is None:
        raise S3Error(
            "MissingContentLength",
            "You must provide the x-amz-decoded-content-length HTTP header with an aws-chunked "
            "body.",
        )
    size = whole_number(text.strip())
    if size is None:
        raise invalid_argument(
            "x-amz-decoded-content-length", text, f"{text!r} is not a length in bytes"
        )
    return size


def parse_object_size(headers: Mapping[str, str]) -> int | None:
    """`x-amz-mp-object-size` of CompleteMultipartUpload. Raises S3Error InvalidRequest."""
    text = headers.get("x-amz-mp-object-size")
    if text is None:
        return None
    size = whole_number(text.strip())
    if size is None:
        raise _invalid(f"Value for x-amz-mp-object-size header is invalid: {text!r}.")
    return size


def _checksum_headers(headers: Mapping[str, str]) -> list[Checksum]:
    found = []
    for name, value in headers.items():
        if not name.startswith("x-amz-checksum-") or name in _NOT_VALUES:
            continue
        algorithm = CHECKSUM_HEADERS.get(name)
        if algorithm is None:
            raise _unsupported()
        found.append(Checksum(algorithm, value.strip()))
    return found


def _announced(headers: Mapping[str, str]) -> str | None:
    """The algorithm that `x-amz-trailer` announces."""
    text = headers.get("x-amz-trailer")
    if text is None:
        return None
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    algorithms = [CHECKSUM_HEADERS[name] for name in names if name in CHECKSUM_HEADERS]
    if len(algorithms) != 1 or len(names) != 1:
        raise _invalid(
            f"The value specified in the x-amz-trailer header is not supported: {text!r} is not "
            "the name of one x-amz-checksum- header."
        )
    return algorithms[0]


def _check_sdk_algorithm(headers: Mapping[str, str], declared: str | None) -> None:
    name = headers.get("x-amz-sdk-checksum-algorithm")
    if name is None:
        return
    algorithm = _known_algorithm(name)
    if declared is None:
        raise _invalid(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
            "x-amz-trailer headers were found."
        )
    if algorithm != declared:
        raise _invalid("Value for x-amz-sdk-checksum-algorithm header is invalid.")


def _known_algorithm(name: str) -> str:
    if name.upper() not in SIZES:
        raise _unsupported()
    return name.upper()


def _unsupported() -> S3Error:
    return _invalid(
        "Checksum algorithm provided is unsupported. Please try again with any of the valid "
        f"types: [{', '.join(SIZES)}]"
    )


def _invalid_value(checksum: Checksum) -> S3Error:
    return _invalid(f"Value for x-amz-checksum-{checksum.algorithm.lower()} header is invalid.")


def _invalid(message: str) -> S3Error:
    return S3Error("InvalidRequest", message)
