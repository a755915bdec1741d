"""What a child that has been taken over can see and do: nothing but its own job."""

from __future__ import annotations

import json
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from mediaconvert.errors import StartupError
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.launch import find_sandbox, settle_without_bubblewrap
from mediaconvert.tools.locate import executable, find_tools, image_server_command
from mediaconvert.tools.process import Starter
from mediaconvert.tools.sandbox import Executable, SandboxKind
from mediaconvert.tools.seccomp import Profile, program
from mediaconvert.tools.toolbox import run_in_background
from tests.process.children import EVERY_SANDBOX, REAL_SANDBOXES, open_launcher, output_of, python

# Prints, for each thing that was tried, `ok` or the name of the error.
TRY = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def attempt(name, what):
    try:
        what()
        print(name, "ok", flush=True)
    except Exception as error:
        print(name, type(error).__name__, flush=True)
"""


async def results(kind: SandboxKind, script: str, **job: object) -> dict[str, str]:
    async with open_launcher(kind) as launcher:
        said = await output_of(launcher, python(TRY + script, **job))  # type: ignore[arg-type]
    return dict(line.split(" ", 1) for line in said.splitlines())


@pytest.mark.parametrize("kind", REAL_SANDBOXES)
async def test_files_of_the_machine_cannot_be_read(kind: SandboxKind, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("another user's film")
    out_dir, source = tmp_path / "out", tmp_path / "source"
    out_dir.mkdir()
    source.write_text("the film")
    script = f"""
attempt("passwd", lambda: open("/etc/passwd").read())
attempt("secret", lambda: open({str(secret)!r}).read())
attempt("home", lambda: os.listdir(os.path.expanduser("~root")))
attempt("root", lambda: open("/root-was-here", "w"))
attempt("input", lambda: open("input").read())
attempt("input-write", lambda: open("input", "r+"))
attempt("output", lambda: open("out/0", "w").write("x"))
attempt("outside", lambda: open("out/../../x", "w"))
attempt("proc", lambda: open("/proc/{os.getpid()}/environ").read())
attempt("memory", lambda: open("/proc/{os.getpid()}/mem", "rb"))
attempt("null", lambda: open("/dev/null", "w").write("x"))
"""
    found = await results(kind, script, out_dir=out_dir, source=source)
    assert {name for name, result in found.items() if result == "ok"} == {
        "input", "output", "null",
    }  # fmt: skip


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_dangerous_system_calls_are_denied(kind: SandboxKind) -> None:
    script = f"""
attempt("socket", lambda: call(41, 2, 1, 0))
attempt("unix-socket", lambda: call(41, 1, 1, 0))
attempt("ptrace", lambda: call(101, 16, {os.getpid()}, 0, 0))
attempt("read-memory", lambda: call(310, {os.getpid()}, 0, 0, 0, 0, 0))
attempt("mount", lambda: call(165, 0, 0, 0, 0, 0))
attempt("unshare", lambda: call(272, 0x10000000))
attempt("bpf", lambda: call(321, 0, 0, 0))
attempt("keyctl", lambda: call(250, 0, 0, 0, 0, 0))
attempt("userfaultfd", lambda: call(323, 0))
attempt("perf", lambda: call(298, 0, 0, 0, 0, 0))
attempt("io_uring", lambda: call(425, 8, 0))
attempt("fork", os.fork)
attempt("setsid", os.setsid)
attempt("new-namespace", lambda: call(56, 0x10000000 | 17, 0, 0, 0, 0))
import threading
attempt("thread", lambda: threading.Thread(target=len, args=("",)).start())
attempt("spawn", lambda: os.posix_spawn("/bin/true", ["true"], {{}}))
"""
    found = await results(kind, script)
    assert {name for name, result in found.items() if result == "ok"} == {"thread"}
    assert len(found) == 16


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_other_processes_and_what_outlives_a_child_are_out_of_reach(
    kind: SandboxKind, tmp_path: Path
) -> None:
    source, out_dir = tmp_path / "source", tmp_path / "out"
    source.write_text("the film")
    source.chmod(0o640)
    out_dir.mkdir()
    other = os.getpid()
    script = f"""
import resource
attempt("signal", lambda: os.kill({other}, 0))
attempt("queue-signal", lambda: call(129, {other}, 0, 0))
attempt("thread-signal", lambda: call(234, {other}, {other}, 0))
attempt("pidfd", lambda: os.pidfd_open({other}))
attempt("limits", lambda: resource.prlimit({other}, resource.RLIMIT_NOFILE, (64, 64)))
attempt("nice", lambda: os.setpriority(os.PRIO_PROCESS, {other}, 19))
attempt("cores", lambda: os.sched_setaffinity({other}, [0]))
attempt("shared-memory", lambda: call(29, 77, 4096, 0o1666))
attempt("semaphore", lambda: call(64, 77, 1, 0o1666))
attempt("queue", lambda: call(68, 77, 0o1666))
attempt("mode", lambda: os.chmod("input", 0o777))
attempt("mode-of-ours", lambda: os.chmod({str(source)!r}, 0o777))
attempt("owner", lambda: os.chown("input", -1, -1))
attempt("time", lambda: os.utime("input"))
attempt("attribute", lambda: os.setxattr("out", "user.x", b"1"))
attempt("own-limits", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32)))
"""
    found = await results(kind, script, out_dir=out_dir, source=source)
    assert {name for name, result in found.items() if result == "ok"} == {"own-limits"}
    assert len(found) == 16
    assert source.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", EVERY_SANDBOX)
async def test_nothing_of_ours_is_inherited(
    kind: SandboxKind,
) -> None:
    secret = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        script = """
