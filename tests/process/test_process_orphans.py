"""However the service dies, no child outlives it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from mediaconvert.tools.sandbox import SandboxKind
from tests.process.children import EVERY_SANDBOX, all_ended, descendants

SERVICE = """
import sys, trio
from mediaconvert.tools.sandbox import SandboxKind
from mediaconvert.tools.seccomp import Profile
from tests.process.children import LIMITS, open_launcher, python
CHILD = '''
import os, signal, time
for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)
if os.fork() == 0: os.setsid(); os.fork()
os.write(3, b"x")
time.sleep(1000)
'''
async def main():
    import os
    read, write = os.pipe()
    async with open_launcher(SandboxKind(sys.argv[1])) as launcher:
        job = python(CHILD, profile=Profile.SERVER)
        async with launcher.open(job, LIMITS, pass_fds=(write,)):
            for _ in range(3):
                await trio.lowlevel.wait_readable(read)
                os.read(read, 1)
            print("ready", flush=True)
            await trio.sleep_forever()
trio.run(main)
"""


def start_service(kind: SandboxKind) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SERVICE, kind.value], stdout=subprocess.PIPE)


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["kill", "term"])
async def test_death_of_the_service_leaves_no_process(
    kind: SandboxKind, number: signal.Signals
) -> None:
    service = start_service(kind)
    try:
        assert service.stdout is not None
        assert await trio.to_thread.run_sync(service.stdout.readline) == b"ready\n"
        below = descendants(service.pid)
        # The starter, and at least three processes of the child's family.
        assert len(below) >= 4
        os.kill(service.pid, number)
        await all_ended(below)
    finally:
        service.kill()
        service.wait()
        if service.stdout is not None:
            service.stdout.close()


STARTING = """
import os, sys, trio
from pathlib import Path
from mediaconvert.tools.locate import executable
from mediaconvert.tools.sandbox import Confined, SandboxKind
from tests.process.children import LIMITS, open_launcher
async def main():
    async with open_launcher(SandboxKind(sys.argv[1])) as launcher:
        sleep = executable(Path("/bin/sleep"))
        async with launcher.open(Confined(sleep, ("0",)), LIMITS) as child:
            await child.wait()
        print("ready", flush=True)
        sys.stdin.readline()
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(run, launcher, Confined(sleep, (sys.argv[2],)))
async def run(launcher, job):
    async with launcher.open(job, LIMITS) as child:
        print("started", flush=True)
        await child.wait()
trio.run(main)
"""


def running(marker: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if marker.encode() in words and b"-c" not in words:
                found.append(process.name)
    return found


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
@pytest.mark.parametrize("heard", range(4))
async def test_death_while_children_are_being_started_leaves_no_process(
    kind: SandboxKind, heard: int
) -> None:
    """bubblewrap ties its processes to its parent only when its mounts are made."""
    marker = f"{1000 + heard}.{os.getpid()}"
    service = subprocess_with_pipes([sys.executable, "-c", STARTING, kind.value, marker])
    assert service.stdin is not None
    assert service.stdout is not None
    try:
        assert await trio.to_thread.run_sync(service.stdout.readline) == b"ready\n"
        [starter] = descendants(service.pid).values()
        service.stdin.write(b"go\n")
        service.stdin.flush()
        for _ in range(heard + 1):
            await trio.to_thread.run_sync(service.stdout.readline)
        service.kill()
        await all_ended({0: starter})
        assert running(marker) == []
    finally:
        service.kill()
        service.wait()
        service.stdin.close()
        service.stdout.close()


def subprocess_with_pipes(argv: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
