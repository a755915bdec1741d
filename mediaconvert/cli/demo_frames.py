"""Looks at the demo's files with the product's own tools: what they are, and frames of them."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mediaconvert.cli.demo_report import FramePair
from mediaconvert.media import Limits, MediaInfo
from mediaconvert.pipeline import parse
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.toolbox import open_toolbox
from mediaconvert.workers.engine import run_pipeline
from mediaconvert.workers.workspace import open_workspace

FRAMES = """
name: frames
steps:
  - operation: extract_frame
    input: ${input}
    output: ${output}/frame-{n}.jpg
    params: {timestamps: %s, width: 640}
"""


async def describe(files: list[Path]) -> dict[Path, str]:
    """Codec, size and duration of each, as one line of text."""
    async with open_toolbox(ToolSettings(), slots=1) as toolbox:
        return {file: words(await toolbox.probe(file, Limits())) for file in files}


def words(info: MediaInfo) -> str:
    """`h264 1280x720, aac, 5.3 s`"""
    said = []
    if (video := info.video) is not None:
        said.append(f"{video.codec} {video.width}x{video.height}")
    elif info.width is not None:
        said.append(f"{info.container} {info.width}x{info.height}")
    if (audio := info.audio) is not None:
        said.append(audio.codec)
    if info.duration_seconds is not None:
        said.append(f"{info.duration_seconds:.1f} s")
    return ", ".join(said) or info.container


async def pairs(before: Path, after: Path, seconds: tuple[float, ...]) -> list[FramePair]:
    """The same moments of both films."""
    one, two = await _frames(before, seconds), await _frames(after, seconds)
    return [FramePair(*moment) for moment in zip(seconds, one, two, strict=True)]


async def _frames(film: Path, seconds: tuple[float, ...]) -> list[bytes]:
    pipeline = parse(FRAMES % list(seconds), "yaml")
    with tempfile.TemporaryDirectory() as folder:
        async with (
            open_toolbox(ToolSettings(), slots=1) as toolbox,
            open_workspace(Path(folder), "frames") as workspace,
        ):
            result = await run_pipeline(
                pipeline, film, workspace, toolbox, Limits(), lambda _progress: None
            )
            return [file.path.read_bytes() for file in result.files]