import json
def is_open(fd):
    try:
        os.fstat(fd)
        return True
    except OSError:
        return False
print("fds", json.dumps([fd for fd in range(256) if is_open(fd)]))
print("environment", json.dumps(sorted(os.environ)))
print("stdin", json.dumps(os.read(0, 10).decode()))
import resource
print("core", json.dumps(resource.getrlimit(resource.RLIMIT_CORE)))
print("nice", json.dumps(os.getpriority(os.PRIO_PROCESS, 0)))
"""
        found = await results(kind, script)
    finally:
        os.close(secret)
    assert json.loads(found["fds"]) == [0, 1, 2]
    assert set(json.loads(found["environment"])) <= {
        "HOME", "LANG", "LC_CTYPE", "LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "PWD",
        "PYTHONUNBUFFERED", "TMPDIR",
    }  # fmt: skip
    assert json.loads(found["stdin"]) == ""
    assert json.loads(found["core"]) == [0, 0]
    assert json.loads(found["nice"]) >= 10


async def test_bubblewrap_gives_a_namespace_of_its_own() -> None:
    script = """
print("pid", os.getpid())
print("uid", os.getuid())
attempt("look", lambda: os.getpriority(os.PRIO_PROCESS, %d))
print("host", os.uname().nodename)
print("root", " ".join(os.listdir("/")))
""" % os.getpid()  # noqa: UP031 (the script has braces)
    found = await results(SandboxKind.BUBBLEWRAP, script)
    assert int(found["pid"]) < 10
    assert found["uid"] == "65534"
    assert found["look"] == "ProcessLookupError"
    assert found["host"] == "sandbox"
    # An interpreter may live below /root or /home: then that much of them is there.
    assert not set(found["root"].split()) & {"etc", "proc", "var", "sys"}


async def test_memory_file_systems_cannot_be_filled() -> None:
    script = """
def fill(path):
    with open(path, "wb") as file:
        for _ in range(1000):
            file.write(bytes(1 << 20))
attempt("tmp", lambda: fill("/tmp/x"))
attempt("dev", lambda: fill("/dev/x"))
attempt("shm", lambda: fill("/dev/shm/x"))
attempt("job", lambda: fill("/job/x"))
"""
    found = await results(SandboxKind.BUBBLEWRAP, script)
    assert "ok" not in found.values()


async def test_landlock_denies_network_and_signals_beyond_its_own() -> None:
    script = f"""
attempt("kill", lambda: os.kill({os.getpid()}, 0))
attempt("input", lambda: open("input").read())
"""
    found = await results(SandboxKind.LANDLOCK, script, source=Path(__file__))
    assert found["kill"] != "ok"
    assert found["input"] == "ok"


@pytest.mark.parametrize("wanted", ["auto", "required"])
async def test_the_best_sandbox_that_works_is_chosen(wanted: str) -> None:
    state = await chosen(wanted, find_tools_bwrap())
    assert state[0] is SandboxKind.BUBBLEWRAP
    assert state[1]


async def test_a_bubblewrap_that_fails_gives_way_to_landlock() -> None:
    kind, is_active, detail = await chosen("required", executable(Path("/bin/false")))
    assert (kind, is_active) == (SandboxKind.LANDLOCK, True)
    assert "bubblewrap does not work here" in detail


async def test_off_means_none() -> None:
    kind, is_active, detail = await chosen("off", find_tools_bwrap())
    assert (kind, is_active) == (SandboxKind.NONE, False)
    assert "switched off" in detail


def find_tools_bwrap() -> Executable | None:
    return find_tools(ToolSettings()).bwrap


async def chosen(wanted: str, bwrap: Executable | None) -> tuple[SandboxKind, bool, str]:
    async with AsyncExitStack() as stack:
        starter = Starter(image_server_command())
        await run_in_background(stack, starter.keep)
        _, state = await find_sandbox(wanted, starter, bwrap)
        return state.kind, state.is_active, state.detail


def test_a_required_sandbox_that_cannot_be_had_says_what_to_do() -> None:
    with pytest.raises(StartupError, match=r"tools.sandbox is required, but .*sysctl"):
        settle_without_bubblewrap("required", "bubblewrap was not found", landlock_version=0)


def test_profiles_differ_in_what_they_deny() -> None:
    sizes = [len(program(profile)) for profile in (Profile.SERVER, Profile.TOOL, Profile.WORKER)]
    assert sizes == sorted(sizes)
    assert all(size % 8 == 0 for size in sizes)
