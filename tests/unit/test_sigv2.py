"""SigV2: the examples of the S3 user guide, and URLs as boto3 and botocore make them."""

from dataclasses import replace
from urllib.parse import quote, urlsplit

import boto3
import pytest
from botocore.auth import HmacV1Auth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert import sigv2
from mediaconvert.sigv4.canonical import SignatureError, SignedRequest

ACCESS_KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
CREDENTIALS = Credentials(ACCESS_KEY, SECRET)
TEXT = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x2FFF, exclude_categories=["Cs"]), max_size=20
)
META = st.dictionaries(
    st.from_regex(r"[a-z0-9]{1,9}", fullmatch=True),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20),
    max_size=3,
)


def presigned(url: str, method: str = "GET", headers: tuple = ()) -> SignedRequest:
    parts = urlsplit(url)
    host = (b"host", parts.netloc.encode())
    return SignedRequest(method, parts.path.encode(), parts.query.encode(), [host, *headers])


def client(**options):
    return boto3.client(
        "s3",
        endpoint_url="http://localhost:8080",
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET,
        config=Config(s3={"addressing_style": "path"}, **options),
    )


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "bucket", "signature"),
    [
        (
            "GET",
            b"/photos/puppy.jpg",
            b"",
            [(b"date", b"Tue, 27 Mar 2007 19:36:42 +0000")],
            "awsexamplebucket1",
            "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
        ),
        (
            "PUT",
            b"/photos/puppy.jpg",
            b"",
            [
                (b"content-type", b"image/jpeg"),
                (b"content-length", b"94328"),
                (b"date", b"Tue, 27 Mar 2007 21:15:45 +0000"),
            ],
            "awsexamplebucket1",
            "iqRzw+ileNPu1fhspnRs8nOjjIA=",
        ),
        (
            "GET",
            b"/",
            b"prefix=photos&max-keys=50&marker=puppy",
            [(b"date", b"Tue, 27 Mar 2007 19:42:41 +0000")],
            "awsexamplebucket1",
            "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
        ),
        (
            "GET",
            b"/",
            b"acl",
            [(b"date", b"Tue, 27 Mar 2007 19:44:46 +0000")],
            "awsexamplebucket1",
            "82ZHiFIjc+WbcwFKGUVEQspPn+0=",
        ),
        (
            "GET",
            b"/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
            b"",
            [(b"date", b"Wed, 28 Mar 2007 01:49:49 +0000")],
            None,
            "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
        ),
    ],
)
def test_examples_of_the_s3_guide_have_their_signatures(
    method, path, query, headers, bucket, signature
):
    request = SignedRequest(method, path, query, headers)
    text = sigv2.string_to_sign(request, None, virtual_bucket=bucket)
    assert sigv2.sign(SECRET, text) == signature


@given(key=TEXT, meta=META, method=st.sampled_from(["GET", "PUT", "DELETE"]))
def test_whatever_botocore_signs_in_a_header_is_accepted(key, meta, method):
    headers = {f"x-amz-meta-{name}": value for name, value in meta.items()}
    url = "http://localhost:8080/bucket/" + quote(key, safe="/~")
    request = AWSRequest(method=method, url=url + "?uploads&prefix=a", headers=headers)
    HmacV1Auth(CREDENTIALS).add_auth(request)
    sent = [(n.lower().encode(), v.encode()) for n, v in request.headers.items()]
    signed = presigned(request.url, method, tuple(sent))
    claim = sigv2.parse_authorization(signed)
    assert claim.access_key == ACCESS_KEY
    sigv2.check_signature(signed, claim, SECRET)
    with pytest.raises(SignatureError, match="does not match"):
        sigv2.check_signature(replace(signed, method="POST"), claim, SECRET)


@given(key=TEXT, meta=META, disposition=TEXT, content_type=st.sampled_from(["", "image/png"]))
def test_whatever_botocore_presigns_is_accepted(key, meta, disposition, content_type):
    headers = {f"x-amz-meta-{name}": value for name, value in meta.items()}
    if content_type:
        headers["Content-Type"] = content_type
    url = "http://localhost:8080/bucket/" + quote(key, safe="/~")
    url += f"?uploadId=7&response-content-disposition={quote(disposition, safe='')}"
    request = AWSRequest(method="PUT", url=url, headers=headers)
    HmacV1QueryAuth(CREDENTIALS, expires=60).add_auth(request)
    signed = presigned(request.url, "PUT")
    claim = sigv2.parse_presigned(signed)
    sigv2.check_signature(signed, claim, SECRET)
    # A client may send as headers what stands in the URL, but nothing else.
    same = replace(signed, headers=[(n.lower().encode(), v.encode()) for n, v in headers.items()])
    sigv2.check_signature(same, claim, SECRET)
    sneaky = replace(signed, headers=[(b"x-amz-copy-source", b"/other/key")])
    with pytest.raises(SignatureError, match="does not match"):
        sigv2.check_signature(sneaky, claim, SECRET)


