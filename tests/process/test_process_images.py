"""The image server when its children have been taken over, hang, crash or are killed."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from mediaconvert.errors import InfrastructureFailure, JobError, LimitExceeded, ToolCrashed
from mediaconvert.media import Limits
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.failures import Stop
from mediaconvert.tools.image_call import ImageCall, conclude
from mediaconvert.tools.imaging import ImageServer
from mediaconvert.tools.launch import Launcher
from mediaconvert.tools.locate import image_server_command
from mediaconvert.tools.process import InternalCommand
from mediaconvert.tools.sandbox import SandboxKind
from mediaconvert.tools.toolbox import run_in_background
from tests.process.children import (
    EVERY_SANDBOX,
    PATIENCE_SECONDS,
    all_ended,
    children_of,
    descendants,
    open_launcher,
    starter_below,
)

HERE = Path(__file__)
LIMITS = Limits(memory_bytes=1 << 30, wall_seconds=PATIENCE_SECONDS)


@asynccontextmanager
async def open_hostile(kind: SandboxKind) -> AsyncIterator[ImageServer]:
    async with AsyncExitStack() as stack:
        launcher: Launcher = await stack.enter_async_context(open_launcher(kind))
        real = image_server_command()
        script = HERE.with_name("hostile_server.py")
        own = InternalCommand(
            (*real.argv[: real.argv.index("-m")], str(script)),
            real.environment,
            (*real.readable, script),
        )
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        images = ImageServer(launcher, own, ToolSettings(), 4, scratch)
        await run_in_background(stack, images.keep)
        yield images


def call(action: str, *outputs: Path, limits: Limits = LIMITS) -> ImageCall:
    return ImageCall(action, {}, "png", HERE, outputs, limits)


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_a_child_that_was_taken_over_is_alone(kind: SandboxKind, tmp_path: Path) -> None:
    async with open_hostile(kind) as images:
        found = await images.call(call("peek", tmp_path / "0"))
    denied = {"fork", "exec", "socket", "unshare", "ptrace"}
    assert {name for name in denied if found[name] == "ok"} == set()
    assert found["dumpable"] == 0
    # Standard ones, the answer's pipe, input and output.
    assert isinstance(found["fds"], list)
    assert len(found["fds"]) == 6
    if kind is SandboxKind.BUBBLEWRAP:
        assert (found["pid"], found["parent"]) == (1, 0)
    if kind is not SandboxKind.NONE:
        assert (found["passwd"] != "ok", found["write"] != "ok") == (True, True)


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_a_cancelled_command_is_dead_and_the_server_goes_on(
    kind: SandboxKind, tmp_path: Path
) -> None:
    async with open_hostile(kind) as images:
        await images.versions()
        starter = starter_below(os.getpid())
        before = descendants(starter)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(images.call, call("hang", tmp_path / "0"))
            with trio.fail_after(PATIENCE_SECONDS):
                while not is_written(tmp_path / "0"):
                    await trio.lowlevel.checkpoint()
            during = descendants(starter)
            nursery.cancel_scope.cancel()
        after = descendants(starter)
        assert len(during) >= len(before) + 2
        assert set(after) == set(before)
        for fd in (*before.values(), *during.values(), *after.values()):
            os.close(fd)
        await images.call(call("lie"))


def is_written(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


async def failure(images: ImageServer, what: ImageCall) -> JobError:
    with trio.fail_after(2 * PATIENCE_SECONDS), pytest.raises(JobError) as caught:
        await images.call(what)
    return caught.value


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_each_misdeed_has_its_code_and_hurts_nobody_else(
    kind: SandboxKind, tmp_path: Path
) -> None:
    async with open_hostile(kind) as images:
        crashed = await failure(images, call("crash"))
        assert isinstance(crashed, ToolCrashed)
        assert "SIGSEGV" in crashed.message
        eaten = await failure(images, call("eat"))
        assert isinstance(eaten, LimitExceeded)
        assert eaten.code == "limit_memory"
        flooded = await failure(images, call("flood"))
        assert flooded.log[-1] == "words without end"
        spun = await failure(images, call("spin", limits=replace(LIMITS, cpu_seconds=1)))
        assert spun.code == "limit_time"
        slow = call("hang", tmp_path / "0", limits=replace(LIMITS, wall_seconds=0.5))
        assert (await failure(images, slow)).code == "limit_time"
        await images.call(call("lie"))


async def test_death_of_the_server_fails_its_commands_and_it_comes_back(tmp_path: Path) -> None:
    def kill(starter: int) -> None:
        # Its one child is the server's bubblewrap.
        (bubblewrap,) = children_of(starter)
        os.kill(bubblewrap, signal.SIGKILL)

    assert isinstance(await failure_at_death(kill, tmp_path), ToolCrashed)


async def test_death_of_the_starter_is_no_fault_of_the_picture(tmp_path: Path) -> None:
    failed = await failure_at_death(lambda starter: os.kill(starter, signal.SIGKILL), tmp_path)
    assert isinstance(failed, InfrastructureFailure)
    assert failed.code == "starter_died"


async def test_a_server_killed_for_one_command_is_no_fault_of_the_others(tmp_path: Path) -> None:
    culprit = trio.CancelScope()
    failures: list[JobError] = []

    async def hang() -> None:
        with culprit:
            await images.call(call("hang", tmp_path / "culprit"))

    async def fail() -> None:
        failures.append(await failure(images, call("hang", tmp_path / "bystander")))

    async with open_hostile(SandboxKind.BUBBLEWRAP) as images:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hang)
            nursery.start_soon(fail)
            with trio.fail_after(PATIENCE_SECONDS):
                while not all(is_written(tmp_path / n) for n in ("culprit", "bystander")):
                    await trio.lowlevel.checkpoint()
            below = descendants(starter_below(os.getpid()))
            for pid in below:
                # Whoever stands still hears no cancel.
                os.kill(pid, signal.SIGSTOP)
            culprit.cancel()
        await all_ended(below)
        await images.call(call("lie"))
    (failed,) = failures
    assert isinstance(failed, InfrastructureFailure)
    assert failed.code == "image_server_killed"


def test_a_command_that_was_stopped_at_its_limit_says_so_even_if_the_server_died_of_it() -> None:
    with pytest.raises(LimitExceeded, match="longer than"):
        conclude(call("hang"), None, Stop.WALL, b"", "", 60.0)


async def failure_at_death(kill: Callable[[int], None], tmp_path: Path) -> JobError:
    """Of a command that runs when somebody is killed; `kill` is told who the starter is.
    Afterwards nothing of them lives, and the server is there again."""
    async with open_hostile(SandboxKind.BUBBLEWRAP) as images:
        failures: list[JobError] = []

        async def hang() -> None:
            failures.append(await failure(images, call("hang", tmp_path / "0")))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hang)
            with trio.fail_after(PATIENCE_SECONDS):
                while not is_written(tmp_path / "0"):
                    await trio.lowlevel.checkpoint()
            starter = starter_below(os.getpid())
            below = descendants(starter)
            kill(starter)
        await all_ended(below)
        with trio.fail_after(PATIENCE_SECONDS):
            await images.call(call("lie"))
        (failed,) = failures
        return failed
