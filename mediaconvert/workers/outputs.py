"""Accepts what a step made, or refuses it: regular, not empty, readable, decodable, hashed.

A child may have been taken over by the file it read, so nothing that it left is believed:
links and devices are refused, the file is opened only after that, and what cannot be probed
is never published. Called by the engine, for every planned file.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from mediaconvert.digests import BlockDigests
from mediaconvert.errors import JobError, LimitExceeded, MediaInputError, ToolCrashed
from mediaconvert.media import (
    CommandResult,
    FfmpegCommand,
    Limits,
    MediaInfo,
    MediaKind,
    PlannedFile,
)
from mediaconvert.model import BlobDigest, FailureKind
from mediaconvert.ports.tools import Tools
from mediaconvert.workers.workspace import surroundings

READ_BYTES = 1 << 20
HASH_TURN_BYTES = 64 << 20
"""Hashed in one visit of a thread: about 0.15 s, so that a cancelled job lets go at once."""


@dataclass(frozen=True, slots=True)
class OutputFile:
    """One accepted output, still in the workspace."""

    path: Path
    output_name: str
    """Below `${output}/`, as the pipeline calls it."""
    step_id: str
    info: MediaInfo
    content_type: str
    size: int
    md5: str
    sha256: str
    digest: BlobDigest
    """What the blob will be verified by."""


async def accept_output(
    planned: PlannedFile, out_dir: Path, step_id: str, tools: Tools, limits: Limits
) -> OutputFile:
    """Raises MediaInputError `bad_output`, ToolCrashed `bad_output` where reading it crashes,
    and what probing raises for other reasons."""
    path = out_dir / planned.work_name
    size = await trio.to_thread.run_sync(_regular_size, path, planned)
    if planned.kind is MediaKind.TEXT:
        info = MediaInfo(MediaKind.TEXT, "text", "", size)
        check = _text_checker(planned)
    else:
        info, check = await _probe(planned, path, tools, limits), None
    md5, sha256, digest = await _hash(path, check)
    return OutputFile(
        path, planned.output_name, step_id, info, planned.content_type, size, md5, sha256, digest
    )


def check_length(
    command: FfmpegCommand, result: CommandResult, files: Sequence[OutputFile], limits: Limits
) -> None:
    """Refuses what ffmpeg cut short and calls a success: it answers 0 when the input ends in
    the middle (measured: half an mp4 with its index in front becomes half a film) and when
    the output reaches its `-fs`. Raises MediaInputError `broken_file` or LimitExceeded."""
    expected = command.expected_seconds
    for file in files:
        made = file.info.duration_seconds
        if expected is None or made is None:
            continue
        # Rounding to whole frames and sound packets is far below a quarter of a second.
        if made >= expected - max(0.25, 0.02 * expected):
            continue
        if file.size >= 0.9 * limits.output_bytes:
            raise LimitExceeded(
                "limit_output",
                f"the output '{file.output_name}' is larger than the {limits.output_bytes} bytes "
                "that a step may write",
                result.log,
            )
        if result.log:
            # Errors were reported on the way. Without any, the tracks merely differ in length.
            raise MediaInputError(
                "broken_file",
                f"the file is damaged or cut off: of {expected:.1f} seconds that it announces "
                f"only {made:.1f} can be read",
                result.log,
            )


async def refuse_unusable(files: Sequence[PlannedFile], out_dir: Path) -> None:
    """Raises `bad_output` for the first file that is missing, empty or no file at all: said of
    the user's output, where the tools can only speak of their own names."""
    for planned in files:
        await trio.to_thread.run_sync(_regular_size, out_dir / planned.work_name, planned)


def bad_output(planned: PlannedFile, reason: str, log: tuple[str, ...] = ()) -> MediaInputError:
    return MediaInputError("bad_output", f"the output '{planned.output_name}' {reason}", log)


def _regular_size(path: Path, planned: PlannedFile) -> int:
    try:
        found = path.lstat()
    except FileNotFoundError:
        raise bad_output(planned, "was not made") from None
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise bad_output(planned, "is not a regular file")
    if found.st_size == 0:
        raise bad_output(planned, "is empty")
    path.chmod(0o600)
    return found.st_size


async def _probe(planned: PlannedFile, path: Path, tools: Tools, limits: Limits) -> MediaInfo:
    try:
        info = await tools.probe(path, limits)
        await tools.check_decodable(path, info, limits)
    except (LimitExceeded, MediaInputError) as error:
        raise bad_output(planned, f"cannot be read back: {error.message}", error.log) from error
    except JobError as error:
        if error.kind is FailureKind.CRASH:
            # Tried again as every crash is: the reader may have been killed from outside.
            told = bad_output(planned, f"crashes its reader: {error.message}", error.log)
            raise ToolCrashed(told.message, told.log, code=told.code) from error
        raise
    if not _is_as_planned(planned.kind, info):
        raise bad_output(planned, f"should be {planned.kind} and is {info.kind} ({info.container})")
    return info


def _is_as_planned(kind: MediaKind, info: MediaInfo) -> bool:
    # A moving picture may be told as an image (gif, webp) or as a video; both show pictures.
    pictures = (MediaKind.VIDEO, MediaKind.IMAGE)
    if kind in pictures:
        return info.kind in pictures
    return info.kind is kind


def _text_checker(planned: PlannedFile) -> Callable[[bytes, bool], None]:
    decoder = codecs.getincrementaldecoder("utf-8")()

    def check(piece: bytes, is_last: bool) -> None:
        try:
            decoder.decode(piece, is_last)
        except UnicodeDecodeError as error:
            raise bad_output(planned, "is not UTF-8 text") from error

    return check


async def _hash(
    path: Path, check: Callable[[bytes, bool], None] | None
) -> tuple[str, str, BlobDigest]:
    """MD5 and SHA-256, hex, and the block digests, in one pass."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    blocks = BlockDigests()
    with surroundings():
        fd = await trio.to_thread.run_sync(
            lambda: os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        )

    def turn() -> bool:
        done = 0
        while done < HASH_TURN_BYTES:
            piece = os.read(fd, READ_BYTES)
            if check is not None:
                check(piece, not piece)
            if not piece:
                return False
            md5.update(piece)
            sha256.update(piece)
            blocks.update(piece)
            done += len(piece)
        return True

    try:
        with surroundings():
            while await trio.to_thread.run_sync(turn):
                pass
    finally:
        os.close(fd)
    return md5.hexdigest(), sha256.hexdigest(), blocks.blob_digest()
