"""What a file is, from its first bytes alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.errors import MediaInputError
from mediaconvert.media import MediaKind
from mediaconvert.tools.ffmpeg import DEMUXERS
from mediaconvert.tools.sniff import _MAGIC, _RIFF, sniff


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + b"\0\0\0\0" + b"".join(compatible)
    return (len(body) + 4).to_bytes(4, "big") + body


MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)
ADTS_FRAME = b"\xff\xf1\x50\x80\x02\x1f\xfc" + bytes(9)


@pytest.mark.parametrize(
    ("head", "container", "demuxer", "kind"),
    [
        (ftyp(b"isom", b"isom", b"avc1"), "mp4", "mov", MediaKind.VIDEO),
        (ftyp(b"dash"), "mp4", "mov", MediaKind.VIDEO),
        (ftyp(b"qt  "), "mov", "mov", MediaKind.VIDEO),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "mov", "mov", MediaKind.VIDEO),
        (ftyp(b"M4A "), "m4a", "mov", MediaKind.AUDIO),
        (ftyp(b"3gp5"), "3gp", "mov", MediaKind.VIDEO),
        (ftyp(b"avif", b"mif1"), "avif", "", MediaKind.IMAGE),
        (ftyp(b"mif1", b"miaf", b"avif"), "avif", "", MediaKind.IMAGE),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", "webm", "matroska", MediaKind.VIDEO),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska", "matroska", "matroska", MediaKind.VIDEO),
        (b"RIFF\0\0\0\0AVI LIST", "avi", "avi", MediaKind.VIDEO),
        (b"RIFF\0\0\0\0WAVEfmt ", "wav", "wav", MediaKind.AUDIO),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp", "", MediaKind.IMAGE),
        (b"FLV\x01\x05\0\0\0\x09", "flv", "flv", MediaKind.VIDEO),
        ((b"\x47" + bytes(187)) * 4, "mpegts", "mpegts", MediaKind.VIDEO),
        ((bytes(4) + b"\x47" + bytes(187)) * 4, "mpegts", "mpegts", MediaKind.VIDEO),
        (b"\0\0\x01\xba\x44", "mpegps", "mpeg", MediaKind.VIDEO),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "asf", "asf", MediaKind.VIDEO),
        (b"OggS\0\x02" + bytes(22) + b"\x01\x1eOpusHead", "ogg", "ogg", MediaKind.AUDIO),
        (b"OggS\0\x02" + bytes(22) + b"\x01\x2a\x80theora", "ogg", "ogg", MediaKind.VIDEO),
        (b"fLaC\0\0\0\x22", "flac", "flac", MediaKind.AUDIO),
        (b"ID3\x04\0\0\0\0\0\0", "mp3", "mp3", MediaKind.AUDIO),
        (MP3_FRAME * 2, "mp3", "mp3", MediaKind.AUDIO),
        (ADTS_FRAME * 3, "aac", "aac", MediaKind.AUDIO),
        (b"FORM\0\0\0\0AIFFCOMM", "aiff", "aiff", MediaKind.AUDIO),
        (b"#!AMR\n\x3c", "amr", "amr", MediaKind.AUDIO),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpeg", "", MediaKind.IMAGE),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png", "", MediaKind.IMAGE),
        (b"GIF89a\x01\0\x01\0", "gif", "", MediaKind.IMAGE),
        (b"II*\0\x08\0\0\0", "tiff", "", MediaKind.IMAGE),
        (b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(40), "bmp", "bmp_pipe", MediaKind.IMAGE),
        (b"\xff\x0a\x00\x10", "jxl", "jpegxl_pipe", MediaKind.IMAGE),
        (b"%PDF-1.7\n", "pdf", "", MediaKind.PDF),
        (b"\r\n\r\n%PDF-1.4", "pdf", "", MediaKind.PDF),
    ],
)
def test_formats_are_told_by_their_first_bytes(
    head: bytes, container: str, demuxer: str, kind: MediaKind
) -> None:
    found = sniff(head)
    assert (found.container, found.demuxer, found.kind) == (container, demuxer, kind)


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (b"just some words\n", "plain text"),
        ("grüße\n".encode(), "plain text"),
        ("words".encode("utf-16"), "plain text"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\n", "HLS playlist"),
        (b"\xef\xbb\xbf#EXTM3U\nfile:///etc/passwd", "HLS playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "ffconcat"),
        (b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011">', "DASH"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", "SDP"),
        (b"<AssetMap xmlns='http://www.smpte-ra.org/'>", "IMF"),
        (b"[playlist]\nFile1=http://example.com\n", "playlist"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"<?xml version='1.0'?><data/>", "XML"),
        (b'{"a": 1}', "JSON"),
        (b"PK\x03\x04\x14\0" + bytes(24) + b"word/document.xml", "Office"),
        (b"PK\x03\x04\x14\0" + bytes(24) + b"notes.txt", "zip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Office"),
        (b"\x7fELF\x02\x01", "Linux program"),
        (b"\x1f\x8b\x08", "gzip"),
        (ftyp(b"heic", b"mif1"), "HEIC photograph"),
        (bytes(range(200, 256)) * 4, "none of the formats"),
        (bytes(100), "none of the formats"),
    ],
)
def test_everything_else_is_refused_by_name(head: bytes, named: str) -> None:
    with pytest.raises(MediaInputError, match="accepted are video") as caught:
        sniff(head)
    assert caught.value.code == "unsupported_container"
    assert named in caught.value.message


def test_an_empty_file_is_refused_as_empty() -> None:
    with pytest.raises(MediaInputError) as caught:
        sniff(b"")
    assert caught.value.code == "empty_file"


def test_every_demuxer_that_may_be_chosen_is_one_that_may_be_run() -> None:
    chosen = {found.demuxer for _, _, found in _MAGIC} | {f.demuxer for f in _RIFF.values()}
    assert chosen - {""} <= DEMUXERS


@given(st.binary(min_size=1, max_size=600))
def test_any_bytes_are_either_known_or_refused(head: bytes) -> None:
    try:
        assert sniff(head).container
    except MediaInputError as error:
        assert error.code == "unsupported_container"
