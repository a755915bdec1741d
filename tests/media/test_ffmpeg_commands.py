"""The safe part of ffmpeg's command line, and commands run by the toolbox for real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from mediaconvert.errors import JobError, LimitExceeded, MediaInputError
from mediaconvert.media import (
    CommandResult,
    FfmpegCommand,
    Limits,
    MediaInfo,
    MediaKind,
    Progress,
    WriteCommand,
)
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.ffmpeg import ffmpeg_argv, ffprobe_argv
from mediaconvert.tools.toolbox import Toolbox, open_toolbox
from tests.media.samples import FILM, Samples, run_ffmpeg
from tests.program import WAIT_SECONDS

LIMITS = Limits()
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-an")


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return Samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture
async def toolbox() -> AsyncIterator[Toolbox]:
    async with open_toolbox(ToolSettings(), slots=2) as toolbox:
        yield toolbox


def command(*arguments: str, demuxer: str = "mov", seconds: float | None = None) -> FfmpegCommand:
    return FfmpegCommand((), (*arguments, "out/0.mp4"), demuxer, ("0.mp4",), seconds)


async def run(
    toolbox: Toolbox,
    what: FfmpegCommand | WriteCommand,
    source: Path,
    out_dir: Path,
    limits: Limits = LIMITS,
    progress: list[Progress] | None = None,
) -> CommandResult:
    info = MediaInfo(MediaKind.VIDEO, "mp4", "mov", 1)
    seen = [] if progress is None else progress
    return await toolbox.run(
        what, source=source, info=info, out_dir=out_dir, limits=limits, on_progress=seen.append
    )


def test_every_run_is_fenced_in() -> None:
    argv = ffmpeg_argv(
        command("-c:v", "libx264"), Limits(max_pixels=1000, output_bytes=99), threads=3,
        progress_fd=7,
    )  # fmt: skip
    before, after = argv[: argv.index("-i")], argv[argv.index("-i") :]
    for pair in (
        ("-protocol_whitelist", "file"), ("-format_whitelist", "mov"), ("-f", "mov"),
        ("-max_pixels", "1000"), ("-progress", "pipe:7"), ("-threads", "3"),
    ):  # fmt: skip
        assert before[before.index(pair[0]) + 1] == pair[1]
    assert "-nostdin" in before
    assert "-codec_whitelist" in before
    assert after[:2] == ("-i", "input")
    assert after[after.index("-fs") + 1] == "99"
    assert argv[-1] == "out/0.mp4"


def test_ffprobe_is_fenced_in_as_well() -> None:
    argv = ffprobe_argv("matroska", LIMITS)
    assert argv[argv.index("-format_whitelist") + 1] == "matroska"
    assert argv[argv.index("-protocol_whitelist") + 1] == "file"
    assert "-codec_whitelist" in argv


@pytest.mark.parametrize("demuxer", ["hls", "dash", "concat", "sdp", "imf", "image2", "lavfi", ""])
def test_demuxers_that_follow_references_cannot_be_asked_for(demuxer: str) -> None:
    with pytest.raises(ValueError, match="is not one of"):
        ffmpeg_argv(command(demuxer=demuxer), LIMITS, threads=1, progress_fd=None)


async def test_a_transcode_reports_progress_and_leaves_a_film(
    toolbox: Toolbox, tmp_path: Path
) -> None:
    progress: list[Progress] = []
    result = await run(toolbox, command(*X264, seconds=5.3), FILM, tmp_path, progress=progress)
    info = await toolbox.probe(tmp_path / "0.mp4", LIMITS)
    assert info.duration_seconds == pytest.approx(5.3, abs=0.1)
    fractions = [p.fraction for p in progress]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert result.tool.startswith("ffmpeg ")
    assert result.details["frames"] == 132


async def test_the_manifest_shows_no_path_of_the_machine(toolbox: Toolbox, tmp_path: Path) -> None:
    result = await run(toolbox, command(*X264, "-t", "0.2"), FILM, tmp_path)
    assert not [argument for argument in result.argv if argument.startswith("/")]
    assert result.argv[0] == "ffmpeg"


async def test_output_at_its_limit_is_not_passed_off_as_whole(
    toolbox: Toolbox, tmp_path: Path
) -> None:
    with pytest.raises(LimitExceeded) as caught:
        await run(toolbox, command(*X264), FILM, tmp_path, Limits(output_bytes=200_000))
    assert caught.value.code == "limit_output"


@pytest.mark.parametrize("text", ["#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{0}\n",
    "ffconcat version 1.0\nfile {0}\n"])  # fmt: skip
async def test_a_playlist_that_got_past_the_first_bytes_opens_nothing(
    toolbox: Toolbox, samples: Samples, tmp_path: Path, text: str
) -> None:
    target = samples.get("film.ts")
    playlist = samples.write("list.mp4", text.format(target))
    with pytest.raises(MediaInputError):
        await run(toolbox, command(*X264), playlist, tmp_path)
    assert is_empty(tmp_path)


async def test_a_codec_that_is_not_listed_is_refused(toolbox: Toolbox, tmp_path: Path) -> None:
    source = tmp_path / "exotic.avi"
    run_ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=64x64:duration=0.2", "-c:v", "snow", source
    )  # fmt: skip
    out_dir = tmp_path / "out"
    out_dir.mkdir()
    with pytest.raises(MediaInputError) as caught:
        await run(toolbox, command(*X264, demuxer="avi"), source, out_dir)
    assert caught.value.code == "unsupported_codec"


async def test_a_missing_track_is_named(toolbox: Toolbox, samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(MediaInputError) as caught:
        await run(
            toolbox, command("-map", "0:a:0", "-c:a", "aac"), samples.get("silent.mp4"), tmp_path
        )
    assert caught.value.code == "no_such_stream"


async def test_an_output_that_was_promised_and_not_written_is_a_crash(
    toolbox: Toolbox, tmp_path: Path
) -> None:
    promised = FfmpegCommand((), (*X264, "-t", "0.1", "out/0.mp4"), "mov", ("0.mp4", "1.mp4"))
    with pytest.raises(JobError) as caught:
        await run(toolbox, promised, FILM, tmp_path)
    assert caught.value.code == "output_missing"


async def test_a_link_is_no_output(toolbox: Toolbox, tmp_path: Path) -> None:
    (tmp_path / "1.mp4").symlink_to("/etc/passwd")
    promised = FfmpegCommand((), (*X264, "-t", "0.1", "out/0.mp4"), "mov", ("0.mp4", "1.mp4"))
    with pytest.raises(JobError, match="not a plain file"):
        await run(toolbox, promised, FILM, tmp_path)


async def test_a_cancelled_transcode_is_gone_at_once(toolbox: Toolbox, tmp_path: Path) -> None:
    started = trio.Event()
    slow = FfmpegCommand(
        ("-stream_loop", "-1"),
        ("-t", "100000", "-c:v", "libx264", "-an", "out/0.mp4"), "mov", ("0.mp4",), 100_000,
    )  # fmt: skip
    info = MediaInfo(MediaKind.VIDEO, "mp4", "mov", 1)

    async def transcode() -> None:
        await toolbox.run(
            slow, source=FILM, info=info, out_dir=tmp_path, limits=LIMITS,
            on_progress=lambda _progress: started.set(),
        )  # fmt: skip

    async with trio.open_nursery() as nursery:
        nursery.start_soon(transcode)
        with trio.fail_after(WAIT_SECONDS):
            await started.wait()
        nursery.cancel_scope.cancel()
    size = file_size(tmp_path / "0.mp4")
    await toolbox.probe(FILM, LIMITS)
    assert file_size(tmp_path / "0.mp4") == size


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


def file_size(path: Path) -> int:
    return path.stat().st_size


async def test_known_text_is_written_without_a_child(toolbox: Toolbox, tmp_path: Path) -> None:
    await run(toolbox, WriteCommand('{"ä": 1}', ("0.json",)), FILM, tmp_path)
    assert (tmp_path / "0.json").read_text(encoding="utf-8") == '{"ä": 1}'


async def test_every_tool_says_what_it_is(toolbox: Toolbox) -> None:
    tools = {tool.name: tool for tool in await toolbox.describe(WAIT_SECONDS)}
    assert set(tools) == {"ffmpeg", "ffprobe", "libvips", "pdfium", "bubblewrap"}
    assert all(tool.is_usable and tool.version for tool in tools.values())
    assert "libx264" in tools["ffmpeg"].capabilities
    assert toolbox.sandbox_state()[:2] == ("bubblewrap", True)
