"""`mediaconvert doctor`: every tool, the sandbox, the disk, the servers and the configuration, each
with a verdict and, where something is wrong, what to do. Changes nothing."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trio

from mediaconvert import __version__
from mediaconvert.backends.examine import examine
from mediaconvert.cli.options import load_configuration
from mediaconvert.errors import StartupError
from mediaconvert.moving.note import find_note
from mediaconvert.ports.tools import ToolInfo
from mediaconvert.settings import Settings
from mediaconvert.tools.toolbox import open_toolbox

OK, WARN, BAD = "ok", "warn", "FAIL"


@dataclass(frozen=True, slots=True)
class Verdict:
    level: str
    subject: str
    finding: str
    remedy: str = ""


def run(arguments: argparse.Namespace) -> int:
    """1 when anything is so wrong that the service would not start or could not work."""
    verdicts = []
    for verdict in _examine(arguments):
        mark = {OK: "ok  ", WARN: "warn", BAD: "FAIL"}[verdict.level]
        print(f"{mark}  {verdict.subject:14} {verdict.finding}", flush=True)
        if verdict.remedy:
            print(f"      {'':14} → {verdict.remedy}")
        verdicts.append(verdict)
    return 1 if any(v.level == BAD for v in verdicts) else 0


def _examine(arguments: argparse.Namespace) -> Iterator[Verdict]:
    yield Verdict(OK, "mediaconvert", f"{__version__}, Python {platform.python_version()}")
    try:
        settings = load_configuration(arguments).settings
    except StartupError as error:
        for line in str(error).splitlines():
            yield Verdict(BAD, "configuration", line, "see `mediaconvert config show`")
        return
    yield Verdict(OK, "configuration", "every setting is valid")
    yield _machine()
    yield from _disk(settings)
    yield from _move(settings)
    yield from trio.run(_ask_servers, settings, strict_exception_groups=True)
    yield from _tools(settings)


def _machine() -> Verdict:
    system, machine = platform.system(), platform.machine()
    if (system, machine) == ("Linux", "x86_64"):
        return Verdict(OK, "machine", f"{system} {machine}, {os.cpu_count()} cores")
    return Verdict(
        BAD, "machine", f"{system} {machine}", "MediaConvert and its tools are for Linux x86-64"
    )


def _disk(settings: Settings) -> Iterator[Verdict]:
    folder = settings.server.data_dir.absolute()
    # A parent that this user may not search hides what is below it; Path.exists would raise.
    existing = next(p for p in (folder, *folder.parents) if os.path.exists(p))  # noqa: PTH110
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Verdict(
            BAD, "data folder", f"{folder} cannot be written to", "give it to the service's user"
        )
    elif existing == folder and folder.stat().st_mode & 0o077:
        yield Verdict(
            WARN, "data folder", f"{folder} is open to other users", f"chmod 700 {folder}"
        )
    else:
        yield Verdict(OK, "data folder", str(folder))
    free = shutil.disk_usage(existing).free
    least = settings.storage.min_free_bytes
    enough = free > 16 * least
    level = OK if enough else WARN if free > least else BAD
    remedy = "" if enough else f"make room; under {least:,} bytes uploads are refused"
    yield Verdict(level, "disk", f"{free / 1e9:.1f} GB free", remedy)


def _move(settings: Settings) -> Iterator[Verdict]:
    note = None if settings.database.url else find_note(settings.server.data_dir)
    if note is not None:
        yield Verdict(WARN, "moved", note.sentence, note.remedy)


async def _ask_servers(settings: Settings) -> list[Verdict]:
    verdicts = []
    for server in await examine(settings):
        level = OK if server.is_well else BAD if server.is_required else WARN
        verdicts.append(Verdict(level, server.name, server.finding))
    return verdicts


def _tools(settings: Settings) -> Iterator[Verdict]:
    try:
        yield from trio.run(_ask_tools, settings, strict_exception_groups=True)
    except* StartupError as group:
        error = group.exceptions[0]
        found = Verdict(BAD, "tools", str(error), "")
    else:
        return
    yield found


async def _ask_tools(settings: Settings) -> list[Verdict]:
    verdicts = []
    async with open_toolbox(settings.tools, slots=1) as toolbox:
        for tool in await toolbox.describe(first_seconds=60.0):
            place = _short(Path(tool.path)) if tool.path else ""
            finding = f"{tool.version}  {place}"
            verdicts.append(Verdict(_level(tool, settings), tool.name, finding, tool.remedy))
            if tool.capabilities:
                verdicts.append(Verdict(OK, "codecs", " ".join(tool.capabilities)))
        name, is_active, detail = toolbox.sandbox_state()
        level = OK if is_active else WARN
        verdicts.append(Verdict(level, "sandbox", f"{name}: {detail}" if detail else name))
    return verdicts


def _level(tool: ToolInfo, settings: Settings) -> str:
    """A build that lacks something works for what it has."""
    if tool.is_usable:
        return WARN if tool.remedy else OK
    return WARN if tool.name == "bubblewrap" and settings.tools.sandbox != "required" else BAD


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
