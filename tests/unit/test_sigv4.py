"""SigV4: the examples of the S3 API reference, and every request as botocore signs it."""

import hashlib
from dataclasses import replace
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4PostAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import assume, given
from hypothesis import strategies as st

from mediaconvert.sigv4 import canonical, checks
from mediaconvert.sigv4.canonical import PayloadKind, SignatureError, SignedRequest
from mediaconvert.sigv4.claims import (
    check_post_signature,
    parse_authorization,
    parse_payload,
    parse_post,
    parse_presigned,
)
from mediaconvert.sigv4.client import KeyPair, presign, sign

# The key pair and the time of the examples in the S3 API reference.
EXAMPLE = KeyPair("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
EXAMPLE_TIME = 1_369_353_600
HOST = (b"host", b"examplebucket.s3.amazonaws.com")
CREDENTIALS = Credentials("AKIDEXAMPLE", "secret/with+signs")

TEXT = st.text(
    st.characters(min_codepoint=1, max_codepoint=0x2FFF, exclude_categories=["Cs"]), max_size=20
)
HEADER_TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


def check(request: SignedRequest, secret: str, now: int | None = None) -> None:
    """What the authenticator does with a version 4 request, its key given."""
    is_header = request.header(b"authorization") is not None
    claim = parse_authorization(request) if is_header else parse_presigned(request)
    checks.check_scope(claim, region=None)
    checks.check_time(claim, canonical.parse_timestamp(claim.timestamp) if now is None else now)
    checks.check_signed_headers(request, claim)
    checks.check_signature(request, claim, secret)


def from_botocore(request: AWSRequest, host: bytes = b"localhost:8080") -> SignedRequest:
    parts = urlsplit(request.url)
    headers = [(n.lower().encode(), v.encode("latin-1")) for n, v in request.headers.items()]
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", host))
    return SignedRequest(request.method, parts.path.encode(), parts.query.encode(), headers)


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "payload", "signature"),
    [
        (
            "GET",
            b"/test.txt",
            b"",
            [(b"range", b"bytes=0-9")],
            canonical.EMPTY_SHA256,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            b"/test%24file.text",
            b"",
            [
                (b"date", b"Fri, 24 May 2013 00:00:00 GMT"),
                (b"x-amz-storage-class", b"REDUCED_REDUNDANCY"),
            ],
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            "GET",
            b"/",
            b"lifecycle",
            [],
            canonical.EMPTY_SHA256,
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "GET",
            b"/",
            b"max-keys=2&prefix=J",
            [],
            canonical.EMPTY_SHA256,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_examples_of_the_s3_reference_have_their_signatures(
    method, path, query, headers, payload, signature
):
    request = SignedRequest(method, path, query, [HOST, *headers])
    signed = sign(request, EXAMPLE, now=EXAMPLE_TIME, payload=payload)
    assert signed.claim.signature == signature
    check(signed.request, EXAMPLE.secret)


def test_presigned_example_of_the_s3_reference_has_its_signature():
    request = SignedRequest("GET", b"/test.txt", b"", [HOST])
    query = presign(request, EXAMPLE, now=EXAMPLE_TIME, expires_seconds=86400)
    assert query.endswith(
        b"X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    check(replace(request, raw_query=query), EXAMPLE.secret)


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE", "POST"]),
    key=TEXT,
    query=st.lists(st.tuples(TEXT, TEXT), max_size=4),
    meta=st.dictionaries(st.from_regex(r"[a-z0-9-]{1,9}", fullmatch=True), HEADER_TEXT, max_size=3),
    body=st.binary(max_size=20),
)
def test_whatever_botocore_signs_in_a_header_is_accepted(method, key, query, meta, body):
    encoded = "&".join(f"{quote(n, safe='-_.~')}={quote(v, safe='-_.~')}" for n, v in query)
    url = "http://localhost:8080/bucket/" + quote(key, safe="/~") + ("?" + encoded) * bool(encoded)
    headers = {f"x-amz-meta-{name}": value for name, value in meta.items()}
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    S3SigV4Auth(CREDENTIALS, "s3", "eu-west-1").add_auth(request)
    signed = from_botocore(request)
    check(signed, CREDENTIALS.secret_key)
    digest = parse_payload(parse_authorization(signed).payload)
    assert digest == (PayloadKind.SHA256, hashlib.sha256(body).hexdigest())
    with pytest.raises(SignatureError, match="does not match"):
        check(signed, "another secret")


@given(key=TEXT, query=st.dictionaries(TEXT, TEXT, max_size=3), seconds=st.integers(1, 604_800))
def test_whatever_botocore_presigns_is_accepted(key, query, seconds):
    assume(not any(name.startswith("X-Amz-") for name in query))
    # botocore takes the query apart with parse_qs and so loses names that are empty.
    assume(all(query))
    encoded = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in query.items())
    url = "http://localhost:8080/bucket/" + quote(key, safe="/~") + ("?" + encoded) * bool(encoded)
    request = AWSRequest(method="GET", url=url)
    S3SigV4QueryAuth(CREDENTIALS, "s3", "us-east-1", expires=seconds).add_auth(request)
    signed = from_botocore(request)
    check(signed, CREDENTIALS.secret_key)
    with pytest.raises(SignatureError, match="does not match"):
        check(replace(signed, method="PUT"), CREDENTIALS.secret_key)


@given(path=st.sampled_from(["/a/../b", "/a//b", "/a/./b", "/%2e%2e/b", "//", "/a%2Fb/%7E"]))
def test_a_path_is_never_normalised(path):
    found = canonical.canonical_request(
        SignedRequest("GET", path.encode(), b"", []), (), "x", is_presigned=False
    )
    line = found.split(b"\n")[1]
    once = path.replace("%2e", ".").replace("%2F", "/").replace("%7E", "~")
    assert line == once.encode()


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5), st.randoms())
def test_the_order_of_the_query_does_not_matter(pairs, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)

    def form(items):
        query = "&".join(f"{quote(n, safe='')}={quote(v, safe='')}" for n, v in items)
        request = SignedRequest("GET", b"/", query.encode(), [])
        return canonical.canonical_request(request, (), "x", is_presigned=False)

    assume(all(n for n, _ in pairs))
    assert form(pairs) == form(shuffled)