def test_boto3_presigns_in_this_form_by_default_for_us_east_1():
    url = client().generate_presigned_url(
        "get_object",
        Params={"Bucket": "bucket", "Key": "a b/ü.mp4", "ResponseContentType": "video/mp4"},
    )
    assert "AWSAccessKeyId=" in url
    signed = presigned(url)
    sigv2.check_signature(signed, sigv2.parse_presigned(signed), SECRET)


@pytest.mark.parametrize(
    ("operation", "method", "params"),
    [
        ("list_objects_v2", "GET", {"Bucket": "bucket", "Prefix": "a/"}),
        ("put_object", "PUT", {"Bucket": "bucket", "Key": "k", "Metadata": {"pipeline": "x"}}),
        ("delete_object", "DELETE", {"Bucket": "bucket", "Key": "k"}),
        ("create_multipart_upload", "POST", {"Bucket": "bucket", "Key": "k"}),
        (
            "upload_part",
            "PUT",
            {"Bucket": "bucket", "Key": "k", "UploadId": "abc", "PartNumber": 3},
        ),
    ],
)
def test_boto3_urls_of_each_operation_are_accepted(operation, method, params):
    url = client(signature_version="s3-query").generate_presigned_url(operation, Params=params)
    signed = presigned(url, method)
    sigv2.check_signature(signed, sigv2.parse_presigned(signed), SECRET)


def test_virtual_host_urls_sign_the_bucket_in_the_path():
    request = AWSRequest(method="GET", url="http://bucket.localhost/k", auth_path="/bucket/k")
    HmacV1QueryAuth(CREDENTIALS).add_auth(request)
    signed = presigned(request.url)
    claim = sigv2.parse_presigned(signed)
    sigv2.check_signature(signed, claim, SECRET, virtual_bucket="bucket")
    with pytest.raises(SignatureError, match="does not match"):
        sigv2.check_signature(signed, claim, SECRET)


@pytest.mark.parametrize(("now", "is_good"), [(0, True), (1000, True), (1001, False)])
def test_a_presigned_url_is_good_until_it_expires(now, is_good):
    request = SignedRequest("GET", b"/", b"AWSAccessKeyId=a&Signature=b&Expires=1000", [])
    claim = sigv2.parse_presigned(request)
    if is_good:
        sigv2.check_time(request, claim, now)
        return
    with pytest.raises(SignatureError, match="Request has expired"):
        sigv2.check_time(request, claim, now)


@pytest.mark.parametrize(
    ("now", "code"), [(1175024202, None), (1175024202 + 901, "RequestTimeTooSkewed")]
)
def test_a_header_is_good_for_fifteen_minutes_around_its_date(now, code):
    headers = [
        (b"date", b"Tue, 27 Mar 2007 19:36:42 +0000"),
        (b"authorization", b"AWS AK:c2ln"),
    ]
    request = SignedRequest("GET", b"/", b"", headers)
    claim = sigv2.parse_authorization(request)
    if code is None:
        sigv2.check_time(request, claim, now)
        return
    with pytest.raises(SignatureError) as caught:
        sigv2.check_time(request, claim, now)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"AWSAccessKeyId=a&Signature=b",
        b"AWSAccessKeyId=a&Signature=b&Expires=",
        b"AWSAccessKeyId=a&Signature=b&Expires=x",
        b"AWSAccessKeyId=a&Signature=b&Expires=-5",
        b"AWSAccessKeyId=a&Signature=b&Expires=9999999999999",
        b"AWSAccessKeyId=a&Signature=b&Expires=5&Expires=6",
    ],
)
def test_a_malformed_presigned_url_is_refused(query):
    with pytest.raises(SignatureError) as caught:
        sigv2.parse_presigned(SignedRequest("GET", b"/", query, []))
    assert caught.value.code == "AccessDenied"


@pytest.mark.parametrize("value", [b"AWS ", b"AWS a", b"AWS :b", b"AWS a:"])
def test_a_malformed_authorization_header_is_refused(value):
    with pytest.raises(SignatureError) as caught:
        sigv2.parse_authorization(SignedRequest("GET", b"/", b"", [(b"authorization", value)]))
    assert caught.value.code == "InvalidArgument"


@pytest.mark.parametrize("date", [b"", b"x", b"Fri, 99 May 2013 00:00:00 GMT", b"1 Jan 99999"])
def test_a_header_without_a_date_is_refused(date):
    headers = [(b"authorization", b"AWS a:b"), (b"date", date)]
    request = SignedRequest("GET", b"/", b"", headers)
    with pytest.raises(SignatureError, match="valid Date"):
        sigv2.check_time(request, sigv2.parse_authorization(request), 0)
