"""Runs one pipeline on one local file: probe, plan each step, run it, accept what it made.

Knows no server, catalog or store, so that `mediaconvert pipeline run` is the very same thing
as a job. Starts no process itself: commands go through `Tools`, unchanged as planned. Called
by the runner and the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from mediaconvert.errors import JobError, ToolCrashed
from mediaconvert.media import (
    Command,
    CommandResult,
    FfmpegCommand,
    ImagingCommand,
    Limits,
    MediaInfo,
    StepPlan,
)
from mediaconvert.media import Progress as CommandProgress
from mediaconvert.pipeline import Pipeline, Step
from mediaconvert.pipeline.planner import plan_step
from mediaconvert.ports.tools import Tools
from mediaconvert.workers.manifest import CommandRecord
from mediaconvert.workers.outputs import OutputFile, accept_output, check_length, refuse_unusable
from mediaconvert.workers.progress import EngineProgress, ProgressBoard
from mediaconvert.workers.workspace import Workspace

STEPS_AT_ONCE = 2
"""Of one job. Every slot may hold a job, and ffmpeg uses all cores by itself: two fill the
gaps of one another (decoding, start-up), more only take each other's cache and memory."""

# What running a command costs, in seconds of coded film.
FFMPEG_WITHOUT_LENGTH = 1.0
IMAGING_COST = 1.0
WRITE_COST = 0.1

NO_OUTPUT = frozenset(("output_missing", "output_empty"))
"""What `Tools.run` says when a tool ended well and left nothing."""


@dataclass(frozen=True, slots=True)
class EngineResult:
    files: tuple[OutputFile, ...]
    """In the order of the steps, still in the workspace."""
    steps: tuple[dict[str, object], ...]
    """Final states, JSON-ready."""
    probe: MediaInfo
    commands: tuple[CommandRecord, ...]


@dataclass(slots=True)
class _StepRun:
    """One step under way: dependents wait for `done` and read `files`."""

    step: Step
    done: trio.Event = field(default_factory=trio.Event)
    files: tuple[OutputFile, ...] = ()
    commands: tuple[CommandRecord, ...] = ()


async def run_pipeline(
    pipeline: Pipeline,
    source: Path,
    workspace: Workspace,
    tools: Tools,
    limits: Limits,
    on_progress: Callable[[EngineProgress], None],
) -> EngineResult:
    """Every step done and every output accepted, or the first failure.

    `on_progress` is called in this task's thread, up to some ten times a second, and once
    more with the final states before this returns or raises. Raises JobError (its kind says
    whether trying again makes sense). Cancelled or failed: every child is dead before this
    returns."""
    run = _PipelineRun(pipeline, source, workspace, tools, limits, on_progress)
    return await run.run()


class _PipelineRun:
    def __init__(
        self,
        pipeline: Pipeline,
        source: Path,
        workspace: Workspace,
        tools: Tools,
        limits: Limits,
        on_progress: Callable[[EngineProgress], None],
    ) -> None:
        self._source = source
        self._workspace = workspace
        self._tools = tools
        self._limits = limits
        self._on_progress = on_progress
        steps = sorted(pipeline.steps, key=lambda step: step.position)
        self._board = ProgressBoard([(step.id, step.operation) for step in steps])
        self._runs = {step.id: _StepRun(step) for step in steps}
        self._places = trio.CapacityLimiter(STEPS_AT_ONCE)
        self._failure: JobError | None = None

    async def run(self) -> EngineResult:
        probe = await self._probe_source()
        async with trio.open_nursery() as nursery:
            for step_run in self._runs.values():
                nursery.start_soon(self._run_step, step_run, probe, nursery.cancel_scope)
        if self._failure is not None:
            self._close()
            raise self._failure
        files = tuple(file for run in self._runs.values() for file in run.files)
        commands = tuple(record for run in self._runs.values() for record in run.commands)
        final = self._board.snapshot(trio.current_time())
        return EngineResult(files, final.steps, probe, commands)

    async def _probe_source(self) -> MediaInfo:
        self._report()
        try:
            return await self._tools.probe(self._source, self._limits)
        except JobError:
            self._close()
            raise

    async def _run_step(self, run: _StepRun, probe: MediaInfo, siblings: trio.CancelScope) -> None:
        try:
            source, info = self._source, probe
            if run.step.source is not None:
                before = self._runs[run.step.source]
                await before.done.wait()
                made = {file.output_name: file for file in before.files}
                file = made[run.step.source_output or before.step.output]
                source, info = file.path, file.info
            async with self._places:
                await self._work(run, source, info)
        except JobError as error:
            # The first failure is the job's; what it cancels beside it does not count. A
            # value, not an exception, so that the nursery does not wrap it.
            if self._failure is None:
                self._failure = error
                self._board.fail(run.step.id, error.message, trio.current_time())
            siblings.cancel()

    async def _work(self, run: _StepRun, source: Path, info: MediaInfo) -> None:
        step_id = run.step.id
        self._board.start(step_id, input_bytes=info.size_bytes, now=trio.current_time())
        self._report()
        plan = plan_step(run.step, info, threads=self._limits.threads)
        self._board.weigh(step_id, sum(cost(command) for command in plan.commands))
        out_dir = await self._workspace.step_folder(run.step.position)
        results = await self._run_commands(plan, source, info, out_dir)
        run.commands = tuple(
            CommandRecord(step_id, r.tool, r.argv, plan.reasons, r.wall_seconds) for r in results
        )
        accepted = [
            await accept_output(planned, out_dir, step_id, self._tools, self._limits)
            for planned in plan.files
        ]
        for command, result in zip(plan.commands, results, strict=True):
            if isinstance(command, FfmpegCommand):
                made = [file for file in accepted if file.path.name in command.output_names]
                check_length(command, result, made, self._limits)
        run.files = tuple(accepted)
        self._board.complete(
            step_id,
            output_bytes=sum(file.size for file in run.files),
            outputs=[file.output_name for file in run.files],
            now=trio.current_time(),
        )
        run.done.set()
        self._report()

    async def _run_commands(
        self, plan: StepPlan, source: Path, info: MediaInfo, out_dir: Path
    ) -> list[CommandResult]:
        results = []
        total = sum(cost(command) for command in plan.commands)
        before = 0.0
        for command in plan.commands:
            share = cost(command) / total
            try:
                result = await self._tools.run(
                    command,
                    source=source,
                    info=info,
                    out_dir=out_dir,
                    limits=self._limits,
                    on_progress=partial(self._advance, plan, before, share),
                )
            except ToolCrashed as error:
                if error.code in NO_OUTPUT:
                    # The tool calls it a success: trying again would only repeat it.
                    await refuse_unusable(plan.files, out_dir)
                raise
            results.append(result)
            before += share
            self._board.advance(plan.step_id, before, None)
        return results

    def _advance(
        self, plan: StepPlan, before: float, share: float, progress: CommandProgress
    ) -> None:
        # What a single command still needs is what the step needs.
        eta = progress.eta_seconds if len(plan.commands) == 1 else None
        self._board.advance(plan.step_id, before + share * progress.fraction, eta)
        self._report()

    def _close(self) -> None:
        self._board.skip_unfinished(trio.current_time())
        self._report()

    def _report(self) -> None:
        self._on_progress(self._board.snapshot(trio.current_time()))


def cost(command: Command) -> float:
    """What a command will take, for weighing steps against each other."""
    match command:
        case FfmpegCommand():
            return max(command.expected_seconds or 0.0, FFMPEG_WITHOUT_LENGTH)
        case ImagingCommand():
            return IMAGING_COST
        case _:
            return WRITE_COST
