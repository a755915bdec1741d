"""Our program under what docker-compose.yml gives it, made without an engine.

bubblewrap makes the container: process 1 of its own process namespace, user 10001 without
capabilities, a root file system that cannot be written to, a small /tmp, the data folder; and a
filter that refuses what Docker's default profile refuses (moby: profiles/seccomp/default.json),
so that the tools' own bubblewrap cannot work in it.
"""

from __future__ import annotations

import os
import shlex
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from mediaconvert.settings import ToolSettings
from mediaconvert.tools.locate import find_tools
from tests.packaging.compose import services
from tests.program import (
    PHOTO,
    ROOT,
    WAIT_SECONDS,
    Person,
    Program,
    command_line,
    descendants,
    wait_until,
)
from tests.service.readiness import rows_once

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_OFFSET_NR, _OFFSET_ARG0 = 0, 16
_CLONE, _CLONE3 = 56, 435
_CLONE_NAMESPACES = 0x7E020000
# unshare, mount, umount2, pivot_root, setns, chroot and the newer calls for mounts (x86-64).
_DENIED = (272, 165, 166, 155, 308, 161, 428, 429, 430, 431, 432, 433, 442)


def docker_filter() -> bytes:
    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    steps = [step(_LOAD, _OFFSET_NR)]
    for number in _DENIED:
        steps += [step(_EQUAL, number, 0, 1), step(_RETURN, _ERRNO | _EPERM)]
    steps += [step(_EQUAL, _CLONE3, 0, 1), step(_RETURN, _ERRNO | _ENOSYS)]
    steps += [step(_EQUAL, _CLONE, 0, 3), step(_LOAD, _OFFSET_ARG0)]
    steps += [step(_ANY_BIT, _CLONE_NAMESPACES, 0, 1), step(_RETURN, _ERRNO | _EPERM)]
    return b"".join([*steps, step(_RETURN, _ALLOW)])


def container(folder: Path) -> list[str]:
    """The command before the program's: `folder` is its volume."""
    bwrap = find_tools(ToolSettings()).bwrap
    assert bwrap is not None
    profile = folder.parent / "docker.bpf"
    profile.write_bytes(docker_filter())
    command = [
        *(str(bwrap.path), "--unshare-user", "--unshare-pid", "--unshare-ipc", "--as-pid-1"),
        *("--uid", "10001", "--gid", "10001", "--cap-drop", "ALL", "--die-with-parent"),
        *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"),
        # Where the tests' own folders may lie below /tmp.
        *("--ro-bind", str(ROOT), str(ROOT), "--bind", str(folder), str(folder)),
        *("--chdir", str(folder), "--seccomp", "9", "--"),
    ]
    if subprocess.run([*command[: command.index("--seccomp")], "true"], check=False).returncode:
        pytest.skip("this machine forbids the namespaces that the test's container is made of")
    return ["sh", "-c", f'exec {shlex.join(command)} "$@" 9< {shlex.quote(str(profile))}', "sh"]


@contextmanager
def run_container(folder: Path, **environment: str) -> Iterator[Program]:
    program = Program(folder, environment, ["--data-dir", str(folder)], container(folder))
    try:
        yield program
    finally:
        program.kill()  # process 1 dies with it, and all others with that
    assert program.errors() == []


def service_process(program: Program) -> int:
    """Process 1 as seen from outside."""
    (found,) = [p for p in children(program.process.pid) if " serve " in command_line(p)]
    return found


def children(parent: int) -> set[int]:
    """Living ones, whichever thread started them."""
    found: set[int] = set()
    for listed in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):  # that thread has ended
            found |= {int(pid) for pid in listed.read_text().split()}
    return found & descendants(parent)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "volume"
    made.mkdir()
    return made


def test_a_node_in_a_container_works_in_landlock_and_says_so(folder: Path) -> None:
    required = {"MEDIACONVERT_TOOLS__SANDBOX": "required"}
    with run_container(folder, **required) as program:
        process = service_process(program)
        status = Path(f"/proc/{process}/status").read_text()
        assert "NoNewPrivs:\t1" in status and "CapEff:\t0000000000000000" in status
        ready = rows_once(
            program.url,
            lambda found: (
                found["status"] == "ready" and "Landlock" in found["sandbox"].get("detail", "")
            ),
            "/ready tells of the sandbox",
        )
        assert ready["sandbox"]["status"] == "degraded"
        person = Person(program.url)
        person.save_pipeline("image-resize")
        job = person.upload("photo.jpg", PHOTO, "image-resize")
        assert job is not None
        assert person.wait_for_job(job)["status"] == "completed"


def test_docker_stop_ends_process_one_by_a_drain(folder: Path) -> None:
    grace = float(services()["worker"]["stop_grace_period"].removesuffix("s"))
    with run_container(folder) as program:
        os.kill(service_process(program), signal.SIGTERM)
        assert program.process.wait(WAIT_SECONDS) == 0
        program.wait_for_log("stopped")
        assert grace >= 30


def test_a_starter_that_is_killed_is_replaced_inside_the_container_too(folder: Path) -> None:
    with run_container(folder) as program:
        process = service_process(program)
        before = children(process)
        for pid in before:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: bool(children(process) - before), "another starter")
        assert httpx.get(f"{program.url}/health", timeout=60).status_code == 200
