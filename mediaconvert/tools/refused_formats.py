"""Names what a file is that we do not accept, so that the refusal can say it. Pure.

Only for sentences: nothing that is named here is ever opened by a tool.
Called by `tools.sniff`.
"""

from __future__ import annotations

# (magic at the start, name)
_BINARY: tuple[tuple[bytes, str], ...] = (
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document (old binary form)"),
    (b"\x7fELF", "a Linux program"),
    (b"MZ", "a Windows program"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\x01\0", "an icon"),
    (b".RMF", "a RealMedia file"),
    (b"MThd", "a MIDI file"),
    (b"%!PS", "a PostScript document"),
    (b"\xc5\xd0\xd3\xc6", "an EPS document"),
    (b"FWS", "a Flash program"),
    (b"CWS", "a Flash program"),
    (b"\x06\x0e\x2b\x34", "an MXF file"),
    (b"wOF", "a font"),
    (b"OTTO", "a font"),
    (b"DICM", "a DICOM image"),
)

# Major brands of ISO base media files that hold a still picture which no tool here reads whole:
# telephones cut HEIC photographs into tiles, and one tile is not the picture.
STILL_BRANDS = dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
    "an HEIC photograph; save it as JPEG first",
) | {
    b"jp2 ": "a JPEG 2000 image",
    b"jpx ": "a JPEG 2000 image",
    b"crx ": "a raw photograph (Canon CR3)",
}

# (found within the first KiB of text, in lower case, name)
_TEXT: tuple[tuple[bytes, str], ...] = (
    (b"#extm3u", "an HLS playlist, which only points at other files"),
    (b"ffconcat version", "an ffconcat script, which only points at other files"),
    (b"[playlist]", "a playlist, which only points at other files"),
    (b"<mpd", "a DASH manifest, which only points at other files"),
    (b"<smoothstreamingmedia", "a Smooth Streaming manifest, which only points at other files"),
    (b"<assetmap", "an IMF package, which only points at other files"),
    (b"<compositionplaylist", "an IMF package, which only points at other files"),
    (b"<asx", "a playlist, which only points at other files"),
    (b"<smil", "a playlist, which only points at other files"),
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"{\\rtf", "an RTF document"),
    (b"webvtt", "a subtitle file"),
)


def name_refused(head: bytes) -> str:
    """Words for the format of a non-empty file, such as `plain text`."""
    for magic, name in _BINARY:
        if head.startswith(magic):
            return name
    if head.startswith(b"PK\x03\x04"):
        return _name_zip(head)
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[4:8] == b"ftyp":
        return STILL_BRANDS.get(head[8:12], "a film of an unknown type")
    text = _as_text(head)
    if text is not None:
        return _name_text(text)
    return "none of the formats that we know (unknown first bytes)"


def _name_zip(head: bytes) -> str:
    for part in (b"word/", b"xl/", b"ppt/", b"[Content_Types].xml"):
        if part in head:
            return "an Office document"
    if b"mimetypeapplication/epub" in head:
        return "an EPUB book"
    if b"mimetypeapplication/vnd.oasis" in head:
        return "an OpenDocument file"
    return "a zip archive"


def _as_text(head: bytes) -> bytes | None:
    """The start in UTF-8 when it is text, else None."""
    try:
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            return head[: len(head) & ~1].decode("utf-16").encode()
        # The cut at the end of `head` may fall inside a character of up to four bytes.
        head.decode("utf-8", "strict" if len(head) < 64 else "replace").encode()
    except UnicodeError:
        return None
    control = sum(1 for byte in head if byte < 32 and byte not in b"\t\n\r\f\x1b")
    broken = head.decode("utf-8", "replace").count("�")
    if control or broken > len(head) // 16 + 1:
        return None
    return head.removeprefix(b"\xef\xbb\xbf")


def _name_text(text: bytes) -> str:
    start = text[:1024].lower().lstrip()
    for mark, name in _TEXT:
        if mark in start:
            return name
    if start.startswith(b"v=0") and b"o=" in start:
        return "an SDP session description, which only points at other places"
    if start.startswith(b"<?xml"):
        return "an XML document"
    if start.startswith((b"{", b"[")):
        return "a JSON document"
    return "plain text"
