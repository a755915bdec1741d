"""Finds out what a file is: first bytes, then ffprobe or the image server, in the sandbox.

Also checks that a file can be decoded at all. Never trusts a name, and never a number from the
file without bounds. Called by `tools.toolbox`.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import trio

from mediaconvert.errors import InfrastructureFailure, JobError, MediaInputError
from mediaconvert.media import FfmpegCommand, Limits, MediaInfo, MediaKind
from mediaconvert.tools.boxes import missing_bytes
from mediaconvert.tools.execution import ToolDone, ToolRun, run_tool
from mediaconvert.tools.ffmpeg import (
    decode_command,
    duration_command,
    ffmpeg_argv,
    ffprobe_argv,
)
from mediaconvert.tools.image_call import ImageCall
from mediaconvert.tools.imaging import ImageServer
from mediaconvert.tools.launch import FIRST_PASSED_FD, Launcher
from mediaconvert.tools.probe_streams import read_streams
from mediaconvert.tools.process import open_pipes
from mediaconvert.tools.sandbox import Confined, Executable
from mediaconvert.tools.sniff import HEAD_BYTES, Format, sniff

_PROBE_SECONDS = 60.0
"""Probing reads headers; a film's are read in well under a second."""
_DURATION_SECONDS = 600.0
"""Reading all packets of a file that does not say how long it is: at disk speed."""
_EDGE_SECONDS = 1.0
"""How much `check_decodable` decodes at each end."""


