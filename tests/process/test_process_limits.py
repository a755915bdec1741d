"""Children that misbehave are stopped, with the right word for it, and leave nothing behind."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest
import trio

from mediaconvert.errors import (
    InfrastructureFailure,
    JobError,
    LimitExceeded,
    MediaInputError,
    ToolCrashed,
)
from mediaconvert.media import Limits
from mediaconvert.tools.execution import run_tool
from mediaconvert.tools.locate import executable
from mediaconvert.tools.process import read_pipe
from mediaconvert.tools.sandbox import Confined, SandboxKind
from mediaconvert.tools.seccomp import Profile
from tests.process.children import (
    EVERY_SANDBOX,
    LIMITS,
    PATIENCE_SECONDS,
    all_ended,
    descendants,
    open_launcher,
    python,
    starter_below,
    tool_run,
)

DEAF = "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
HANG = DEAF + "print('ready', flush=True)\nwhile True: time.sleep(60)"
FAMILY = """
import os, signal, time
for depth in range(3):
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() != 0:
    print("ready", flush=True)
time.sleep(1000)
"""
# Seconds enough for a machine that gives a child hardly any time.
SMALL = Limits(wall_seconds=120, memory_bytes=256 << 20, output_bytes=8 << 20, stall_seconds=120)


async def failure_of_run(
    kind: SandboxKind, job: Confined, limits: Limits, *, reports: bool = False
) -> JobError:
    async with open_launcher(kind) as launcher:
        with trio.fail_after(2 * PATIENCE_SECONDS), pytest.raises(JobError) as caught:
            await run_tool(launcher, tool_run(job, limits, reports=reports))
    return caught.value


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
@pytest.mark.parametrize("script", [HANG, FAMILY], ids=["deaf", "family"])
async def test_leaving_the_block_leaves_no_process(kind: SandboxKind, script: str) -> None:
    async with open_launcher(kind) as launcher:
        read, write = os.pipe()
        job = python(script, profile=Profile.SERVER)
        async with launcher.open(job, LIMITS, stdout=write):
            await trio.lowlevel.wait_readable(read)
            below = descendants(starter_below(os.getpid()))
        # Not before: a child that cannot write to its end would die of that.
        os.close(read)
        _check_that_all_ended(below)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def _check_that_all_ended(below: dict[int, int]) -> None:
    """Now, not soon. Closes the descriptors."""
    assert below
    left = [pid for pid, pidfd in below.items() if not select.select([pidfd], [], [], 0)[0]]
    for pidfd in below.values():
        os.close(pidfd)
    assert left == []


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_cancelling_a_run_leaves_no_process(kind: SandboxKind, tmp_path: Path) -> None:
    async with open_launcher(kind) as launcher:
        ready = trio.Event()
        job = python(
            "import os, time\nos.write(3, b'frame=1\\nprogress=continue\\n')\ntime.sleep(1000)",
            out_dir=tmp_path,
        )
        run = tool_run(job, SMALL, reports=True)
        run = type(run)(
            run.tool, run.job, run.limits, run.wall_seconds, run.progress_fds,
            lambda _report: ready.set(),
        )  # fmt: skip
        below: dict[int, int] = {}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_tool, launcher, run)
            with trio.fail_after(PATIENCE_SECONDS):
                await ready.wait()
            below = descendants(starter_below(os.getpid()))
            nursery.cancel_scope.cancel()
        _check_that_all_ended(below)


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_silence_beyond_the_stall_limit_is_a_limit(kind: SandboxKind) -> None:
    limits = Limits(stall_seconds=0.6, memory_bytes=256 << 20)
    failure = await failure_of_run(kind, python(HANG), limits, reports=True)
    assert isinstance(failure, LimitExceeded)
    assert failure.code == "limit_stalled"


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_repeating_the_same_position_is_no_sign_of_life(kind: SandboxKind) -> None:
    script = (
        "import os, time\n"
        "while True: os.write(3, b'out_time_us=5\\nprogress=continue\\n'); time.sleep(0.05)"
    )
    limits = Limits(stall_seconds=0.6, memory_bytes=256 << 20)
    failure = await failure_of_run(kind, python(script), limits, reports=True)
    assert failure.code == "limit_stalled"


async def test_a_tool_that_computes_may_be_silent_for_longer() -> None:
    """As an encoder is over its first large frames, the more so where it gets little time."""
    limits = Limits(stall_seconds=5, memory_bytes=256 << 20)
    job = python(
        "import time\nend = time.monotonic() + 9\nwhile time.monotonic() < end: pass\nprint('done')"
    )
    said: list[bytes] = []

    async def compute(kind: SandboxKind) -> None:
        async with open_launcher(kind) as launcher:
            done = await run_tool(launcher, tool_run(job, limits, reports=True))
            said.append(done.stdout)

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            for kind in EVERY_SANDBOX:
                nursery.start_soon(compute, kind)
    assert said == [b"done\n"] * len(EVERY_SANDBOX)


async def test_a_tool_that_computes_for_ever_without_progress_is_stopped() -> None:
    limits = Limits(stall_seconds=0.3, memory_bytes=256 << 20)
    kind = SandboxKind.BUBBLEWRAP
    failure = await failure_of_run(kind, python("while True: pass"), limits, reports=True)
    assert failure.code == "limit_stalled"


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_running_too_long_is_a_limit(kind: SandboxKind) -> None:
    limits = Limits(wall_seconds=0.6, memory_bytes=256 << 20)
    failure = await failure_of_run(kind, python(HANG), limits)
    assert failure.code == "limit_time"


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_using_too_much_processor_time_is_a_limit(kind: SandboxKind) -> None:
    limits = Limits(cpu_seconds=1, memory_bytes=256 << 20)
    failure = await failure_of_run(kind, python("while True: pass"), limits)
    assert failure.code == "limit_time"


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_eating_memory_is_a_limit(kind: SandboxKind) -> None:
    script = (
        "import sys\nkept = []\n"
        "try:\n    while True: kept.append(bytearray(10 << 20))\n"
        "except MemoryError:\n    sys.exit('Cannot allocate memory')"
    )
    failure = await failure_of_run(kind, python(script), SMALL)
    assert isinstance(failure, LimitExceeded)
    assert failure.code == "limit_memory"


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_many_files_that_grow_together_are_a_limit(kind: SandboxKind, tmp_path: Path) -> None:
    # It ends at some size by itself, or would fill the disk of a machine that pauses us.
    script = (
        "import time\nfor n in range(64):\n"
        "    with open(f'out/{n}', 'wb') as f: f.write(b'x' * (1 << 20))\n"
        "time.sleep(1000)"
    )
    limits = Limits(output_bytes=8 << 20, memory_bytes=256 << 20, wall_seconds=PATIENCE_SECONDS)
    failure = await failure_of_run(kind, python(script, out_dir=tmp_path), limits)
    assert failure.code == "limit_output"


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_one_file_without_end_is_a_limit(kind: SandboxKind, tmp_path: Path) -> None:
    script = (
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "f = open('out/0', 'wb')\nwhile True: f.write(b'x' * (1 << 20))"
    )
    failure = await failure_of_run(kind, python(script, out_dir=tmp_path), SMALL)
    assert failure.code == "limit_output"
    assert size_of(tmp_path) <= (8 << 20) + (17 << 20)


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_a_flood_on_standard_error_is_read_and_its_end_is_kept(kind: SandboxKind) -> None:
    script = "import sys\nfor n in range(200_000): sys.stderr.write(f'line {n}\\n')\nsys.exit(1)"
    failure = await failure_of_run(kind, python(script), SMALL)
    assert isinstance(failure, MediaInputError)
    assert failure.log[-1] == "line 199999"
    assert len(failure.log) == 20


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_a_crash_is_a_crash(kind: SandboxKind) -> None:
    script = "import ctypes\nctypes.string_at(0)"
    failure = await failure_of_run(kind, python(script), SMALL)
    assert isinstance(failure, ToolCrashed)
    assert "SIGSEGV" in failure.message


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_a_tool_that_cannot_be_started_is_not_the_files_fault(
    kind: SandboxKind, tmp_path: Path
) -> None:
    program = tmp_path / "tool"
    program.write_bytes(b"\x7fELF but not really" + bytes(100))
    program.chmod(0o755)
    job = Confined(type(executable(program))(program), ())
    failure = await failure_of_run(kind, job, SMALL)
    assert isinstance(failure, InfrastructureFailure)


async def test_killing_the_starter_fails_what_runs_and_starts_another() -> None:
    async with open_launcher(SandboxKind.BUBBLEWRAP) as launcher:
        read, write = os.pipe()
        with trio.fail_after(PATIENCE_SECONDS):
            async with launcher.open(python(HANG), LIMITS, stdout=write) as child:
                await trio.lowlevel.wait_readable(read)
                starter = starter_below(os.getpid())
                below = descendants(starter)
                os.kill(starter, 9)
                with pytest.raises(InfrastructureFailure):
                    await child.wait()
            os.close(read)
            await all_ended(below)
            async with launcher.open(python("pass"), LIMITS) as child:
                assert (await child.wait()).status == 0


async def test_what_a_dead_tool_has_said_is_taken_also_by_a_reader_that_is_late() -> None:
    """A service that was stopped for longer than it waits for the end of the pipes."""
    read, write = os.pipe()
    os.write(write, b"words " * 10_000)
    os.close(write)
    said = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_pipe, read, said.extend)
        nursery.cancel_scope.cancel()
    assert said == b"words " * 10_000


async def test_a_reader_that_is_cancelled_waits_for_nobody() -> None:
    read, write = os.pipe()
    os.write(write, b"words")
    said = bytearray()
    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_pipe, read, said.extend)
            nursery.cancel_scope.cancel()
    os.close(write)
    assert said == b"words"
