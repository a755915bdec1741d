"""Looks at a file that came out, with a tool that is not the one under test's wrapper."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass

from tests.program import clean_environment
from tests.service.media import ffprobe


@dataclass(frozen=True)
class Probed:
    codecs: list[str]
    width: int
    height: int
    duration: float


def probe(data: bytes, extension: str) -> Probed:
    """ffprobe's plain answer about bytes that were downloaded."""
    with tempfile.NamedTemporaryFile(suffix="." + extension) as file:
        file.write(data)
        file.flush()
        answer = subprocess.run(
            [ffprobe(), "-v", "error", "-of", "json", "-show_streams", "-show_format", file.name],
            check=True,
            capture_output=True,
            env=clean_environment(),
            timeout=60,
        )
    document = json.loads(answer.stdout)
    streams = document["streams"]
    picture = next((s for s in streams if s["codec_type"] == "video"), {})
    return Probed(
        codecs=[s["codec_name"] for s in streams],
        width=int(picture.get("width", 0)),
        height=int(picture.get("height", 0)),
        duration=float(document["format"].get("duration", 0)),
    )
