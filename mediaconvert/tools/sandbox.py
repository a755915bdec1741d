"""Says what a child may see, as arguments of bubblewrap or as rules for Landlock. Pure.

A child sees: its own binary and libraries, `/job/input` read-only, `/job/out` writable, a small
`/tmp`, the harmless devices. No network, no `/proc`, no other file, no other process.
Called by `tools.launch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mediaconvert.tools.seccomp import Profile

JOB_DIR = "/job"
"""The work folder as a child in bubblewrap sees it; its current directory."""
INPUT_NAME = "input"
OUT_NAME = "out"

# Nobody, on every distribution; the file accesses are still those of the service's user.
_NOBODY = "65534"


class SandboxKind(StrEnum):
    BUBBLEWRAP = "bubblewrap"
    LANDLOCK = "landlock"
    """Files by Landlock, processes and network by seccomp; no namespaces."""
    NONE = "none"
    """A process group of its own, resource limits and seccomp; the files of the service's user
    stay readable."""


@dataclass(frozen=True, slots=True)
class Executable:
    """A program with everything that its start needs."""

    path: Path
    libraries: tuple[Path, ...] = ()
    """The dynamic loader and the shared libraries, by the names they are looked up with."""

    @property
    def library_dirs(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(library.parent for library in self.libraries))


@dataclass(frozen=True, slots=True)
class Confined:
    """One child to be: what runs and what it may reach."""

    executable: Executable
    arguments: tuple[str, ...]
    """Without the program's own name."""
    profile: Profile = Profile.TOOL
    source: Path | None = None
    """Read-only as `input`."""
    out_dir: Path | None = None
    """Writable as `out`."""
    read_only: tuple[Path, ...] = ()
    """Further files and folders, at their own paths."""
    environment: Mapping[str, str] = field(default_factory=dict)
    tmp_bytes: int = 64 << 20
    """Of a writable `/tmp`; 0 for none."""

    def visible(self) -> tuple[Path, ...]:
        """Everything read-only at its own path, each once."""
        everything = (self.executable.path, *self.executable.libraries, *self.read_only)
        return tuple(dict.fromkeys(everything))


def child_environment(job: Confined) -> dict[str, str]:
    """The whole environment of a child: nothing of ours is inherited."""
    environment = {
        "LANG": "C",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        # Each arena of glibc's allocator reserves 64 MiB of address space, and there would be
        # eight a core: on a large machine the limit on address space would be gone at once.
        "MALLOC_ARENA_MAX": "4",
    }
    if job.executable.libraries:
        environment["LD_LIBRARY_PATH"] = ":".join(map(str, job.executable.library_dirs))
    return environment | dict(job.environment)


def bwrap_arguments(job: Confined, *, seccomp_fd: int) -> tuple[str, ...]:
    """bubblewrap's command line (bwrap(1)), without its own name."""
    arguments = [
        "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
        "--uid", _NOBODY, "--gid", _NOBODY, "--hostname", "sandbox", "--clearenv",
        "--seccomp", str(seccomp_fd),
        "--dev", "/dev",
        *(("--size", str(job.tmp_bytes), "--tmpfs") if job.tmp_bytes else ("--dir",)), "/tmp",
    ]  # fmt: skip
    for path in job.visible():
        arguments += ["--ro-bind", str(path), str(path)]
    arguments += ["--dir", JOB_DIR]
    if job.source is not None:
        arguments += ["--ro-bind", str(job.source), f"{JOB_DIR}/{INPUT_NAME}"]
    if job.out_dir is not None:
        arguments += ["--bind", str(job.out_dir), f"{JOB_DIR}/{OUT_NAME}"]
    # The root and /dev are memory that the child could otherwise fill.
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", JOB_DIR]
    for name, value in child_environment(job).items():
        arguments += ["--setenv", name, value]
    return (*arguments, "--", str(job.executable.path), *job.arguments)


def confine_rules(
    job: Confined, kind: SandboxKind, *, directory: str, seccomp_program: bytes
) -> dict[str, object]:
    """What `tools.confine` applies where there is no bubblewrap, as JSON-ready values.
    `directory` holds the links `input` and `out` to what the child gets."""
    readable = [str(path) for path in job.visible()]
    if job.source is not None:
        readable.append(str(job.source))
    return {
        "landlock": kind is SandboxKind.LANDLOCK,
        "readable": [*readable, directory, "/dev/urandom", "/dev/zero"],
        "writable": [*([str(job.out_dir)] if job.out_dir else []), "/dev/null"],
        "seccomp": seccomp_program.hex(),
    }
