"""The five reports, as REST calls. Called through its routes only; what a report says is
`mediaconvert.analytics.reports`'s.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import Field

from mediaconvert.analytics.reports import MAX_DAYS, Reports
from mediaconvert.api.rest import job_models as models
from mediaconvert.api.rest.models import rfc3339
from mediaconvert.api.rest.requests import QueryInt, RequestQuery
from mediaconvert.api.rest.routes import AnyRoute, Call, Route

Days = Annotated[QueryInt, Field(ge=1, le=MAX_DAYS)]


class WeekQuery(RequestQuery):
    days: Days = 7


class TimelineQuery(WeekQuery):
    interval: Literal["hour", "day"] = "hour"


class MonthQuery(RequestQuery):
    days: Days = 30


@dataclass(frozen=True, slots=True)
class AnalyticsCalls:
    reports: Reports

    async def job_stats(self, call: Call[WeekQuery, None]) -> models.JobStats:
        stats = await self.reports.job_stats(call.user_id, call.query.days)
        return models.JobStats.model_validate(asdict(stats))

    async def percentiles(self, call: Call[WeekQuery, None]) -> models.JobPercentiles:
        found = await self.reports.job_percentiles(call.user_id, call.query.days)
        return models.JobPercentiles.model_validate(asdict(found))

    async def timeline(self, call: Call[TimelineQuery, None]) -> models.Timeline:
        points = await self.reports.timeline(call.user_id, call.query.days, call.query.interval)
        return models.Timeline(
            [
                models.TimelinePoint(
                    time=rfc3339(point.time_us),
                    job_count=point.job_count,
                    avg_processing_time_ms=point.avg_processing_time_ms,
                    success_rate=point.success_rate,
                )
                for point in points
            ]
        )

    async def pipeline_stats(self, call: Call[MonthQuery, None]) -> models.PipelineReport:
        rows = await self.reports.pipeline_stats(call.user_id, call.query.days)
        return models.PipelineReport([models.PipelineStats.model_validate(asdict(r)) for r in rows])

    async def operation_stats(self, call: Call[MonthQuery, None]) -> models.OperationReport:
        rows = await self.reports.operation_stats(call.user_id, call.query.days)
        return models.OperationReport(
            [models.OperationStats.model_validate(asdict(r)) for r in rows]
        )

    def routes(self) -> tuple[AnyRoute, ...]:
        return (
            Route(
                method="GET",
                path="/api/analytics/jobs/stats",
                summary="Jobs made in the last days, in numbers",
                handler=self.job_stats,
                query=WeekQuery,
                answer=models.JobStats,
            ),
            Route(
                method="GET",
                path="/api/analytics/jobs/percentiles",
                summary="How long completed jobs took, by percentiles",
                handler=self.percentiles,
                query=WeekQuery,
                answer=models.JobPercentiles,
            ),
            Route(
                method="GET",
                path="/api/analytics/jobs/timeline",
                summary="The same by hour or day, UTC",
                handler=self.timeline,
                query=TimelineQuery,
                answer=models.Timeline,
            ),
            Route(
                method="GET",
                path="/api/analytics/pipelines/stats",
                summary="The same by pipeline, those with jobs only",
                handler=self.pipeline_stats,
                query=MonthQuery,
                answer=models.PipelineReport,
            ),
            Route(
                method="GET",
                path="/api/analytics/operations/stats",
                summary="Steps of jobs that ended in the last days, by operation",
                handler=self.operation_stats,
                query=MonthQuery,
                answer=models.OperationReport,
            ),
        )
