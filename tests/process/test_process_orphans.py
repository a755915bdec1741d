"""However the service dies, no child outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

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
