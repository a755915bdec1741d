"""aws-chunked in every form: the S3 reference's examples, botocore's encoder, broken bodies."""

import hashlib
import io
from base64 import b64encode
from zlib import crc32

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.api.s3.chunked import MAX_LINE_BYTES, MAX_TRAILER_BYTES, ChunkedDecoder
from mediaconvert.api.s3.errors import S3Error
from mediaconvert.errors import IncompleteBody
from mediaconvert.sigv4.canonical import Claim, CredentialScope, PayloadKind, SignedRequest
from mediaconvert.sigv4.chunks import ChunkChain
from mediaconvert.sigv4.client import KeyPair, sign

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SCOPE = CredentialScope("20130524", "us-east-1")
CRC32C_NAME = "x-amz-checksum-crc32c"

SIGNED, UNSIGNED = PayloadKind.STREAMING, PayloadKind.STREAMING_UNSIGNED_TRAILER
TRAILER = PayloadKind.STREAMING_TRAILER


def claim(signature: str, kind: PayloadKind = SIGNED) -> Claim:
    return Claim("AK", SCOPE, "20130524T000000Z", ("host",), signature, str(kind))


def chain(signature: str = "0" * 64) -> ChunkChain:
    return ChunkChain(claim(signature), SECRET)


def signed_body(chunks: list[bytes], seed: str, trailers: dict[str, str] | None = None) -> bytes:
    """As a client sends it; the empty last chunk is added."""
    links = chain(seed)
    out = b""
    for data in [*chunks, b""]:
        signature = links.sign_chunk(hashlib.sha256(data).hexdigest())
        out += f"{len(data):x};chunk-signature={signature}\r\n".encode() + data
        out += b"\r\n" if data or trailers is None else b""
    if trailers is not None:
        out += "".join(f"{n}:{v}\r\n" for n, v in trailers.items()).encode()
        signature = links.sign_trailer(trailers.items())
        out += f"x-amz-trailer-signature:{signature}\r\n\r\n".encode()
    return out


def decode(decoder: ChunkedDecoder, body: bytes, step: int = 1 << 20) -> tuple[bytes, dict]:
    out = b""
    for start in range(0, len(body), step):
        out += b"".join(decoder.feed(body[start : start + step]))
    return out, dict(decoder.finish())


