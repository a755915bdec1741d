"""File formats as outputs: which extension means what, and what fits into which container.

Pure tables. `codec` names are ours (h264, h265, …) where we encode, and ffprobe's (hevc,
pcm_s16le, …) where a stream is copied as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mediaconvert.media import MediaKind


@dataclass(frozen=True, slots=True)
class ImageFormat:
    name: str
    extensions: tuple[str, ...]
    content_type: str
    default_quality: int | None = None
    """None: the format is lossless, a quality means nothing to it."""
    is_animated: bool = False
    """libvips writes several frames into it."""


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    extensions: tuple[str, ...]
    content_type: str
    muxer: str
    audio_codecs: tuple[str, ...]
    """That we encode into it, the default first."""
    video_codecs: tuple[str, ...] = ()
    copied_audio: frozenset[str] | None = frozenset()
    """ffprobe's names of what may be copied into it; None: anything."""
    copied_video: frozenset[str] | None = frozenset()
    has_faststart: bool = False

    @property
    def has_video(self) -> bool:
        return bool(self.video_codecs)


IMAGE_FORMATS = (
    ImageFormat("jpeg", ("jpg", "jpeg"), "image/jpeg", 85),
    ImageFormat("png", ("png",), "image/png"),
    ImageFormat("webp", ("webp",), "image/webp", 80, is_animated=True),
    ImageFormat("avif", ("avif",), "image/avif", 60),
    ImageFormat("tiff", ("tiff", "tif"), "image/tiff"),
    ImageFormat("gif", ("gif",), "image/gif", is_animated=True),
)

_PCM = frozenset({"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le"})
_MP4_AUDIO = frozenset({"aac", "mp3", "opus", "flac", "alac", "ac3", "eac3"})
_QT_AUDIO = frozenset({"aac", "mp3", "alac", "ac3", "eac3"}) | _PCM

CONTAINERS = (
    Container(
        "mp4",
        ("mp4", "m4v"),
        "video/mp4",
        "mp4",
        ("aac", "opus", "mp3", "flac"),
        ("h264", "h265", "av1", "vp9"),
        copied_audio=_MP4_AUDIO,
        copied_video=frozenset({"h264", "hevc", "av1", "vp9", "mpeg4"}),
        has_faststart=True,
    ),
    Container(
        "mov",
        ("mov",),
        "video/quicktime",
        "mov",
        ("aac", "mp3"),
        ("h264", "h265"),
        copied_audio=_QT_AUDIO,
        copied_video=frozenset({"h264", "hevc", "mpeg4", "prores", "mjpeg", "dnxhd"}),
        has_faststart=True,
    ),
    Container(
        "webm",
        ("webm",),
        "video/webm",
        "webm",
        ("opus",),
        ("vp9", "av1"),
        copied_audio=frozenset({"opus", "vorbis"}),
        copied_video=frozenset({"vp8", "vp9", "av1"}),
    ),
    Container(
        "mkv",
        ("mkv",),
        "video/x-matroska",
        "matroska",
        ("aac", "opus", "mp3", "flac"),
        ("h264", "h265", "av1", "vp9"),
        copied_audio=None,
        copied_video=None,
    ),
    Container("mp3", ("mp3",), "audio/mpeg", "mp3", ("mp3",), copied_audio=frozenset({"mp3"})),
    Container("aac", ("aac",), "audio/aac", "adts", ("aac",), copied_audio=frozenset({"aac"})),
    Container(
        "m4a",
        ("m4a",),
        "audio/mp4",
        "ipod",
        ("aac",),
        copied_audio=frozenset({"aac", "alac"}),
        has_faststart=True,
    ),
    Container("opus", ("opus",), "audio/ogg", "opus", ("opus",), copied_audio=frozenset({"opus"})),
    Container(
        "ogg",
        ("ogg", "oga"),
        "audio/ogg",
        "ogg",
        ("opus", "flac"),
        copied_audio=frozenset({"opus", "vorbis", "flac"}),
    ),
    Container("flac", ("flac",), "audio/flac", "flac", ("flac",), copied_audio=frozenset({"flac"})),
    Container("wav", ("wav",), "audio/wav", "wav", ("pcm",), copied_audio=_PCM),
)

_IMAGES = {ext: fmt for fmt in IMAGE_FORMATS for ext in fmt.extensions}
_CONTAINERS = {ext: container for container in CONTAINERS for ext in container.extensions}
_TEXTS = {"txt": "text/plain; charset=utf-8", "json": "application/json"}

IMAGE_ALIASES = {"jpg": "jpeg", "tif": "tiff"}


def extension(output: str) -> str:
    """The lower-case extension of an output's name, without its dot; empty where it has none."""
    stem, dot, ext = output.rpartition("/")[2].rpartition(".")
    return ext.lower() if dot and stem else ""


def image_format(output: str) -> ImageFormat | None:
    """The picture format that a name says."""
    return _IMAGES.get(extension(output))


def image_format_named(name: str) -> ImageFormat:
    """By our own name (`jpeg`), which the parameters have checked already."""
    return next(fmt for fmt in IMAGE_FORMATS if fmt.name == name)


def container(output: str) -> Container | None:
    """The video or audio container that a name says."""
    return _CONTAINERS.get(extension(output))


def content_type(output: str) -> str:
    """The content type that a name says."""
    ext = extension(output)
    if found := _IMAGES.get(ext) or _CONTAINERS.get(ext):
        return found.content_type
    return _TEXTS.get(ext, "application/octet-stream")


def dotted(extensions: Iterable[str]) -> str:
    """`.mp4, .mov and .mkv`: extensions as messages list them."""
    names = [f".{ext}" for ext in extensions]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def extensions_for_video(codec: str) -> tuple[str, ...]:
    """The extensions of the containers that take a codec of ours."""
    return tuple(c.extensions[0] for c in CONTAINERS if codec in c.video_codecs)


def extensions_for_audio(codec: str) -> tuple[str, ...]:
    return tuple(c.extensions[0] for c in CONTAINERS if codec in c.audio_codecs)


def container_kind(target: Container, *, with_video: bool) -> MediaKind:
    return MediaKind.VIDEO if target.has_video and with_video else MediaKind.AUDIO
