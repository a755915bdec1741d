"""`mediaconvert pipeline check | run | schema`: pipelines without a server.

`run` is the same engine that jobs use, on a local file, with a progress bar.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from mediaconvert.cli.options import load_configuration
from mediaconvert.errors import Detail, InvalidPipeline, StartupError
from mediaconvert.held_folders import make_held_folder, random_name, remove_tree, sweep_folders
from mediaconvert.pipeline import Pipeline, json_schema, parse
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.toolbox import open_toolbox
from mediaconvert.workers.engine import STEPS_AT_ONCE, EngineResult, run_pipeline
from mediaconvert.workers.progress import EngineProgress
from mediaconvert.workers.runner import limits_from
from mediaconvert.workers.workspace import open_workspace

BAR = 30
_WORK_PREFIX = ".mediaconvert-"


def run(arguments: argparse.Namespace) -> int:
    match arguments.action:
        case "check":
            return check(arguments.file)
        case "schema":
            print(json.dumps(json_schema(), indent=2))
            return 0
        case _:
            return run_file(arguments)


def check(file: Path) -> int:
    """Print every problem as `FILE:LINE: path: message`; 1 when there is one."""
    try:
        pipeline = _read(file)
    except InvalidPipeline as error:
        _print_problems(file, error.details)
        return 1
    steps = ", ".join(f"{s.id} ({s.operation})" for s in pipeline.steps)
    print(f"{file}: pipeline '{pipeline.name}' is valid: {steps}")
    return 0


def _print_problems(file: Path, details: tuple[Detail, ...]) -> None:
    for detail in details:
        line = f":{detail.line}" if detail.line else ""
        print(f"{file}{line}: {detail.path}: {detail.message}", file=sys.stderr)


def _read(file: Path) -> Pipeline:
    try:
        text = file.read_bytes().decode("utf-8")
    except OSError as error:
        raise StartupError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise StartupError(f"{file} is not UTF-8 text (byte {error.start})") from error
    return parse(text, "json" if file.suffix.lower() == ".json" else "yaml")


def run_file(arguments: argparse.Namespace) -> int:
    """Run FILE on INPUT and leave the outputs in DIR, all or none of them."""
    settings = load_configuration(arguments).settings
    source: Path = arguments.input
    if not source.is_file():
        raise StartupError(f"{source} is not a file")
    try:
        pipeline = _read(arguments.file)
    except InvalidPipeline as error:
        _print_problems(arguments.file, error.details)
        return 1
    output: Path = arguments.output
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartupError(f"{output} cannot be made: {error.strerror}") from error
    bar = _Bar()
    # Beside the output, so that finished files are moved and not copied.
    with _work_folder(output) as work:
        trio.run(
            _run, pipeline, source.resolve(), work, output, settings.tools, bar,
            strict_exception_groups=True,
        )  # fmt: skip
    return 0


@contextmanager
def _work_folder(output: Path) -> Iterator[Path]:
    """A folder of our own in `output`, where those of killed runs are removed."""
    try:
        sweep_folders(output, _WORK_PREFIX)
        work = output.absolute() / random_name(_WORK_PREFIX)
        lock = make_held_folder(work)
    except OSError as error:
        raise StartupError(f"{output} cannot be written to: {error.strerror}") from error
    try:
        yield work
    finally:
        remove_tree(work)
        os.close(lock)


async def _run(
    pipeline: Pipeline, source: Path, work: Path, output: Path, tools: ToolSettings, bar: _Bar
) -> None:
    limits = limits_from(tools)
    async with (
        open_toolbox(tools, slots=STEPS_AT_ONCE) as toolbox,
        open_workspace(work, "run") as workspace,
    ):
        try:
            result = await run_pipeline(pipeline, source, workspace, toolbox, limits, bar.show)
        finally:
            bar.end()
        await trio.to_thread.run_sync(_publish, result, output)


def _publish(result: EngineResult, output: Path) -> None:
    for file in result.files:
        target = output / file.output_name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file.path, target)
        print(f"{target}  {file.size:,} bytes")


class _Bar:
    """A line that is drawn over itself on a terminal, and nothing elsewhere."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._drawn = False

    def show(self, progress: EngineProgress) -> None:
        if not self._is_terminal:
            return
        done = int(progress.percent / 100 * BAR)
        eta = f"  {progress.eta_seconds:.0f} s left" if progress.eta_seconds else ""
        bar = "█" * done + "░" * (BAR - done)
        print(f"\r\x1b[K{bar} {progress.percent:5.1f} %{eta}", end="", file=sys.stderr, flush=True)
        self._drawn = True

    def end(self) -> None:
        if self._drawn:
            print(file=sys.stderr)