def test_the_example_of_the_s3_reference_has_its_signatures():
    links = chain("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9")
    first, second, last = (
        hashlib.sha256(data).hexdigest() for data in (b"a" * 65536, b"a" * 1024, b"")
    )
    links.check_chunk(first, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648")
    links.check_chunk(second, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497")
    links.check_chunk(last, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")


def test_the_example_with_a_trailer_has_its_signatures():
    links = chain("106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e")
    first, second, last = (
        hashlib.sha256(data).hexdigest() for data in (b"a" * 65536, b"a" * 1024, b"")
    )
    links.check_chunk(first, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2")
    links.check_chunk(second, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7")
    links.check_chunk(last, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992")
    links.check_trailer(
        [(CRC32C_NAME, "sOO8/Q==")],
        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435",
    )


@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=5), step=st.integers(1, 60))
def test_signed_chunks_come_out_as_they_went_in(chunks, step):
    seed = "ab" * 32
    whole = b"".join(chunks)
    decoder = ChunkedDecoder(SIGNED, len(whole), chain=chain(seed))
    assert decode(decoder, signed_body(chunks, seed), step) == (whole, {})


@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=5), step=st.integers(1, 60))
def test_signed_trailers_come_out_as_they_went_in(chunks, step):
    seed = "ab" * 32
    whole = b"".join(chunks)
    trailers = {CRC32C_NAME: "sOO8/Q=="}
    decoder = ChunkedDecoder(TRAILER, len(whole), chain=chain(seed), announced=[CRC32C_NAME])
    assert decode(decoder, signed_body(chunks, seed, trailers), step) == (whole, trailers)


@given(body=st.binary(max_size=300), size=st.integers(1, 200), step=st.integers(1, 400))
def test_what_botocore_encodes_comes_out_as_it_went_in(body, size, step):
    name = "x-amz-checksum-crc32"
    encoded = AwsChunkedWrapper(
        io.BytesIO(body), checksum_cls=Crc32Checksum, checksum_name=name, chunk_size=size
    ).read()
    decoder = ChunkedDecoder(UNSIGNED, len(body), announced=[name])
    value = b64encode(crc32(body).to_bytes(4, "big")).decode()
    assert decode(decoder, encoded, step) == (body, {name: value})


def test_a_chain_that_begins_with_a_request_goes_on_from_it():
    request = SignedRequest("PUT", b"/b/k", b"", [(b"host", b"h")])
    signed = sign(request, KeyPair("AK", SECRET), now=1_369_353_600, payload=str(SIGNED))
    body = signed_body([b"hello"], signed.claim.signature)
    decoder = ChunkedDecoder(SIGNED, 5, chain=ChunkChain(signed.claim, SECRET))
    assert decode(decoder, body) == (b"hello", {})


@pytest.mark.parametrize(
    "trailer",
    [
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
        b"x-amz-checksum-crc32c:sOO8/Q==\n\r\n\r\n",
        b"X-Amz-Checksum-CRC32C: sOO8/Q== \r\n",
        b"\r\nx-amz-checksum-crc32c:sOO8/Q==\n",
    ],
)
def test_trailers_are_read_as_different_sdks_write_them(trailer):
    decoder = ChunkedDecoder(UNSIGNED, 1, announced=[CRC32C_NAME])
    assert decode(decoder, b"1\r\na\r\n0\r\n" + trailer) == (b"a", {CRC32C_NAME: "sOO8/Q=="})


@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_a_body_without_trailers_may_end_with_its_last_chunk(end):
    assert decode(ChunkedDecoder(UNSIGNED, 1), b"1\r\na\r\n0\r\n" + end) == (b"a", {})


@given(flip=st.integers(0, 10_000))
def test_a_changed_byte_of_a_signed_body_is_refused_or_means_the_same(flip):
    seed = "cd" * 32
    body = bytearray(signed_body([b"hello", b"world"], seed, {CRC32C_NAME: "sOO8/Q=="}))
    body[flip % len(body)] ^= 0x01
    decoder = ChunkedDecoder(TRAILER, 10, chain=chain(seed), announced=[CRC32C_NAME])
    try:
        decoded = decode(decoder, bytes(body))
    except (S3Error, IncompleteBody):
        return
    # Only white space around trailers has no meaning.
    assert decoded == (b"helloworld", {CRC32C_NAME: "sOO8/Q=="})


@given(cut=st.integers(0, 10_000))
def test_any_shortened_body_is_refused(cut):
    seed = "cd" * 32
    body = signed_body([b"hello", b"world"], seed, {CRC32C_NAME: "sOO8/Q=="})
    shortened = body[: cut % (len(body) - 4)]
    decoder = ChunkedDecoder(TRAILER, 10, chain=chain(seed), announced=[CRC32C_NAME])
    with pytest.raises((S3Error, IncompleteBody)):
        decode(decoder, shortened)


def test_chunks_in_another_order_are_refused():
    seed = "cd" * 32
    body = signed_body([b"hello", b"world"], seed)
    first, second, rest = body[:91], body[91:182], body[182:]
    assert first.endswith(b"hello\r\n")
    with pytest.raises(S3Error) as caught:
        decode(ChunkedDecoder(SIGNED, 10, chain=chain(seed)), second + first + rest)
    assert caught.value.code == "SignatureDoesNotMatch"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"x\r\n", "InvalidRequest"),
        (b" 1\r\na\r\n0\r\n\r\n", "InvalidRequest"),
        (b"0x1\r\na\r\n0\r\n\r\n", "InvalidRequest"),
        (b"-1\r\na\r\n0\r\n\r\n", "InvalidRequest"),
        (b"\r\n1\r\na\r\n0\r\n\r\n", "InvalidRequest"),
        (b"1\na\r\n0\r\n\r\n", "InvalidRequest"),
        (b"1\r\nab\r\n0\r\n\r\n", "InvalidRequest"),
        (b"00000000000000001\r\na\r\n0\r\n\r\n", "InvalidRequest"),
        (b"1" * (MAX_LINE_BYTES + 1), "InvalidRequest"),
        (b"2\r\nab\r\n0\r\n\r\n", "IncompleteBody"),
        (b"ffffffffffffffff\r\n", "IncompleteBody"),
        (b"1\r\na\r\n0\r\nno colon\r\n", "MalformedTrailerError"),
        (b"1\r\na\r\n0\r\nx-amz-other:1\r\n", "MalformedTrailerError"),
        (b"1\r\na\r\n0\r\nx-amz-checksum-crc32c:1\r\n" * 2, "MalformedTrailerError"),
        (b"1\r\na\r\n0\r\nb ad:1\r\n", "MalformedTrailerError"),
        (b"1\r\na\r\n0\r\n" + b"a" * (MAX_TRAILER_BYTES + 1), "MalformedTrailerError"),
    ],
)
def test_a_malformed_body_is_refused(body, code):
    with pytest.raises(S3Error) as caught:
        decode(ChunkedDecoder(UNSIGNED, 1, announced=[CRC32C_NAME]), body)
    assert caught.value.code == code


