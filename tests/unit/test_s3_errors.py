"""The two tables of the S3 side: complete, and rendered as clients expect."""

from xml.etree import ElementTree

import pytest

from mediaconvert import errors
from mediaconvert.api.s3.errors import (
    REFUSALS,
    STATUS,
    S3Error,
    from_refusal,
    from_signature,
    invalid_argument,
    render_error,
)
from mediaconvert.sigv4.canonical import SignatureError


def every_refusal() -> set[type[errors.Refusal]]:
    found, waiting = set(), [errors.Refusal]
    while waiting:
        found.update(waiting)
        waiting = [sub for cls in waiting for sub in cls.__subclasses__()]
    return {cls for cls in found if cls.__module__ == errors.__name__} - {errors.Refusal}


def test_every_refusal_has_a_code_and_every_code_a_status():
    assert set(REFUSALS) == every_refusal()
    assert set(REFUSALS.values()) <= set(STATUS)
    assert all(300 <= status < 600 for status in STATUS.values())


@pytest.mark.parametrize(
    ("refusal", "code", "status", "fields"),
    [
        (errors.BucketNotFound("b"), "NoSuchBucket", 404, {"BucketName": "b"}),
        (errors.BucketForbidden("b"), "AccessDenied", 403, {}),
        (errors.BucketTaken("b"), "BucketAlreadyExists", 409, {"BucketName": "b"}),
        (errors.ObjectNotFound("k"), "NoSuchKey", 404, {"Key": "k"}),
        (errors.UploadNotFound("u"), "NoSuchUpload", 404, {"UploadId": "u"}),
        (errors.InvalidKey("k is longer than 1024"), "KeyTooLongError", 400, {}),
        (errors.InvalidKey("not UTF-8"), "InvalidURI", 400, {}),
        (errors.ChecksumMismatch("CRC32", "a", "b"), "BadDigest", 400, {}),
        (
            errors.ChecksumMismatch("x-amz-content-sha256", "a", "b"),
            "XAmzContentSHA256Mismatch",
            400,
            {},
        ),
        (
            errors.PreconditionFailed("If-Match"),
            "PreconditionFailed",
            412,
            {"Condition": "If-Match"},
        ),
        (
            errors.PartTooSmall(3, 1, 5),
            "EntityTooSmall",
            400,
            {"ProposedSize": "1", "MinSizeAllowed": "5", "PartNumber": "3"},
        ),
        (
            errors.BodyTooLarge(6, 5),
            "EntityTooLarge",
            400,
            {"ProposedSize": "6", "MaxSizeAllowed": "5"},
        ),
        (
            errors.UnknownPipeline("x", []),
            "InvalidArgument",
            400,
            {"ArgumentName": "x-amz-meta-pipeline", "ArgumentValue": "x"},
        ),
        (errors.StorageFull(), "InsufficientStorage", 507, {}),
        (errors.SlowClient("too slow"), "RequestTimeout", 400, {}),
    ],
)
def test_a_refusal_is_told_in_s3s_words(refusal, code, status, fields):
    error = from_refusal(refusal)
    assert (error.code, error.status, error.fields) == (code, status, fields)
    assert error.message == str(refusal)


def test_unavailability_says_when_to_try_again():
    error = from_refusal(errors.Unavailable("busy", 3))
    assert (error.status, error.headers) == (503, (("retry-after", "3"),))


def test_a_subclass_is_told_as_its_base():
    class TooBig(errors.BodyTooLarge):
        pass

    assert from_refusal(TooBig(2, 1)).code == "EntityTooLarge"


def test_an_unknown_code_is_a_mistake_of_ours():
    with pytest.raises(KeyError):
        S3Error("NoSuchCode", "x")


def test_a_signature_refusal_keeps_its_words():
    error = from_signature(SignatureError("AccessDenied", "no", {"HeadersNotSigned": "x"}))
    assert (error.status, error.message, error.fields) == (403, "no", {"HeadersNotSigned": "x"})


def test_an_error_is_rendered_for_every_client():
    error = invalid_argument("prefix", "a\x01<b>", "bad \x02 prefix & more")
    body = render_error(error, resource="/bucket/k%01", request_id="4442587FB7D0A2F9", host_id="h")
    root = ElementTree.fromstring(body)
    assert root.tag == "Error"
    assert [(child.tag, child.text) for child in root] == [
        ("Code", "InvalidArgument"),
        ("Message", "bad \ufffd prefix & more"),
        ("ArgumentName", "prefix"),
        ("ArgumentValue", "a\ufffd<b>"),
        ("Resource", "/bucket/k%01"),
        ("RequestId", "4442587FB7D0A2F9"),
        ("HostId", "h"),
    ]