def test_header_values_are_trimmed_folded_and_joined():
    headers = [(b"x-amz-meta-a", b"  one   two "), (b"host", b"h"), (b"x-amz-meta-a", b"three")]
    request = SignedRequest("GET", b"/", b"", headers)
    found = canonical.canonical_request(request, ("host", "x-amz-meta-a"), "p", is_presigned=False)
    assert found == b"GET\n/\n\nhost:h\nx-amz-meta-a:one two,three\n\nhost;x-amz-meta-a\np"


def test_a_broken_escape_is_refused():
    for request in (
        SignedRequest("GET", b"/a%zz", b"", []),
        SignedRequest("GET", b"/", b"a=%1", []),
    ):
        with pytest.raises(SignatureError) as caught:
            canonical.canonical_request(request, (), "x", is_presigned=False)
        assert caught.value.code == "InvalidURI"


@pytest.mark.parametrize("name", [b"x-amz-acl", b"x-amz-copy-source", b"x-amz-meta-pipeline"])
def test_an_unsigned_amz_header_beside_a_presigned_url_is_refused(name):
    request = SignedRequest("PUT", b"/bucket/key", b"", [(b"host", b"h")])
    query = presign(request, EXAMPLE, now=EXAMPLE_TIME)
    check(replace(request, raw_query=query), EXAMPLE.secret)
    sneaky = replace(request, raw_query=query, headers=[*request.headers, (name, b"value")])
    with pytest.raises(SignatureError) as caught:
        check(sneaky, EXAMPLE.secret)
    assert caught.value.code == "AccessDenied"
    assert caught.value.fields == {"HeadersNotSigned": name.decode()}


def test_host_must_be_signed():
    request = SignedRequest("GET", b"/", b"", [(b"date", b"x")])
    query = presign(request, EXAMPLE, now=EXAMPLE_TIME)
    with pytest.raises(SignatureError) as caught:
        check(replace(request, raw_query=query, headers=[(b"host", b"h")]), EXAMPLE.secret)
    assert caught.value.fields == {"HeadersNotSigned": "host"}


