"""One pipeline on one local file with the real tools: order, side by side, failures, progress."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mediaconvert.errors import JobError, MediaInputError
from mediaconvert.media import Limits, MediaKind
from mediaconvert.pipeline import parse
from mediaconvert.ports.tools import Tools
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.toolbox import open_toolbox
from mediaconvert.workers.engine import EngineResult, run_pipeline
from mediaconvert.workers.progress import EngineProgress
from mediaconvert.workers.workspace import Workspace, open_workspace
from tests.program import FILM, PHOTO, command_line, descendants

VIDEO_AND_POSTER = """
name: web
steps:
  - {id: poster, operation: generate_thumbnail, input: "${steps.video.output}",
     output: "${output}/poster.jpg", params: {type: video, timestamp: 1, width: 80}}
  - {id: video, operation: transcode, input: "${input}", output: "${output}/video.mp4",
     params: {codec: h264, preset: ultrafast, height: 96}}
  - {id: facts, operation: probe, input: "${input}", output: "${output}/probe.json"}
"""


@pytest.fixture
async def tools() -> AsyncIterator[Tools]:
    async with open_toolbox(ToolSettings(), slots=2) as tools:
        yield tools


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    async with open_workspace(tmp_path / "work", "1-test") as workspace:
        yield workspace


class Run:
    """A pipeline on a file, with everything that was reported on the way."""

    def __init__(self) -> None:
        self.reports: list[EngineProgress] = []

    async def __call__(
        self, text: str, source: Path, workspace: Workspace, tools: Tools
    ) -> EngineResult:
        pipeline = parse(text, "yaml")
        return await run_pipeline(pipeline, source, workspace, tools, Limits(), self.reports.append)

    def states(self) -> dict[object, object]:
        return {step["id"]: step["status"] for step in self.reports[-1].steps}


async def test_a_step_reads_what_another_made_and_the_rest_runs_beside_it(
    tools: Tools, workspace: Workspace
) -> None:
    run = Run()
    result = await run(VIDEO_AND_POSTER, FILM, workspace, tools)
    assert [file.output_name for file in result.files] == ["poster.jpg", "video.mp4", "probe.json"]
    poster, video, facts = result.files
    assert (poster.info.kind, poster.info.width) == (MediaKind.IMAGE, 80)
    # 96 lines high, and so is the frame that was taken from it, scaled down.
    assert video.info.video is not None
    assert video.info.video.height == 96
    assert facts.info.kind is MediaKind.TEXT
    assert result.probe.video is not None
    for file in result.files:
        data = file.path.read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert file.md5 == hashlib.md5(data).hexdigest()
    assert {record.step_id for record in result.commands} == {"poster", "video", "facts"}
    assert [step["id"] for step in result.steps] == ["poster", "video", "facts"]


async def test_progress_never_falls_and_ends_at_everything(
    tools: Tools, workspace: Workspace
) -> None:
    run = Run()
    await run(VIDEO_AND_POSTER, FILM, workspace, tools)
    percents = [report.percent for report in run.reports]
    assert percents == sorted(percents)
    assert percents[0] == 0.0
    assert percents[-1] == 100.0
    assert run.states() == {"poster": "completed", "video": "completed", "facts": "completed"}


async def test_a_failing_step_stops_the_others_and_says_what_was_wrong(
    tools: Tools, workspace: Workspace
) -> None:
    run = Run()
    text = """
name: bad
steps:
  - {id: slow, operation: transcode, input: "${input}", output: "${output}/video.mp4",
     params: {codec: h265, preset: veryslow, quality: 10}}
  - {id: late, operation: generate_thumbnail, input: "${input}", output: "${output}/t.jpg",
     params: {type: video, timestamp: "00:10:00"}}
  - {id: after, operation: generate_thumbnail, input: "${steps.slow.output}",
     output: "${output}/u.jpg", params: {type: video, timestamp: 1}}
"""
    with pytest.raises(MediaInputError) as failed:
        await run(text, FILM, workspace, tools)
    assert failed.value.code == "timestamp_out_of_range"
    assert run.states() == {"slow": "skipped", "late": "failed", "after": "skipped"}
    (late,) = [step for step in run.reports[-1].steps if step["id"] == "late"]
    assert late["error"] == failed.value.message
    lines = [command_line(pid) for pid in descendants(os.getpid())]
    assert not [line for line in lines if "-i input" in line]


async def test_a_file_that_is_nothing_known_fails_before_any_step(
    tools: Tools, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("Dear Sir,\n" * 100)
    run = Run()
    with pytest.raises(JobError) as failed:
        await run(VIDEO_AND_POSTER, tmp_path / "letter.txt", workspace, tools)
    assert failed.value.code == "unsupported_container"
    assert set(run.states().values()) == {"skipped"}
    assert not (workspace.root / "steps").exists()


async def test_one_of_several_outputs_of_a_step_is_read_by_its_name(
    tools: Tools, workspace: Workspace
) -> None:
    text = """
name: frames
steps:
  - {id: frames, operation: extract_frame, input: "${input}", output: "${output}/f-{n}.jpg",
     params: {timestamps: [1, 3], width: 64}}
  - {id: small, operation: resize, input: "${output}/f-2.jpg", output: "${output}/small.png",
     params: {width: 32}}
"""
    result = await Run()(text, FILM, workspace, tools)
    assert [file.output_name for file in result.files] == ["f-1.jpg", "f-2.jpg", "small.png"]
    assert result.files[-1].info.width == 32


async def test_the_source_is_left_as_it_was(
    tools: Tools, workspace: Workspace, tmp_path: Path
) -> None:
    before = PHOTO.read_bytes()
    text = """
name: small
steps:
  - {operation: resize, input: "${input}", output: "${output}/s.jpg", params: {width: 32}}
"""
    await Run()(text, PHOTO, workspace, tools)
    assert PHOTO.read_bytes() == before
