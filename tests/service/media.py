"""Films for the tests, made with the ffmpeg that the product ships; kept for the session."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from mediaconvert.settings import ToolSettings
from mediaconvert.tools.locate import find_tools
from tests.program import clean_environment


@cache
def ffmpeg() -> str:
    found = find_tools(ToolSettings()).ffmpeg
    assert found is not None
    return str(found.path)


@cache
def ffprobe() -> str:
    found = find_tools(ToolSettings()).ffprobe
    assert found is not None
    return str(found.path)


def make(path: Path, *arguments: str) -> Path:
    """Run ffmpeg with these arguments and the file's name."""
    if not path.exists():
        command = [ffmpeg(), "-nostdin", "-v", "error", "-y", *arguments, str(path)]
        subprocess.run(command, check=True, env=clean_environment(), timeout=600)
    return path


def long_film(folder: Path, seconds: int = 240) -> Path:
    """Cheap to make and to upload, slow to transcode: long, moving, large."""
    return make(
        folder / f"long-{seconds}.mp4",
        *("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=25:duration={seconds}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-qp", "30", "-g", "250", "-c:a", "aac"),
    )


def large_file(path: Path, size: int) -> Path:
    """Bytes that differ everywhere and are quick to make; a film's head is not needed."""
    block = bytes(range(256)) * 4096  # 1 MiB
    with path.open("wb") as file:
        for number in range(size // len(block)):
            file.write(number.to_bytes(8, "big") + block[8:])
        file.write(block[: size % len(block)])
    return path


SLOW_PIPELINE = """
name: slow
steps:
  - operation: transcode
    input: ${input}
    output: ${output}/video.mp4
    params: {codec: h265, quality: 20, preset: slow}
"""
