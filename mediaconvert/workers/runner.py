"""Turns a claimed job into a finished one: fetch the source, run the engine, adopt, commit.

Never speaks HTTP, and touches the catalog only through `Queue` and `Housekeeping`. One of the
three fences: whatever an attempt does wrong ends that job, never the process. Called by the
pool, once a claim.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from mediaconvert.errors import BlobDamaged, InvalidPipeline, JobError, StorageFull, Unavailable
from mediaconvert.media import Limits
from mediaconvert.model import FailureKind, JobFailure, JobOutcome
from mediaconvert.pipeline import parse
from mediaconvert.ports.blobs import BlobStore
from mediaconvert.ports.catalog import Catalog
from mediaconvert.ports.notices import Notices
from mediaconvert.ports.tools import Tools
from mediaconvert.settings import Settings, ToolSettings
from mediaconvert.workers import manifest
from mediaconvert.workers.engine import run_pipeline
from mediaconvert.workers.faults import explained
from mediaconvert.workers.leases import HeldJob
from mediaconvert.workers.publish import Adopted, adopt_outputs
from mediaconvert.workers.reporter import Reporter
from mediaconvert.workers.settle import Ending, Settler
from mediaconvert.workers.store_watch import StoreWatch
from mediaconvert.workers.workspace import open_workspace

log = logging.getLogger("mediaconvert.workers.runner")

MAX_MESSAGE_LENGTH = 2000
MAX_LOG_LINES = 50


def work_folder(settings: Settings) -> Path:
    """Where the workspaces lie: beside the blobs, on the same file system."""
    return settings.server.data_dir / "work"


def limits_from(settings: ToolSettings) -> Limits:
    """What one child may use. CPU time is wall time on every core: it ends what spins."""
    return Limits(
        wall_seconds=settings.wall_seconds,
        cpu_seconds=max(1, int(settings.wall_seconds * (os.cpu_count() or 1))),
        memory_bytes=settings.memory_bytes,
        output_bytes=settings.output_bytes,
        stall_seconds=settings.stall_seconds,
        max_pixels=settings.max_pixels,
        max_pages=settings.max_pages,
    )


class Runner:
    def __init__(
        self,
        catalog: Catalog,
        blobs: BlobStore,
        notices: Notices,
        tools: Tools,
        settings: Settings,
    ) -> None:
        self._queue = catalog.queue
        self._notices = notices
        self._blobs = blobs
        self.store = StoreWatch(blobs)
        self._tools = tools
        self._work = work_folder(settings)
        self._limits = limits_from(settings.tools)
        self._settler = Settler(catalog, blobs, notices, settings.workers)

    async def run(
        self, held: HeldJob, first: Callable[[HeldJob], Awaitable[None]] | None = None
    ) -> Ending:
        """One attempt, to whichever end, after `first`, which may stop it. Raises nothing but
        Cancelled; cancelled, the job is put back in the queue, and every child is dead before
        this returns."""
        adopted = Adopted()
        verdict: JobOutcome | JobFailure | None = None
        try:
            with held.scope:
                if first is not None:
                    await first(held)
                verdict = await self._attempt(held, adopted)
            return await self._settler.settle(held, verdict, adopted)
        except Exception as error:  # the job's fence: a bug ends this job and nothing else
            return await self._settler.settle(held, _explain(held, error), adopted)
        except BaseException:
            # The process is being cancelled around us: the attempt is put back, not left open.
            await self._settler.settle(held, None, adopted)
            raise

    async def _attempt(self, held: HeldJob, adopted: Adopted) -> JobOutcome | JobFailure:
        reporter = Reporter(self._queue, self._notices, held)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reporter.run)
            # Errors that are meant for the user are values from here on: a nursery would
            # wrap them into groups.
            try:
                verdict: JobOutcome | JobFailure = await self._produce(held, adopted, reporter)
            except JobError as error:
                verdict = _failure(error.kind, error.code, error.message, error.log, reporter)
            except InvalidPipeline as error:
                # Saved by an older version that read it otherwise.
                verdict = _failure(FailureKind.INPUT, error.code, error.message, (), reporter)
            except BlobDamaged as error:
                verdict = _failure(*_source_failure(error), (), reporter)
            except (Unavailable, StorageFull) as error:
                self.store.doubt(error)
                verdict = _failure(FailureKind.INFRA, error.code, error.message, (), reporter)
            nursery.cancel_scope.cancel()
        return verdict

    async def _produce(self, held: HeldJob, adopted: Adopted, reporter: Reporter) -> JobOutcome:
        job = held.job
        pipeline = parse(job.pipeline_content, job.pipeline_format)
        async with open_workspace(self._work, f"{job.id}-{job.token[:12]}") as workspace:
            began = trio.current_time()
            await self._blobs.materialize(job.source.segments, workspace.input)
            fetched = trio.current_time()
            result = await run_pipeline(
                pipeline, workspace.input, workspace, self._tools, self._limits, reporter.update
            )
            timings = manifest.Timings(
                started_us=job.started_at_us,
                # By the catalog's clock, as the start: ours may be set to anything.
                ended_us=job.created_at_us + round(held.age_seconds() * 1e6),
                fetch_seconds=fetched - began,
                work_seconds=trio.current_time() - fetched,
            )
            text = manifest.render(
                job,
                result.probe,
                result.steps,
                result.commands,
                result.files,
                await self._tools.describe(),
                timings,
            )
            return await adopt_outputs(job, result, text, workspace, self.store, adopted)


def _source_failure(error: BlobDamaged) -> tuple[FailureKind, str, str]:
    """Kind, code and message. What is missing may be there again in a minute, when its file system
    has been mounted; damage stays."""
    remedy = "upload it again, or rerun the job when the operator has restored it"
    if error.is_missing:
        message = f"the job's source is missing from the blob store; {remedy}"
        return FailureKind.INFRA, "source_missing", message
    message = f"the job's source is damaged in the blob store; {remedy}"
    return FailureKind.INPUT, "source_damaged", message


def _failure(
    kind: FailureKind, code: str, message: str, lines: tuple[str, ...], reporter: Reporter
) -> JobFailure:
    steps = reporter.latest.steps if reporter.latest is not None else ()
    # One sentence on one line, whatever a tool put into it.
    sentence = " ".join(message.split())[:MAX_MESSAGE_LENGTH]
    return JobFailure(kind, code, sentence, lines[-MAX_LOG_LINES:], steps)


def _explain(held: HeldJob, error: Exception) -> JobFailure:
    known = explained(error)
    if known is not None:
        return JobFailure(known.kind, known.code, known.message, known.log[-MAX_LOG_LINES:])
    reference = secrets.token_hex(4)
    fields = {"job": held.job.id, "attempt": held.job.attempt, "reference": reference}
    log.error("a job failed by a bug", exc_info=error, extra={"fields": fields})
    return JobFailure(
        # Not retried: what a bug did once it does again.
        FailureKind.INPUT,
        "internal_error",
        "the job failed because of a fault in this service, not of your file; "
        f"its operator finds the cause in the log under {reference}",
    )
