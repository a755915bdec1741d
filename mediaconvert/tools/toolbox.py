"""Everything that jobs may ask of the tools, as one object: `ports.tools.Tools`.

Finds the programs, settles on a sandbox, keeps the image server running, and runs commands.
The workers' engine and the command line hold it; nothing else starts children.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import trio

from mediaconvert.errors import InfrastructureFailure, StartupError, ToolCrashed
from mediaconvert.held_folders import make_held_folder, random_name, remove_tree, sweep_folders
from mediaconvert.media import (
    Command,
    CommandResult,
    FfmpegCommand,
    ImagingCommand,
    Limits,
    MediaInfo,
    Progress,
    WriteCommand,
)
from mediaconvert.ports.tools import ToolInfo
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.builds import FIRST_SECONDS, Builds
from mediaconvert.tools.execution import ToolDone, ToolRun, run_tool
from mediaconvert.tools.failures import output_too_large
from mediaconvert.tools.ffmpeg import ffmpeg_argv, picture_command
from mediaconvert.tools.ffmpeg_progress import Report, progress_of
from mediaconvert.tools.image_call import ImageCall
from mediaconvert.tools.imaging import ImageServer
from mediaconvert.tools.launch import FIRST_PASSED_FD, Launcher, SandboxState, find_sandbox
from mediaconvert.tools.locate import find_tools, image_server_command
from mediaconvert.tools.probe import Prober
from mediaconvert.tools.process import Starter, open_pipes
from mediaconvert.tools.sandbox import Confined, Executable

logger = logging.getLogger(__name__)

# Pictures that libvips cannot read in the build that comes along, and what reads them.
_PICTURE_DEMUXERS = {"bmp": "bmp_pipe", "jxl": "jpegxl_pipe"}

_SCRATCH_PREFIX = "mediaconvert-tools-"
"""Begins the names of our folders in the system's place for temporary files."""


@asynccontextmanager
async def open_toolbox(
    settings: ToolSettings, *, slots: int, scratch: Path | None = None
) -> AsyncIterator[Toolbox]:
    """The toolbox, until the block is left; then no child is alive.

    `slots` is how many pictures or documents are worked on at once. `scratch` is a folder that
    toolboxes alone use, each process a part of its own; what killed ones left there is removed.
    None takes a temporary one. Raises StartupError when ffmpeg or ffprobe is missing, the
    folder cannot be made, or a sandbox is required and none works.
    """
    try:
        found = await trio.to_thread.run_sync(find_tools, settings)
    except (OSError, InfrastructureFailure) as error:
        raise StartupError(f"the tools cannot be looked at: {error}") from error
    if found.ffmpeg is None or found.ffprobe is None:
        missing = "ffmpeg" if found.ffmpeg is None else "ffprobe"
        raise StartupError(
            f"{missing} was not found; install the package's dependencies again, or name a "
            f"build with tools.{missing}"
        )
    own = image_server_command()
    async with AsyncExitStack() as stack:
        starter = Starter(own)
        await run_in_background(stack, starter.keep)
        folder = stack.enter_context(_scratch(scratch))
        launcher, state = await find_sandbox(settings.sandbox, starter, found.bwrap, folder)
        images = ImageServer(launcher, own, settings, slots, folder)
        await run_in_background(stack, images.keep)
        builds = Builds(found, state, images)
        prober = Prober(launcher, found.ffprobe, found.ffmpeg, images)
        yield Toolbox(launcher, found.ffmpeg, images, prober, builds, state)


@contextmanager
def _scratch(parent: Path | None) -> Iterator[Path]:
    try:
        place = Path(tempfile.gettempdir()) if parent is None else parent
        prefix = _SCRATCH_PREFIX if parent is None else None
        sweep_folders(place, prefix)
        folder = place / random_name(prefix or "")
        lock = make_held_folder(folder)
    except OSError as error:
        raise StartupError(
            f"no folder for the tools can be made in {place}: {error.strerror}; make room there"
        ) from error
    try:
        yield folder.absolute()
    finally:
        remove_tree(folder)
        os.close(lock)


async def run_in_background(stack: AsyncExitStack, task: Callable[[], Awaitable[None]]) -> None:
    """Run the task in a nursery that ends with the stack. The nursery is left by hand, so that
    what leaves the stack's block is not wrapped in a group."""
    manager = trio.open_nursery()
    nursery = await manager.__aenter__()

    async def end() -> None:
        nursery.cancel_scope.cancel()
        await manager.__aexit__(None, None, None)

    stack.push_async_callback(end)
    nursery.start_soon(task)


