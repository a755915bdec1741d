"""The video half of a command line: encoder, rate control, preset, filters.

Pure. Used by `transcode` and `convert`; the sound is `audio_encoding`'s, the rest of the
command `muxing`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from mediaconvert.errors import MediaInputError
from mediaconvert.media import StreamInfo
from mediaconvert.operations.codecs import SVT_PRESETS, VPX_PRESETS, VideoCodec
from mediaconvert.operations.fields import rate_text
from mediaconvert.operations.formats import Container
from mediaconvert.operations.inputs import frame_size
from mediaconvert.operations.video_filters import encode_chain, tonemaps
from mediaconvert.operations.video_geometry import Box, even_inside


@dataclass(frozen=True, slots=True)
class Track:
    """One mapped and encoded (or copied) stream of an output."""

    arguments: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    is_copied: bool = False


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """How to encode, with every default filled in by the operation."""

    codec: VideoCodec
    box: Box
    quality: int | None = None
    bitrate: int | None = None
    max_bitrate: int | None = None
    preset: str = "medium"
    pixel_format: str = "yuv420p"
    fps: Fraction | None = None
    threads: int = 0


# Above this a rate is a clock's resolution rather than a rate of pictures.
_MOST_FPS = 240


def encode_video(settings: VideoSettings, stream: StreamInfo, container: Container) -> Track:
    """Map and encode the video track. Raises MediaInputError for a track without a size."""
    source = frame_size(stream)
    size = even_inside(source, settings.box)
    if min(size.width, size.height) < settings.codec.min_side:
        least = settings.codec.min_side
        raise MediaInputError(
            "frame_too_small",
            f"{settings.codec.name} needs pictures of at least {least}x{least}; "
            f"these would be {size} (the input has {source})",
        )
    fps, reasons = settings.fps, []
    if fps is None and stream.fps is not None and stream.fps > _MOST_FPS:
        fps = Fraction(60)
        reasons.append(f"the file claims {stream.fps:g} frames per second; written at 60")
    if size != source:
        reasons.append(f"scaled from {source} to {size}: even sides, aspect kept")
    if tonemaps(stream, settings.pixel_format):
        reasons.append("HDR is mapped to SDR, for 8 bits cannot hold it")
    arguments = [
        "-map",
        f"0:{stream.index}",
        "-c:v",
        settings.codec.encoder,
        *_rate_control(settings, size.width),
        "-vf",
        encode_chain(stream, size, settings.pixel_format, fps),
        # Frames keep their own times; only doubles of one time are dropped.
        "-fps_mode",
        "vfr",
        *tag_arguments(settings.codec.stream_name, container),
    ]
    reasons.append(_rate_reason(settings))
    return Track(tuple(arguments), tuple(reasons))


def copy_video(stream: StreamInfo, container: Container) -> Track:
    """Map and copy. Raises `codec_does_not_fit` where the container cannot hold the track."""
    if container.copied_video is not None and stream.codec not in container.copied_video:
        raise MediaInputError(
            "codec_does_not_fit",
            f"codec 'copy' would keep {stream.codec}, which .{container.extensions[0]} cannot "
            f"hold; it holds {', '.join(sorted(container.copied_video))}",
        )
    arguments = ("-map", f"0:{stream.index}", "-c:v", "copy")
    return Track(
        arguments + tag_arguments(stream.codec, container),
        (f"the {stream.codec} track is copied as it is",),
        is_copied=True,
    )


def tag_arguments(stream_name: str, container: Container) -> tuple[str, ...]:
    """Apple's players know HEVC in MP4 and QuickTime only as `hvc1`."""
    if stream_name == "hevc" and container.muxer in ("mp4", "mov"):
        return ("-tag:v", "hvc1")
    return ()


def _rate_control(settings: VideoSettings, width: int) -> list[str]:
    match settings.codec.name:
        case "vp9":
            return _vp9(settings, width)
        case "av1":
            return _av1(settings)
        case "h265":
            x265 = "log-level=error"
            if settings.threads:
                x265 += f":pools={settings.threads}"
            return [*_x26x(settings), "-x265-params", x265]
        case _:
            return _x26x(settings)


def _quality(settings: VideoSettings) -> int:
    chosen = settings.quality
    return settings.codec.default_quality if chosen is None else chosen


def _x26x(settings: VideoSettings) -> list[str]:
    arguments = ["-preset", settings.preset]
    if settings.bitrate is not None:
        arguments += ["-b:v", rate_text(settings.bitrate)]
    else:
        arguments += ["-crf", f"{_quality(settings)}"]
    return arguments + _ceiling(settings)


def _ceiling(settings: VideoSettings) -> list[str]:
    if settings.max_bitrate is None:
        return []
    # A buffer of two seconds: short enough for streaming, long enough to hold a key frame.
    buffer = rate_text(2 * settings.max_bitrate)
    return ["-maxrate", rate_text(settings.max_bitrate), "-bufsize", buffer]


def _vp9(settings: VideoSettings, width: int) -> list[str]:
    deadline, speed = VPX_PRESETS[settings.preset]
    # Tiles are at least 256 pixels wide; their number is 2 to this power, and with row-mt
    # each tile is one more thread's work.
    tiles = 2 if width >= 1280 else 1 if width >= 640 else 0
    arguments = ["-deadline", deadline, "-cpu-used", f"{speed}", "-row-mt", "1"]
    arguments += ["-tile-columns", f"{tiles}", "-g", "240"]
    if settings.bitrate is not None:
        return [*arguments, "-b:v", rate_text(settings.bitrate), *_ceiling(settings)]
    # libvpx: with -crf, -b:v is the ceiling of "constrained quality"; 0 means none.
    ceiling = "0" if settings.max_bitrate is None else rate_text(settings.max_bitrate)
    return [*arguments, "-crf", f"{_quality(settings)}", "-b:v", ceiling]


def _av1(settings: VideoSettings) -> list[str]:
    arguments = ["-preset", f"{SVT_PRESETS[settings.preset]}"]
    svt = [f"lp={settings.threads}"] if settings.threads else []
    if settings.bitrate is not None:
        arguments += ["-b:v", rate_text(settings.bitrate)]
    elif _quality(settings) == 0:
        # To ffmpeg's wrapper -crf 0 means "not given"; the encoder's own parameter does not.
        svt.append("crf=0")
    else:
        arguments += ["-crf", f"{_quality(settings)}"]
    arguments += _ceiling(settings)
    return [*arguments, "-svtav1-params", ":".join(svt)] if svt else arguments


def _rate_reason(settings: VideoSettings) -> str:
    if settings.bitrate is not None:
        how = f"at {rate_text(settings.bitrate)}bit/s"
    else:
        default = "" if settings.quality is not None else " (the default)"
        how = f"at constant quality {_quality(settings)}{default}"
    ceiling = (
        f", never above {rate_text(settings.max_bitrate)}bit/s" if settings.max_bitrate else ""
    )
    return f"encoded as {settings.codec.name} {how}{ceiling}, preset {settings.preset}"