@pytest.mark.parametrize("body", [b"", b"1\r\n", b"1\r\na", b"1\r\na\r\n", b"0\r\n\r\n"])
def test_a_body_that_ends_early_is_incomplete(body):
    with pytest.raises(IncompleteBody):
        decode(ChunkedDecoder(UNSIGNED, 1), body)


def test_signatures_are_demanded_where_they_are_announced():
    with pytest.raises(S3Error, match="chunk-signature"):
        decode(ChunkedDecoder(SIGNED, 1, chain=chain()), b"1\r\na\r\n0\r\n\r\n")
    seed = "cd" * 32
    body = signed_body([b"a"], seed)
    with pytest.raises(S3Error, match="x-amz-trailer-signature is missing"):
        decode(ChunkedDecoder(TRAILER, 1, chain=chain(seed)), body)
    late = body + b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
    with pytest.raises(S3Error, match="has none"):
        decode(ChunkedDecoder(SIGNED, 1, chain=chain(seed), announced=[CRC32C_NAME]), late)


def test_a_decoder_is_not_made_for_what_it_cannot_decode():
    with pytest.raises(ValueError, match="not aws-chunked"):
        ChunkedDecoder(PayloadKind.UNSIGNED, 1)
    with pytest.raises(ValueError, match="needs the chain"):
        ChunkedDecoder(SIGNED, 1)


def test_one_byte_chunks_do_not_become_one_byte_pieces():
    body = b"1\r\na\r\n" * 10_000 + b"0\r\n\r\n"
    decoder = ChunkedDecoder(UNSIGNED, 10_000)
    pieces = decoder.feed(body)
    decoder.finish()
    assert b"".join(pieces) == b"a" * 10_000
    assert len(pieces) <= 3


def test_a_large_chunk_comes_out_before_it_has_ended():
    decoder = ChunkedDecoder(UNSIGNED, 1 << 30)
    assert decoder.feed(b"40000000\r\nabc") == [b"abc"]
    assert decoder.feed(b"def") == [b"def"]


@given(st.binary(max_size=200), st.sampled_from([SIGNED, UNSIGNED, TRAILER]))
def test_any_body_is_decoded_or_refused(junk, kind):
    decoder = ChunkedDecoder(kind, 100, chain=chain())
    with pytest.raises((S3Error, IncompleteBody)):
        decode(decoder, junk)