@pytest.mark.parametrize(
    ("offset", "code"),
    [
        (0, None),
        (900, None),
        (-900, None),
        (901, "RequestTimeTooSkewed"),
        (-901, "RequestTimeTooSkewed"),
    ],
)
def test_a_header_is_good_for_fifteen_minutes_around_its_time(offset, code):
    request = SignedRequest("GET", b"/", b"", [HOST])
    signed = sign(request, EXAMPLE, now=EXAMPLE_TIME, payload=canonical.EMPTY_SHA256).request
    if code is None:
        check(signed, EXAMPLE.secret, EXAMPLE_TIME + offset)
        return
    with pytest.raises(SignatureError) as caught:
        check(signed, EXAMPLE.secret, EXAMPLE_TIME + offset)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (-900, None),
        (-901, "Request is not valid yet"),
        (60, None),
        (61, "Request has expired"),
    ],
)
def test_a_presigned_url_is_good_until_it_expires(offset, message):
    request = SignedRequest("GET", b"/b/k", b"", [HOST])
    query = presign(request, EXAMPLE, now=EXAMPLE_TIME, expires_seconds=60)
    signed = replace(request, raw_query=query)
    if message is None:
        check(signed, EXAMPLE.secret, EXAMPLE_TIME + offset)
        return
    with pytest.raises(SignatureError, match=message) as caught:
        check(signed, EXAMPLE.secret, EXAMPLE_TIME + offset)
    assert caught.value.code == "AccessDenied"


@pytest.mark.parametrize("expires", ["0", "604801", "-1", "x", "1e3", "99999999999999", "²"])
def test_an_expiry_out_of_range_is_refused(expires):
    request = SignedRequest("GET", b"/b/k", b"", [HOST])
    query = presign(request, EXAMPLE, now=EXAMPLE_TIME, expires_seconds=60)
    changed = query.replace(b"X-Amz-Expires=60", b"X-Amz-Expires=" + quote(expires).encode())
    with pytest.raises(SignatureError) as caught:
        parse_presigned(replace(request, raw_query=changed))
    assert caught.value.code == "AuthorizationQueryParametersError"


