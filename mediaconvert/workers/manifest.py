"""The manifest that lies beside a job's outputs: what went in, what was done, what came out.

Pure: values in, JSON text out. Called by the runner. Never holds a path of the server or a
name of another user's anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import mediaconvert
from mediaconvert.media import MediaInfo
from mediaconvert.model import ClaimedJob
from mediaconvert.ports.tools import ToolInfo
from mediaconvert.workers.outputs import OutputFile

NAME = "manifest.json"
CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """One command as it was run."""

    step_id: str
    tool: str
    argv: tuple[str, ...]
    reasons: tuple[str, ...]
    wall_seconds: float


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds of wall clock, and when the attempt began and ended (microseconds, UTC)."""

    started_us: int
    ended_us: int
    fetch_seconds: float
    work_seconds: float


def render(
    job: ClaimedJob,
    probe: MediaInfo,
    steps: Sequence[Mapping[str, object]],
    commands: Sequence[CommandRecord],
    files: Sequence[OutputFile],
    tools: Sequence[ToolInfo],
    timings: Timings,
) -> bytes:
    """The manifest as UTF-8 JSON, indented, with a final newline."""
    document = {
        "manifest_version": 1,
        "mediaconvert": mediaconvert.__version__,
        "job": {
            "id": job.id,
            "attempt": job.attempt,
            "created_at": _rfc3339(job.created_at_us),
            "started_at": _rfc3339(timings.started_us),
            "finished_at": _rfc3339(timings.ended_us),
            "fetch_seconds": round(timings.fetch_seconds, 3),
            "work_seconds": round(timings.work_seconds, 3),
        },
        "pipeline": {
            "id": job.pipeline_id,
            "name": job.pipeline_name,
            "sha256": job.pipeline_digest,
        },
        "source": {
            "bucket": job.bucket.name,
            "key": job.source.key,
            "etag": job.source.etag,
            "size": job.source.size,
            "content_type": job.source.headers.content_type,
        },
        "probe": describe(probe),
        "steps": list(steps),
        "commands": [asdict(command) for command in commands],
        "outputs": [
            {"name": file.output_name, "step": file.step_id, **summary(file)} for file in files
        ],
        "tools": [{"name": tool.name, "version": tool.version} for tool in tools if tool.is_usable],
    }
    return (json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n").encode()


def describe(info: MediaInfo) -> dict[str, object]:
    """A probe as JSON, without what was not found."""
    found = {k: v for k, v in asdict(info).items() if v not in (None, "", ())}
    streams = [
        {k: v for k, v in stream.items() if v not in (None, "")}
        for stream in found.get("streams", ())
    ]
    return found | ({"streams": streams} if streams else {})


def summary(file: OutputFile) -> dict[str, object]:
    """What is told of an output in `result_info` and in the manifest."""
    told: dict[str, object] = {
        "size": file.size,
        "content_type": file.content_type,
        "sha256": file.sha256,
    }
    info, video, audio = file.info, file.info.video, file.info.audio
    told |= {
        "kind": info.kind.value,
        "container": info.container,
        "codec": video.codec if video else audio.codec if audio else None,
        "audio_codec": audio.codec if video and audio else None,
        "width": video.width if video else info.width,
        "height": video.height if video else info.height,
        "duration": info.duration_seconds,
        "pages": info.pages,
    }
    return {k: v for k, v in told.items() if v is not None}


def _rfc3339(time_us: int) -> str:
    moment = datetime.fromtimestamp(time_us / 1_000_000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
