"""One frame of a video as a picture: the command, the picture formats that ffmpeg writes.

Pure. Used by `extract_frame` and `generate_thumbnail`.
"""

from __future__ import annotations

from mediaconvert.media import FfmpegCommand, MediaInfo, StreamInfo
from mediaconvert.operations.formats import ImageFormat, dotted, image_format
from mediaconvert.operations.timestamps import argument
from mediaconvert.operations.video_filters import still_chain
from mediaconvert.operations.video_geometry import Framing

STILL_FORMATS = ("jpeg", "png", "webp")

# A sound track often outlasts the pictures, and the last picture starts before the file ends:
# for a moment so close to the end the last frame before it is what a player would show.
_TAIL_SECONDS = 2.0
_LOOK_BACK_SECONDS = 5.0
_USUAL_FPS = 25.0


def still_format_complaint(output: str) -> str | None:
    """What is wrong with the name of a picture that is taken from a video."""
    found = image_format(output)
    if found is not None and found.name in STILL_FORMATS:
        return None
    return f"a frame of a video is written as {dotted(('jpg', 'png', 'webp'))}, not '{output}'"


def still_command(
    info: MediaInfo,
    stream: StreamInfo,
    seconds: float,
    framing: Framing,
    picture: ImageFormat,
    quality: int | None,
    work_name: str,
) -> FfmpegCommand:
    """The frame that is shown at `seconds`, scaled and encoded into `work_name`."""
    chain = still_chain(stream, framing, picture.name)
    seek, end = seconds, _end_of_pictures(info, stream)
    if end is not None and seconds > end - _TAIL_SECONDS:
        last = min(seconds, end)
        seek = max(0.0, last - _LOOK_BACK_SECONDS)
        chain = f"{_hold_last_frame(stream, last - seek)},{chain}"
    output = ["-map", f"0:{stream.index}", "-vf", chain, "-frames:v", "1"]
    output += _encoder(picture, quality)
    output += ["-map_metadata", "-1", "-f", "image2", "-update", "1", f"out/{work_name}"]
    return FfmpegCommand(
        input_arguments=("-ss", argument(seek)) if seek > 0 else (),
        output_arguments=tuple(output),
        demuxer=info.demuxer,
        output_names=(work_name,),
    )


def _end_of_pictures(info: MediaInfo, stream: StreamInfo) -> float | None:
    known = [d for d in (info.duration_seconds, stream.duration_seconds) if d is not None]
    return min(known, default=None)


def _hold_last_frame(stream: StreamInfo, offset: float) -> str:
    """Filters that repeat the last frame past the end, then drop all before `offset`."""
    fps = min(max(stream.fps or _USUAL_FPS, 1.0), 120.0)
    hold = argument(_LOOK_BACK_SECONDS + _TAIL_SECONDS)
    return (
        f"fps={fps:g},tpad=stop_mode=clone:stop_duration={hold},"
        f"trim=start={argument(max(0.0, offset))},setpts=PTS-STARTPTS"
    )


def _encoder(picture: ImageFormat, quality: int | None) -> tuple[str, ...]:
    chosen = quality if quality is not None else picture.default_quality or 85
    match picture.name:
        case "jpeg":
            return ("-c:v", "mjpeg", "-q:v", f"{jpeg_scale(chosen)}", "-color_range", "pc")
        case "webp":
            return ("-c:v", "libwebp", "-quality", f"{chosen}")
        case _:
            return ("-c:v", "png")


def jpeg_scale(quality: int) -> int:
    """ffmpeg's quantiser scale (2 best to 31) for a quality of 1 to 100 as libjpeg counts it.

    libjpeg scales its tables by 50/q below 50 and by 2 - q/50 above; ffmpeg's table at scale 16
    is about libjpeg's at 50."""
    factor = 50 / quality if quality < 50 else 2 - quality / 50
    return max(2, min(31, round(16 * factor)))