GOOD = (
    "AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("aws4_request", "aws4", "AuthorizationHeaderMalformed"),
        ("AK/", "", "AuthorizationHeaderMalformed"),
        ("AK/2013", "AK//2013", "AuthorizationHeaderMalformed"),
        ("20130524", "2013-05-24", "AuthorizationHeaderMalformed"),
        ("20130524", "20130525", "AuthorizationHeaderMalformed"),
        ("SignedHeaders=host;x-amz-date, ", "", "AuthorizationHeaderMalformed"),
        ("host;x-amz-date", "x-amz-date;host", "AuthorizationHeaderMalformed"),
        ("host;x-amz-date", "Host;x-amz-date", "AuthorizationHeaderMalformed"),
        ("host;x-amz-date", "host;host", "AuthorizationHeaderMalformed"),
        ("Signature=0", "Signature=z", "AuthorizationHeaderMalformed"),
        ("Signature=", "Signature=0", "AuthorizationHeaderMalformed"),
        (", Signature=", ", Credential=a, Signature=", "AuthorizationHeaderMalformed"),
        ("Credential=", "Credential", "AuthorizationHeaderMalformed"),
    ],
)
def test_a_malformed_authorization_header_is_refused(old, new, code):
    headers = [
        (b"x-amz-date", b"20130524T000000Z"),
        (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD"),
    ]
    good = SignedRequest("GET", b"/", b"", [*headers, (b"authorization", GOOD.encode())])
    assert parse_authorization(good).access_key == "AK"
    bad = GOOD.replace(old, new, 1)
    with pytest.raises(SignatureError) as caught:
        parse_authorization(replace(good, headers=[*headers, (b"authorization", bad.encode())]))
    assert caught.value.code == code


def test_a_header_signature_needs_a_date_and_a_payload_hash():
    authorization = (b"authorization", GOOD.encode())
    date = (b"date", b"Fri, 24 May 2013 00:00:00 GMT")
    payload = (b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")
    found = parse_authorization(SignedRequest("GET", b"/", b"", [authorization, date, payload]))
    assert found.timestamp == "20130524T000000Z"
    for headers, code in (
        ([authorization, payload], "AccessDenied"),
        ([authorization, payload, (b"x-amz-date", b"yesterday")], "AccessDenied"),
        ([authorization, payload, (b"date", b"Fri, 99 May 99999 00:00:00 GMT")], "AccessDenied"),
        ([authorization, date], "InvalidRequest"),
    ):
        with pytest.raises(SignatureError) as caught:
            parse_authorization(SignedRequest("GET", b"/", b"", headers))
        assert caught.value.code == code


def test_the_wrong_region_or_service_is_named():
    request = SignedRequest("GET", b"/", b"", [HOST])
    claim = sign(request, EXAMPLE, now=EXAMPLE_TIME, payload="UNSIGNED-PAYLOAD").claim
    checks.check_scope(claim, region="us-east-1")
    with pytest.raises(SignatureError, match="the region 'us-east-1' is wrong") as caught:
        checks.check_scope(claim, region="eu-central-1")
    assert caught.value.fields == {"Region": "eu-central-1"}
    with pytest.raises(SignatureError, match="incorrect service"):
        checks.check_scope(
            replace(claim, scope=replace(claim.scope, service="iam"), expires_seconds=1),
            region=None,
        )


@pytest.mark.parametrize("missing", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders"])
def test_a_presigned_url_needs_each_parameter_once(missing):
    request = SignedRequest("GET", b"/b/k", b"", [HOST])
    query = presign(request, EXAMPLE, now=EXAMPLE_TIME)
    items = query.split(b"&")
    without = [i for i in items if not i.startswith(b"X-Amz-" + missing.encode())]
    for changed in (without, [*items, b"X-Amz-" + missing.encode() + b"=1"]):
        with pytest.raises(SignatureError, match="each once"):
            parse_presigned(replace(request, raw_query=b"&".join(changed)))


def test_a_post_policy_signed_by_botocore_is_accepted():
    request = AWSRequest(method="POST", url="http://localhost:8080/bucket")
    request.context["s3-presign-post-fields"] = {"key": "a"}
    request.context["s3-presign-post-policy"] = {"expiration": "2030-01-01T00:00:00Z"}
    S3SigV4PostAuth(CREDENTIALS, "s3", "us-east-1").add_auth(request)
    fields = request.context["s3-presign-post-fields"]
    claim = parse_post(fields)
    assert claim.access_key == CREDENTIALS.access_key
    check_post_signature(claim, CREDENTIALS.secret_key)
    with pytest.raises(SignatureError, match="does not match"):
        check_post_signature(replace(claim, policy=claim.policy + "A"), CREDENTIALS.secret_key)
    with pytest.raises(SignatureError, match="x-amz-signature"):
        parse_post({**fields, "x-amz-signature": ""})


def test_payload_values_are_told_apart():
    assert parse_payload("A" * 64) == (PayloadKind.SHA256, "a" * 64)
    for kind in list(PayloadKind)[1:]:
        assert parse_payload(kind.value) == (kind, None)
    for value in ("SHA256", "", "a" * 63, "UNSIGNED", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
        with pytest.raises(SignatureError) as caught:
            parse_payload(value)
        assert caught.value.code == "InvalidArgument"


def test_a_mismatch_is_explained_with_what_was_signed():
    request = SignedRequest("GET", b"/b/k", b"", [HOST])
    signed = sign(request, EXAMPLE, now=EXAMPLE_TIME, payload=canonical.EMPTY_SHA256).request
    with pytest.raises(SignatureError) as caught:
        check(replace(signed, raw_path=b"/b/other"), EXAMPLE.secret)
    fields = caught.value.fields
    assert fields["CanonicalRequest"].startswith("GET\n/b/other\n")
    assert fields["StringToSign"].startswith("AWS4-HMAC-SHA256\n20130524T000000Z\n")
    assert bytes.fromhex(fields["StringToSignBytes"]).decode() == fields["StringToSign"]


@given(st.binary(max_size=60))
def test_any_authorization_header_is_parsed_or_refused(junk):
    request = SignedRequest(
        "GET", b"/", b"", [(b"authorization", b"AWS4-HMAC-SHA256 " + junk), (b"date", b"x")]
    )
    with pytest.raises(SignatureError):
        parse_authorization(request)


@given(st.binary(max_size=60))
def test_any_query_is_parsed_or_refused(junk):
    with pytest.raises(SignatureError):
        parse_presigned(SignedRequest("GET", b"/", b"X-Amz-Signature=1&" + junk, []))
