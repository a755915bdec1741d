"""Tells a file's format from its first bytes. Pure: no I/O, no clock.

A name or a declared content type is never asked. What may point at other files (playlists,
manifests, scripts), what can carry code, and everything unknown is refused here, before any
decoder sees it. Called by `tools.probe`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mediaconvert.errors import MediaInputError
from mediaconvert.media import MediaKind
from mediaconvert.tools.refused_formats import STILL_BRANDS, name_refused

HEAD_BYTES = 4096
"""How much of the start of a file `sniff` wants to see."""

ACCEPTED = (
    "accepted are video (mp4, mov, mkv, webm, avi, flv, mpeg, wmv, 3gp, ogg), "
    "audio (mp3, m4a, aac, ogg, opus, flac, wav, aiff, amr, wma, caf), "
    "images (jpeg, png, gif, webp, avif, tiff, bmp, jxl) and PDF"
)


@dataclass(frozen=True, slots=True)
class Format:
    """A container as told by magic bytes."""

    container: str
    demuxer: str
    """What `-f` gets; empty where ffmpeg is not the reader. For the pictures that libvips
    cannot read here (bmp, jxl) it is the demuxer that turns them into a PNG."""
    kind: MediaKind
    """Of containers that hold either, VIDEO; probing the streams settles it."""


_VIDEO, _AUDIO, _IMAGE = MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.IMAGE

# (offset, magic, format), the first match wins.
_MAGIC: tuple[tuple[int, bytes, Format], ...] = (
    (0, b"\xff\xd8\xff", Format("jpeg", "", _IMAGE)),
    (0, b"\x89PNG\r\n\x1a\n", Format("png", "", _IMAGE)),
    (0, b"GIF87a", Format("gif", "", _IMAGE)),
    (0, b"GIF89a", Format("gif", "", _IMAGE)),
    (0, b"II*\0", Format("tiff", "", _IMAGE)),
    (0, b"MM\0*", Format("tiff", "", _IMAGE)),
    (0, b"II+\0", Format("tiff", "", _IMAGE)),
    (0, b"MM\0+", Format("tiff", "", _IMAGE)),
    (0, b"\xff\x0a", Format("jxl", "jpegxl_pipe", _IMAGE)),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", Format("jxl", "jpegxl_pipe", _IMAGE)),
    (0, b"FLV\x01", Format("flv", "flv", _VIDEO)),
    (0, b"\0\0\x01\xba", Format("mpegps", "mpeg", _VIDEO)),
    (0, b"\0\0\x01\xb3", Format("mpegvideo", "mpegvideo", _VIDEO)),
    (
        0,
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
        Format("asf", "asf", _VIDEO),
    ),
    (0, b"OggS", Format("ogg", "ogg", _AUDIO)),
    (0, b"fLaC", Format("flac", "flac", _AUDIO)),
    (0, b"#!AMR\n", Format("amr", "amr", _AUDIO)),
    (0, b"#!AMR-WB\n", Format("amr", "amr", _AUDIO)),
    (0, b"caff\0\x01", Format("caf", "caf", _AUDIO)),
    (0, b"ID3", Format("mp3", "mp3", _AUDIO)),
)

_RIFF = {
    b"WAVE": Format("wav", "wav", _AUDIO),
    b"AVI ": Format("avi", "avi", _VIDEO),
    b"AVIX": Format("avi", "avi", _VIDEO),
    b"WEBP": Format("webp", "", _IMAGE),
}

_AUDIO_BRANDS = {b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "}
# QuickTime files from before `ftyp` existed begin with one of these atoms.
_OLD_ATOMS = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}


def sniff(head: bytes) -> Format:
    """The format of a file that begins with `head` (its first `HEAD_BYTES`, or all of it).

    Raises MediaInputError: `empty_file`, or `unsupported_container` naming what was found.
    """
    if not head:
        raise MediaInputError("empty_file", "the file is empty: it has 0 bytes")
    found = _known(head)
    if found is None:
        raise MediaInputError(
            "unsupported_container", f"the file looks like {name_refused(head)}; {ACCEPTED}"
        )
    return found


def _known(head: bytes) -> Format | None:
    for offset, magic, found in _MAGIC:
        if head.startswith(magic, offset):
            return _ogg(head) if found.container == "ogg" else found
    if head[:4] in (b"RIFF", b"RF64", b"RIFX") and head[8:12] in _RIFF:
        return _RIFF[head[8:12]]
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Format("aiff", "aiff", _AUDIO)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        webm = b"webm" in head[:64]
        return Format("webm" if webm else "matroska", "matroska", _VIDEO)
    if b"%PDF-" in head[:1024]:
        return Format("pdf", "", MediaKind.PDF)
    return _isobmff(head) or _bmp(head) or _transport_stream(head) or _audio_frames(head)


def _ogg(head: bytes) -> Format:
    video = b"\x80theora" in head or b"BBCD\0" in head
    return Format("ogg", "ogg", _VIDEO if video else _AUDIO)


def _isobmff(head: bytes) -> Format | None:
    """ISO 14496-12: the file type box names a major brand and the compatible ones."""
    box = head[4:8]
    if box in _OLD_ATOMS:
        return Format("mov", "mov", _VIDEO)
    if box != b"ftyp":
        return None
    size = int.from_bytes(head[:4], "big")
    major = head[8:12]
    brands = {major} | {head[i : i + 4] for i in range(16, min(size, len(head)) - 3, 4)}
    if major in (b"avif", b"avis") or (major in (b"mif1", b"msf1") and b"avif" in brands):
        return Format("avif", "", _IMAGE)
    if major in STILL_BRANDS:
        return None
    if major == b"qt  ":
        return Format("mov", "mov", _VIDEO)
    if major in _AUDIO_BRANDS:
        return Format("m4a", "mov", _AUDIO)
    if major[:3] in (b"3gp", b"3g2", b"3gr", b"3gs", b"3ge", b"3gg"):
        return Format("3gp", "mov", _VIDEO)
    return Format("mp4", "mov", _VIDEO)


def _bmp(head: bytes) -> Format | None:
    """`BM` alone is too little: the size of the header that follows must be a known one."""
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (
        12,
        40,
        52,
        56,
        64,
        108,
        124,
    ):
        return Format("bmp", "bmp_pipe", _IMAGE)
    return None


def _transport_stream(head: bytes) -> Format | None:
    """ISO 13818-1: packets of 188 bytes begin with 0x47; Blu-ray puts four bytes before each,
    broadcast sixteen behind."""
    for first, stride in ((0, 188), (4, 192), (0, 204)):
        marks = head[first::stride][:5]
        if len(marks) >= 3 and set(marks) == {0x47}:
            return Format("mpegts", "mpegts", _VIDEO)
    return None


_MP3_KBPS = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),  # MPEG-1 layer III
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),  # MPEG-2 and 2.5
)
_MP3_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _audio_frames(head: bytes) -> Format | None:
    """ADTS and MP3 have no header: two frames in a row must agree."""
    if len(head) < 8 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        following = head[length : length + 2]
        if length >= 7 and (len(following) < 2 or following == head[:2]):
            return Format("aac", "aac", _AUDIO)
        return None
    frame = _mp3_frame_length(head)
    if frame is None:
        return None
    following = head[frame : frame + 2]
    if len(following) == 2 and (following[0] != 0xFF or following[1] & 0xFE != head[1] & 0xFE):
        return None
    return Format("mp3", "mp3", _AUDIO)


def _mp3_frame_length(head: bytes) -> int | None:
    """Bytes of the layer III frame at the start, or None when there is none."""
    version = head[1] >> 3 & 3
    bit_rate, hertz = head[2] >> 4, head[2] >> 2 & 3
    if head[1] & 0xE6 != 0xE2 or version == 1 or hertz == 3:
        return None
    kbps = _MP3_KBPS[0 if version == 3 else 1][bit_rate]
    if kbps == 0:
        return None
    samples = 1152 if version == 3 else 576
    return samples // 8 * kbps * 1000 // _MP3_HERTZ[version][hertz] + (head[2] >> 1 & 1)
