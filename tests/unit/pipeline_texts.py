"""Texts and inputs that the tests of the pipeline language and of the operations share."""

from __future__ import annotations

from mediaconvert.errors import InvalidPipeline
from mediaconvert.media import MediaInfo, MediaKind, StreamInfo
from mediaconvert.pipeline import Pipeline, parse


def step(
    operation: str = "transcode",
    output: str = "${output}/a.mp4",
    source: str = "${input}",
    params: str = "{}",
    extra: str = "",
) -> str:
    """One step as five lines of YAML (and one more with `extra`)."""
    lines = [f"  - operation: {operation}", f'    input: "{source}"', f'    output: "{output}"']
    lines.append(f"    params: {params}")
    if extra:
        lines.append(f"    {extra}")
    return "\n".join(lines) + "\n"


def pipeline_text(*steps: str) -> str:
    return "name: test\nsteps:\n" + "".join(steps)


def parse_steps(*steps: str) -> Pipeline:
    return parse(pipeline_text(*steps), "yaml")


def problems_of(text: str, format: str = "yaml") -> list[tuple[str, int | None, str]]:
    """Path, line and message of every problem; empty for a valid text."""
    try:
        parse(text, format)
    except InvalidPipeline as error:
        return [(detail.path, detail.line, detail.message) for detail in error.details]
    return []


def film(
    *,
    container: str = "mp4",
    width: int = 1920,
    height: int = 1080,
    seconds: float | None = 60.0,
    codec: str = "h264",
    sound: str | None = "aac",
    channels: int = 2,
    fps: float = 25.0,
    is_hdr: bool = False,
    pixel_format: str = "yuv420p",
) -> MediaInfo:
    video = StreamInfo(
        index=0,
        type="video",
        codec=codec,
        width=width,
        height=height,
        fps=fps,
        is_hdr=is_hdr,
        pixel_format=pixel_format,
    )
    streams = (video,)
    if sound is not None:
        audio = StreamInfo(
            index=1, type="audio", codec=sound, channels=channels, sample_rate=48_000
        )
        streams += (audio,)
    return MediaInfo(
        kind=MediaKind.VIDEO,
        container=container,
        demuxer="mov",
        size_bytes=1_000_000,
        duration_seconds=seconds,
        streams=streams,
    )


def recording(codec: str = "mp3", container: str = "mp3", channels: int = 2) -> MediaInfo:
    cover = StreamInfo(
        index=0, type="video", codec="mjpeg", width=500, height=500, is_attached_picture=True
    )
    sound = StreamInfo(index=1, type="audio", codec=codec, channels=channels)
    return MediaInfo(
        kind=MediaKind.AUDIO,
        container=container,
        demuxer=container,
        size_bytes=1_000_000,
        duration_seconds=180.0,
        streams=(cover, sound),
    )


def photograph(container: str = "jpeg", pages: int | None = 1) -> MediaInfo:
    return MediaInfo(
        kind=MediaKind.IMAGE,
        container=container,
        demuxer="",
        size_bytes=500_000,
        width=4000,
        height=3000,
        pages=pages,
    )


def document(pages: int = 3) -> MediaInfo:
    return MediaInfo(
        kind=MediaKind.PDF,
        container="pdf",
        demuxer="",
        size_bytes=90_000,
        width=595,
        height=842,
        pages=pages,
    )