class Toolbox:
    """Implements `ports.tools.Tools`."""

    def __init__(
        self,
        launcher: Launcher,
        ffmpeg: Executable,
        images: ImageServer,
        prober: Prober,
        builds: Builds,
        state: SandboxState,
    ) -> None:
        self._launcher = launcher
        self._ffmpeg = ffmpeg
        self._images = images
        self._prober = prober
        self._builds = builds
        self._state = state

    async def probe(self, source: Path, limits: Limits) -> MediaInfo:
        """See `ports.tools.Tools.probe`."""
        return await self._prober.probe(source, limits)

    async def check_decodable(self, path: Path, info: MediaInfo, limits: Limits) -> None:
        """Decode both ends of a film or sound, or all of a picture. Raises MediaInputError
        (`undecodable`, or what is wrong with a picture) and the other JobErrors."""
        await self._prober.check_decodable(path, info, limits)

    async def describe(self, first_seconds: float = FIRST_SECONDS) -> tuple[ToolInfo, ...]:
        """See `ports.tools.Tools.describe`. The first call waits so long for the image server."""
        return await self._builds.describe(first_seconds)

    def sandbox_state(self) -> tuple[str, bool, str]:
        """Name of the sandbox, whether there is one, and a sentence about it."""
        return self._state.kind.value, self._state.is_active, self._state.detail

    async def run(
        self,
        command: Command,
        *,
        source: Path,
        info: MediaInfo,
        out_dir: Path,
        limits: Limits,
        on_progress: Callable[[Progress], None],
    ) -> CommandResult:
        """See `ports.tools.Tools.run`."""
        match command:
            case FfmpegCommand():
                result = await self._run_ffmpeg(command, source, out_dir, limits, on_progress)
            case ImagingCommand():
                result = await self._run_imaging(command, source, info, out_dir, limits)
            case WriteCommand():
                result = await trio.to_thread.run_sync(_write, command, out_dir)
        for name in command.output_names:
            _check_output(out_dir / name, name, limits, result)
        on_progress(Progress(1.0, eta_seconds=0.0))
        return result

    async def _run_ffmpeg(
        self,
        command: FfmpegCommand,
        source: Path,
        out_dir: Path,
        limits: Limits,
        on_progress: Callable[[Progress], None],
    ) -> CommandResult:
        ((read, write),) = open_pipes(1)
        threads = limits.threads or len(os.sched_getaffinity(0))
        argv = ffmpeg_argv(command, limits, threads=threads, progress_fd=FIRST_PASSED_FD)

        furthest = 0.0

        def on_report(report: Report) -> None:
            # While ffmpeg writes a film's index it reports its position as unknown.
            nonlocal furthest
            progress = progress_of(report, command.expected_seconds)
            if not report.is_end and progress.fraction >= furthest:
                furthest = progress.fraction
                on_progress(progress)

        done = await run_tool(
            self._launcher,
            ToolRun(
                tool="ffmpeg",
                job=Confined(self._ffmpeg, argv[1:], source=source, out_dir=out_dir),
                limits=limits,
                wall_seconds=limits.wall_seconds,
                progress_fds=(read, write),
                on_report=on_report,
            ),
        )
        return CommandResult(
            argv=argv,
            tool=f"ffmpeg {await self._builds.ffmpeg_version()}",
            wall_seconds=done.wall_seconds,
            log=done.log,
            details=_last_report(done),
        )

    async def _run_imaging(
        self, command: ImagingCommand, source: Path, info: MediaInfo, out_dir: Path, limits: Limits
    ) -> CommandResult:
        started = trio.current_time()
        outputs = tuple(out_dir / name for name in command.output_names)
        demuxer = _PICTURE_DEMUXERS.get(info.container)
        if demuxer is None:
            call = ImageCall(
                command.action, command.params, info.container, source, outputs, limits
            )
            details = await self._images.call(call)
        else:
            with _folder_beside(out_dir) as folder:
                picture = await self._as_png(source, demuxer, Path(folder), limits)
                call = ImageCall(command.action, command.params, "png", picture, outputs, limits)
                details = await self._images.call(call)
        library = "pdfium" if command.action.startswith("pdf") else "libvips"
        versions = await self._images.versions()
        return CommandResult(
            argv=(command.action, *(f"{k}={v}" for k, v in command.params.items())),
            tool=f"{library} {versions.get(library, '')}",
            wall_seconds=trio.current_time() - started,
            details=details,
        )

    async def _as_png(self, source: Path, demuxer: str, folder: Path, limits: Limits) -> Path:
        await self._run_ffmpeg(
            picture_command(demuxer), source, folder, limits, lambda _progress: None
        )
        return folder / "picture.png"


def _folder_beside(out_dir: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="picture-", dir=out_dir.parent)
    except OSError as error:
        raise _storage_failure(error) from error


def _storage_failure(error: OSError) -> InfrastructureFailure:
    code = "storage_full" if error.errno == errno.ENOSPC else "storage_failed"
    return InfrastructureFailure(code, f"the workspace cannot be written: {error.strerror}")


def _last_report(done: ToolDone) -> dict[str, object]:
    report = done.last_report
    return {} if report is None else {"out_seconds": report.out_seconds, "frames": report.frame}


def _write(command: WriteCommand, out_dir: Path) -> CommandResult:
    for name in command.output_names:
        try:
            with (out_dir / name).open("x", encoding="utf-8") as file:
                file.write(command.text)
        except OSError as error:
            raise _storage_failure(error) from error
    return CommandResult(argv=("write",), tool="mediaconvert", wall_seconds=0.0)


def _check_output(path: Path, name: str, limits: Limits, result: CommandResult) -> None:
    """A plain file with something in it: what a child that was taken over leaves may be a link
    to somewhere else."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        raise ToolCrashed(
            f"the tool ended without an error, but did not write the output out/{name}",
            result.log,
            code="output_missing",
        ) from None
    if not stat.S_ISREG(found.st_mode):
        raise ToolCrashed(f"the output out/{name} is not a plain file", result.log)
    if found.st_size == 0:
        raise ToolCrashed(f"the output out/{name} is empty", result.log, code="output_empty")
    if found.st_size >= limits.output_bytes:
        # ffmpeg ends quietly where `-fs` says; the file is then only a part.
        raise output_too_large(limits, result.log)
