"""What is accepted as an output, and what a hostile or broken tool may not slip in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mediaconvert.errors import LimitExceeded, MediaInputError
from mediaconvert.media import CommandResult, FfmpegCommand, Limits, MediaKind, PlannedFile
from mediaconvert.ports.tools import Tools
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.toolbox import open_toolbox
from mediaconvert.workers.outputs import accept_output, check_length
from tests.program import FILM, PHOTO

VIDEO = PlannedFile("0.mp4", "film.mp4", "video/mp4", MediaKind.VIDEO)
IMAGE = PlannedFile("0.jpg", "photo.jpg", "image/jpeg", MediaKind.IMAGE)
TEXT = PlannedFile("0.txt", "text.txt", "text/plain", MediaKind.TEXT)


@pytest.fixture
async def tools() -> AsyncIterator[Tools]:
    async with open_toolbox(ToolSettings(), slots=1) as tools:
        yield tools


async def test_a_good_film_is_accepted_with_what_it_is(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "0.mp4").write_bytes(FILM.read_bytes())
    output = await accept_output(VIDEO, tmp_path, "s", tools, Limits())
    assert (output.output_name, output.size) == ("film.mp4", FILM.stat().st_size)
    assert output.info.video is not None


async def test_text_must_be_utf_8_to_its_last_byte(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "0.txt").write_text("Grüße\n")
    assert (await accept_output(TEXT, tmp_path, "s", tools, Limits())).size == 8
    (tmp_path / "0.txt").write_bytes("Grüße".encode()[:-2])
    with pytest.raises(MediaInputError, match=r"'text\.txt' is not UTF-8 text"):
        await accept_output(TEXT, tmp_path, "s", tools, Limits())


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _hard_link(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(PHOTO.read_bytes())
    os.link(other, path)


def _damaged(path: Path) -> None:
    data = bytearray(FILM.read_bytes())
    # The index stays whole, all pictures and sound are noise.
    data[1000:1_040_000] = os.urandom(1_039_000)
    path.write_bytes(data)


BAD: dict[str, tuple[PlannedFile, Callable[[Path], object], str]] = {
    "missing": (VIDEO, lambda _: None, "was not made"),
    "empty": (VIDEO, lambda path: path.write_bytes(b""), "is empty"),
    "a link": (IMAGE, _link, "not a regular file"),
    "a hard link": (IMAGE, _hard_link, "not a regular file"),
    "a pipe": (IMAGE, os.mkfifo, "not a regular file"),
    "a folder": (IMAGE, Path.mkdir, "not a regular file"),
    "text for a film": (VIDEO, lambda path: path.write_text("no film" * 99), "cannot be read back"),
    "a photo for a text": (TEXT, lambda path: path.write_bytes(PHOTO.read_bytes()), "not UTF-8"),
    "half a photo": (
        IMAGE,
        lambda path: path.write_bytes(PHOTO.read_bytes()[: PHOTO.stat().st_size // 2]),
        "cannot be read back",
    ),
    "noise in a film's place": (VIDEO, _damaged, "cannot be read back"),
}


@pytest.mark.parametrize("bad", BAD)
async def test_what_is_no_usable_output_is_refused(tools: Tools, tmp_path: Path, bad: str) -> None:
    planned, make, sentence = BAD[bad]
    make(tmp_path / planned.work_name)
    with pytest.raises(MediaInputError, match=sentence) as refused:
        await accept_output(planned, tmp_path, "s", tools, Limits())
    assert refused.value.code == "bad_output"
    assert planned.output_name in refused.value.message
    assert str(tmp_path) not in refused.value.message


async def test_a_film_that_was_cut_short_is_refused_when_the_tool_complained(
    tools: Tools, tmp_path: Path
) -> None:
    (tmp_path / "0.mp4").write_bytes(FILM.read_bytes())
    film = await accept_output(VIDEO, tmp_path, "s", tools, Limits())

    def check(expected: float, log: tuple[str, ...], limits: Limits | None = None) -> None:
        command = FfmpegCommand((), (), "mov", ("0.mp4",), expected_seconds=expected)
        check_length(command, CommandResult((), "ffmpeg", 1.0, log), [film], limits or Limits())

    check(5.3, ("some error",))
    # Tracks may differ in length; without a complaint that is what the film is.
    check(20.0, ())
    with pytest.raises(MediaInputError, match=r"of 20\.0 seconds .* only 5\.3 can be read") as cut:
        check(20.0, ("partial file",))
    assert (cut.value.code, cut.value.log) == ("broken_file", ("partial file",))
    with pytest.raises(LimitExceeded, match="larger than"):
        check(20.0, (), Limits(output_bytes=film.size))