class Prober:
    """Probes with the tools in use."""

    def __init__(
        self, launcher: Launcher, ffprobe: Executable, ffmpeg: Executable, images: ImageServer
    ) -> None:
        self._launcher = launcher
        self._ffprobe = ffprobe
        self._ffmpeg = ffmpeg
        self._images = images

    async def probe(self, source: Path, limits: Limits) -> MediaInfo:
        """The contract of `ports.tools.Tools.probe`."""
        head, size, missing = await trio.to_thread.run_sync(_read_head, source)
        found = sniff(head)
        if missing and found.demuxer == "mov":
            raise MediaInputError(
                "broken_file",
                f"the {found.container} file is cut off: {missing} of its bytes are missing "
                f"behind the {size} that are there",
            )
        if found.kind is MediaKind.PDF or (found.kind is MediaKind.IMAGE and not found.demuxer):
            return await self._probe_with_images(source, found, size, limits)
        return await self._probe_with_ffprobe(source, found, size, limits)

    async def _probe_with_images(
        self, source: Path, found: Format, size: int, limits: Limits
    ) -> MediaInfo:
        action = "pdf_probe" if found.kind is MediaKind.PDF else "image_probe"
        seconds = min(limits.wall_seconds, _PROBE_SECONDS)
        bounded = replace(limits, wall_seconds=seconds)
        details = await self._images.call(
            ImageCall(action, {}, found.container, source, (), bounded)
        )
        info = MediaInfo(
            kind=found.kind,
            container=found.container,
            demuxer="",
            size_bytes=size,
            width=_whole(details.get("width")),
            height=_whole(details.get("height")),
            pages=_whole(details.get("pages")),
            has_alpha=details.get("has_alpha") is True,
        )
        if found.kind is MediaKind.IMAGE:
            _check_pixels(info.width, info.height, limits)
        return info

    async def _probe_with_ffprobe(
        self, source: Path, found: Format, size: int, limits: Limits
    ) -> MediaInfo:
        argv = ffprobe_argv(found.demuxer, limits)
        done = await run_tool(
            self._launcher,
            ToolRun(
                tool="ffprobe",
                job=Confined(self._ffprobe, argv[1:], source=source),
                limits=limits,
                wall_seconds=min(limits.wall_seconds, _PROBE_SECONDS),
            ),
        )
        try:
            answer: object = json.loads(done.stdout)
        except ValueError:
            answer = {}
        try:
            info = read_streams(answer, found, size)
        except MediaInputError as error:
            raise MediaInputError(error.code, error.message, done.log) from None
        video = info.video
        if video is not None:
            _check_pixels(video.coded_width, video.coded_height, limits)
        elif info.kind is MediaKind.IMAGE:
            _check_pixels(info.width, info.height, limits)
        if info.duration_seconds is None and info.kind is not MediaKind.IMAGE:
            info = replace(info, duration_seconds=await self._measure(source, info, limits))
        return info

    async def _measure(self, source: Path, info: MediaInfo, limits: Limits) -> float | None:
        """The duration of a file that does not say it: by reading all of its packets."""
        try:
            done = await self._ffmpeg_run(
                source, duration_command(info.demuxer), limits, _DURATION_SECONDS
            )
        except (MediaInputError, JobError) as error:
            if isinstance(error, InfrastructureFailure):
                raise
            return None
        return done.last_report.out_seconds if done.last_report else None

    async def check_decodable(self, path: Path, info: MediaInfo, limits: Limits) -> None:
        """Decode the first and the last second of a film or sound, or all of a picture.

        Raises MediaInputError (`undecodable`) when that fails; the other JobErrors as `probe`.
        A PDF or text is not looked into.
        """
        if info.kind is MediaKind.IMAGE:
            await self._images.call(ImageCall("image_check", {}, info.container, path, (), limits))
        elif info.kind in (MediaKind.VIDEO, MediaKind.AUDIO):
            await self._decode_edges(path, info, limits)

    async def _decode_edges(self, path: Path, info: MediaInfo, limits: Limits) -> None:
        maps = (("0:v:0",) if info.video else ()) + (("0:a:0",) if info.audio else ())
        length = info.duration_seconds or 0.0
        short = length <= 2 * _EDGE_SECONDS
        commands = [
            decode_command(
                info.demuxer, start_seconds=0, maps=maps,
                length_seconds=None if short and length else _EDGE_SECONDS,
            )
        ]  # fmt: skip
        if not short:
            commands.append(
                decode_command(
                    info.demuxer, start_seconds=length - _EDGE_SECONDS,
                    length_seconds=None, maps=maps,
                )
            )  # fmt: skip
        for command in commands:
            try:
                done = await self._ffmpeg_run(path, command, limits, _PROBE_SECONDS)
            except MediaInputError as error:
                raise MediaInputError(
                    "undecodable", f"the {info.container} file cannot be decoded", error.log
                ) from error
            if command is commands[0] and not (done.last_report and done.last_report.out_seconds):
                raise MediaInputError(
                    "undecodable",
                    f"the {info.container} file has nothing in it that can be decoded",
                    done.log,
                )

    async def _ffmpeg_run(
        self, source: Path, command: FfmpegCommand, limits: Limits, seconds: float
    ) -> ToolDone:
        ((read, write),) = open_pipes(1)
        argv = ffmpeg_argv(command, limits, threads=1, progress_fd=FIRST_PASSED_FD)
        return await run_tool(
            self._launcher,
            ToolRun(
                tool="ffmpeg",
                job=Confined(self._ffmpeg, argv[1:], source=source),
                limits=limits,
                wall_seconds=min(limits.wall_seconds, seconds),
                progress_fds=(read, write),
            ),
        )


def _read_head(source: Path) -> tuple[bytes, int, int]:
    """First bytes, size, and how many bytes an MP4 lacks."""
    try:
        with source.open("rb") as file:
            head = file.read(HEAD_BYTES)
            size = os.fstat(file.fileno()).st_size
            is_boxes = head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
            return head, size, missing_bytes(file, size) if is_boxes else 0
    except OSError as error:
        raise InfrastructureFailure(
            "storage_failed", f"the file cannot be read from the store: {error.strerror}"
        ) from error


def _check_pixels(width: int | None, height: int | None, limits: Limits) -> None:
    if width and height and width * height > limits.max_pixels:
        raise MediaInputError(
            "too_many_pixels",
            f"the picture has {width} x {height} pixels; at most {limits.max_pixels} are allowed",
        )


def _whole(value: object) -> int | None:
    """A positive number from the image server's child, which may have been taken over."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31:
        return value
    return None
