"""Jobs: list, look, wait, cancel, rerun, history.

Called through its routes only; everything is `mediaconvert.jobs.JobService`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mediaconvert.api.places import Places
from mediaconvert.api.rest import job_models as models
from mediaconvert.api.rest.models import rfc3339
from mediaconvert.api.rest.requests import QueryInt, RequestBody, RequestQuery
from mediaconvert.api.rest.routes import AnyRoute, Call, Route
from mediaconvert.errors import (
    JobAlreadyEnded,
    JobNotFound,
    PipelineNotFound,
    SourceGone,
    suggestion,
)
from mediaconvert.jobs import JobService, Until
from mediaconvert.model import JobId, JobStatus

MAX_PAGE = 1_000_000_000
"""100 rows each: the offset stays far below 2^63."""
MAX_WAIT_SECONDS = 60
WAITING = 200
"""Requests that wait for a job at once, each with its connection: a fifth of all."""
WAITING_OF_ONE_USER = 50


def _known_status(value: object) -> object:
    known = [status.value for status in JobStatus]
    if isinstance(value, str) and value not in known:
        hint = suggestion(value, known)
        raise ValueError(f"must be one of {', '.join(known)}{hint}")
    return value


def _known_until(value: object) -> object:
    known = [until.value for until in Until]
    if isinstance(value, str) and value not in known:
        raise ValueError(f"must be one of {', '.join(known)}{suggestion(value, known)}")
    return value


class JobsQuery(RequestQuery):
    status: Annotated[JobStatus, BeforeValidator(_known_status)] | None = None
    page: Annotated[QueryInt, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[QueryInt, Field(ge=1, le=100)] = 20


class JobQuery(RequestQuery):
    wait: Annotated[QueryInt, Field(ge=0, le=MAX_WAIT_SECONDS)] = Field(
        default=0,
        description="Seconds to wait for what `until` says; the answer comes then at the latest.",
    )
    until: Annotated[Until, BeforeValidator(_known_until)] = Field(
        default=Until.CHANGED,
        description="`changed` waits for another status or progress than now, `ended` for the "
        "job's end. A job that has ended is answered at once.",
    )


class RerunRequest(RequestBody):
    pipeline: Literal["latest"] | None = Field(
        default=None,
        description="`latest` runs the pipeline's newest text, else the one that the job ran.",
    )


@dataclass(frozen=True, slots=True)
class JobCalls:
    jobs: JobService
    waiting: Places = field(
        default_factory=lambda: Places(
            WAITING, of_one_user=WAITING_OF_ONE_USER, what="requests wait for jobs"
        )
    )

    async def list(self, call: Call[JobsQuery, None]) -> models.JobList:
        query = call.query
        page = await self.jobs.list(call.user_id, query.status, page=query.page, limit=query.limit)
        return models.JobList(
            jobs=[models.Job.of(job) for job in page.jobs],
            pagination=models.Pagination(page=query.page, limit=query.limit, total=page.total),
        )

    async def get(self, call: Call[JobQuery, None]) -> models.JobDetail:
        user_id, job_id = call.user_id, JobId(call.id)
        if not call.query.wait:
            return models.JobDetail.of(await self.jobs.get(user_id, job_id))
        with self.waiting.taken_by(user_id):
            job = await self.jobs.wait(
                user_id, job_id, seconds=call.query.wait, until=call.query.until
            )
        return models.JobDetail.of(job)

    async def history(self, call: Call[None, None]) -> models.JobHistory:
        transitions = await self.jobs.history(call.user_id, JobId(call.id))
        return models.JobHistory(
            history=[
                models.Transition(
                    from_status=t.from_status,
                    to_status=t.to_status,
                    message=t.message,
                    triggered_by=t.triggered_by,
                    created_at=rfc3339(t.created_at_us),
                )
                for t in transitions
            ]
        )

    async def cancel(self, call: Call[None, None]) -> models.JobCanceled:
        await self.jobs.cancel(call.user_id, JobId(call.id))
        return models.JobCanceled(message="Job cancelled successfully", job_id=call.id)

    async def rerun(self, call: Call[None, RerunRequest]) -> models.JobRerun:
        latest = call.body.pipeline == "latest"
        job = await self.jobs.rerun(call.user_id, JobId(call.id), latest=latest)
        return models.JobRerun(
            message="Job rerun created successfully",
            original_job=call.id,
            new_job=models.JobDetail.of(job),
        )

    def routes(self) -> tuple[AnyRoute, ...]:
        return (
            Route(
                method="GET",
                path="/api/jobs",
                summary="Jobs, newest first",
                handler=self.list,
                query=JobsQuery,
                answer=models.JobList,
            ),
            Route(
                method="GET",
                path="/api/jobs/{id}",
                summary="One job, with the text of its pipeline; at once, or when it moves on",
                handler=self.get,
                query=JobQuery,
                answer=models.JobDetail,
                missing=JobNotFound,
            ),
            Route(
                method="GET",
                path="/api/jobs/{id}/history",
                summary="Every change of a job's status, oldest first",
                handler=self.history,
                answer=models.JobHistory,
                missing=JobNotFound,
            ),
            *self._action_routes(),
        )

    def _action_routes(self) -> tuple[AnyRoute, ...]:
        return (
            Route(
                method="POST",
                path="/api/jobs/{id}/cancel",
                summary="Cancel a job; nothing that it made becomes visible",
                handler=self.cancel,
                answer=models.JobCanceled,
                missing=JobNotFound,
                refusals=(JobAlreadyEnded,),
            ),
            Route(
                method="POST",
                path="/api/jobs/{id}/rerun",
                summary="A new job on the same bytes with the same pipeline version",
                handler=self.rerun,
                body=RerunRequest,
                body_may_be_empty=True,
                answer=models.JobRerun,
                status=201,
                missing=JobNotFound,
                refusals=(SourceGone, PipelineNotFound),
            ),
        )
