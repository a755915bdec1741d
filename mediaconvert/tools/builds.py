"""Says which build of each tool is in use, and what it can do. Answers are kept.

Asks the programs for their version outside the sandbox: no user's data is involved.
Called by `tools.toolbox` for `/ready`, `doctor` and the manifests.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import trio

from mediaconvert.errors import InfrastructureFailure
from mediaconvert.ports.tools import ToolInfo
from mediaconvert.tools.imaging import ImageServer
from mediaconvert.tools.launch import REMEDY, SandboxState
from mediaconvert.tools.locate import Found
from mediaconvert.tools.process import run_briefly
from mediaconvert.tools.sandbox import Executable, SandboxKind

logger = logging.getLogger(__name__)

# What the operations ask for.
_ENCODERS = (
    "libx264", "libx265", "libvpx-vp9", "libsvtav1", "libaom-av1", "aac", "libopus", "libmp3lame",
    "libvorbis", "flac", "pcm_s16le", "mjpeg", "png", "libwebp",
)  # fmt: skip
_SECONDS = 20.0
FIRST_SECONDS = 8.0
"""How long the image server's start is waited for; less than `/ready` waits for all of this."""
_AGAIN_SECONDS = 2.0
"""And once it has not come in that time: it is being tried again."""
PARTIAL_SECONDS = 30.0
"""So long an answer is kept in which something is missing, for every job asks at its end; one
that lacks the image server only until that is there."""


class Builds:
    """The tools of one process."""

    def __init__(
        self,
        found: Found,
        state: SandboxState,
        images: ImageServer,
        *,
        partial_seconds: float = PARTIAL_SECONDS,
    ) -> None:
        self._partial_seconds = partial_seconds
        self._found = found
        self._state = state
        self._images = images
        self._ffmpeg_version = ""
        self._described: tuple[ToolInfo, ...] = ()
        self._is_partial = False
        self._lacks_images = False
        self._ask_again_at = math.inf
        self._is_patient = True
        self._asking = trio.Lock()

    async def ffmpeg_version(self) -> str:
        """Such as `9.0.2`; the empty text when it does not say."""
        if not self._ffmpeg_version:
            self._ffmpeg_version = await self._version(self._found.ffmpeg, "-version")
        return self._ffmpeg_version

    async def describe(self, first_seconds: float = FIRST_SECONDS) -> tuple[ToolInfo, ...]:
        """Kept for good when every tool could be asked: what the machine refuses now it may
        allow later. The first call waits `first_seconds` for the image server's start."""
        async with self._asking:
            if self._is_fresh():
                return self._described
            self._is_partial = False
            patience = first_seconds if self._is_patient else _AGAIN_SECONDS
            self._is_patient = False
            described = (
                await self._of_ffmpeg(),
                _program("ffprobe", self._found.ffprobe, await self._version(
                    self._found.ffprobe, "-version")),
                *await self._of_images(patience),
                await self._of_sandbox(),
            )  # fmt: skip
            kept_seconds = self._partial_seconds if self._is_partial else math.inf
            self._described, self._ask_again_at = described, trio.current_time() + kept_seconds
            return described

    def _is_fresh(self) -> bool:
        if self._lacks_images and self._images.is_running:
            return False
        return bool(self._described) and trio.current_time() < self._ask_again_at

    async def _of_ffmpeg(self) -> ToolInfo:
        ffmpeg = self._found.ffmpeg
        listing = await self._ask(ffmpeg, "-hide_banner", "-encoders")
        names = {line.split()[1] for line in listing.splitlines() if len(line.split()) > 1}
        have = tuple(name for name in _ENCODERS if name in names)
        missing = [name for name in _ENCODERS if name not in names]
        remedy = f"it lacks {', '.join(missing)}; use another build" if missing else ""
        return _program("ffmpeg", ffmpeg, await self.ffmpeg_version(), remedy, have)

    async def _of_images(self, patience: float) -> tuple[ToolInfo, ToolInfo]:
        versions: Mapping[str, str] = {}
        remedy = "the image server has not started yet; the log says why"
        with trio.move_on_after(patience):
            try:
                versions = await self._images.versions()
                remedy = ""
            except InfrastructureFailure as error:
                remedy = f"{error.message}; the log says why"
        self._lacks_images = not versions
        self._is_partial |= self._lacks_images
        vips, pdfium = (
            ToolInfo(name, versions.get(name, ""), "", name in versions, remedy)
            for name in ("libvips", "pdfium")
        )
        return vips, pdfium

    async def _of_sandbox(self) -> ToolInfo:
        works = self._state.kind is SandboxKind.BUBBLEWRAP
        return ToolInfo(
            "bubblewrap",
            await self._version(self._found.bwrap, "--version"),
            str(self._found.bwrap.path) if self._found.bwrap else "",
            works,
            "" if works else f"{self._state.detail}; {REMEDY}",
        )

    async def _version(self, program: Executable | None, flag: str) -> str:
        """The word after `version`, without the builder's suffixes: `9.0.2`."""
        words = (await self._ask(program, flag)).split()
        if words[1:2] == ["version"]:
            words = words[1:]
        word = words[1] if len(words) > 1 else ""
        return word.removeprefix("n").partition("-")[0]

    async def _ask(self, program: Executable | None, *arguments: str) -> str:
        if program is None:
            return ""
        argv = [str(program.path), *arguments]
        try:
            return await trio.to_thread.run_sync(run_briefly, argv, _SECONDS, {}) or ""
        except InfrastructureFailure as error:
            logger.warning("a tool cannot be asked for its version: %s", error)
            self._is_partial = True
            return ""


def _program(
    name: str,
    program: Executable | None,
    version: str,
    remedy: str = "",
    capabilities: tuple[str, ...] = (),
) -> ToolInfo:
    if program is None or not version:
        return ToolInfo(name, version, "", False, f"it does not run; name a build: tools.{name}")
    return ToolInfo(name, version, str(program.path), True, remedy, capabilities)
