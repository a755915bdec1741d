"""The JSON of jobs and of the reports about them, as types. See `models.py` for the rest.

The shapes are fixed; fields are only ever added. Holds no logic but the conversions from the
domain's values.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, RootModel

from mediaconvert import model
from mediaconvert.api.rest.models import JsonObject, Timestamp, rfc3339


class JobFile(BaseModel):
    id: int
    original_name: str = Field(description="The key's last segment.")
    s3_key: str
    bucket: str
    size: int
    content_type: str


class JobPipeline(BaseModel):
    id: int
    name: str
    format: str


class JobPipelineText(JobPipeline):
    content: str


class ResultInfo(BaseModel, extra="allow"):
    output_files: list[str] = Field(default=[], description="Keys in the same bucket.")


class Job(BaseModel):
    id: int
    file_id: int
    file: JobFile
    pipeline_id: int
    pipeline: JobPipeline
    status: model.JobStatus
    progress: float = Field(description="Percent, 0 to 100.")
    eta_seconds: float | None
    steps: list[JsonObject]
    result_info: ResultInfo
    error: str | None
    error_code: str | None
    attempt: int
    rerun_of: int | None
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None

    @classmethod
    def of(cls, job: model.Job) -> Self:
        return cls.model_validate(_job_fields(job))


class JobDetail(Job):
    """A job with the text of the pipeline version that it runs."""

    pipeline: JobPipelineText


def _job_fields(job: model.Job) -> dict[str, object]:
    return {
        "id": job.id,
        "file_id": job.source_id,
        "file": {
            "id": job.source_id,
            "original_name": job.source_key.rstrip("/").rpartition("/")[2],
            "s3_key": job.source_key,
            "bucket": job.bucket_name,
            "size": job.source_size,
            "content_type": job.source_content_type,
        },
        "pipeline_id": job.pipeline_id,
        "pipeline": {
            "id": job.pipeline_id,
            "name": job.pipeline_name,
            "format": job.pipeline_format,
            "content": job.pipeline_content,
        },
        "status": job.status,
        "progress": job.progress,
        "eta_seconds": job.eta_seconds,
        "steps": [dict(step) for step in job.steps],
        "result_info": dict(job.result),
        "error": job.error,
        "error_code": job.error_code,
        "attempt": job.attempt,
        "rerun_of": job.rerun_of,
        "created_at": rfc3339(job.created_at_us),
        "started_at": _or_none(job.started_at_us),
        "finished_at": _or_none(job.finished_at_us),
    }


class Pagination(BaseModel):
    page: int
    limit: int
    total: int


class JobList(BaseModel):
    jobs: list[Job]
    pagination: Pagination


class JobCanceled(BaseModel):
    message: str
    job_id: int


class JobRerun(BaseModel):
    message: str
    original_job: int
    new_job: JobDetail


class Transition(BaseModel):
    from_status: model.JobStatus | None
    to_status: model.JobStatus
    message: str
    triggered_by: model.TriggeredBy
    created_at: Timestamp


class JobHistory(BaseModel):
    history: list[Transition]


class JobStats(BaseModel):
    total_jobs: int
    completed_jobs: int
    failed_jobs: int
    pending_jobs: int
    processing_jobs: int
    success_rate: float
    avg_processing_time_ms: float
    total_data_processed_bytes: int


class JobPercentiles(BaseModel):
    """Milliseconds from the claim to the end, of completed jobs; 0 where there is none."""

    completed_jobs: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float


class TimelinePoint(BaseModel):
    time: Timestamp
    job_count: int
    avg_processing_time_ms: float
    success_rate: float


class Timeline(RootModel[list[TimelinePoint]]):
    """Oldest first; hours or days without jobs are left out."""


class PipelineStats(BaseModel):
    pipeline_id: int
    pipeline_name: str
    total_jobs: int
    successful_jobs: int
    failed_jobs: int
    success_rate: float
    avg_processing_time_ms: float


class PipelineReport(RootModel[list[PipelineStats]]):
    """Pipelines that had jobs in the window, most jobs first."""


class OperationStats(BaseModel):
    operation: str
    runs: int
    successes: int
    failures: int
    success_rate: float
    avg_duration_ms: float
    p95_duration_ms: float
    input_bytes: int
    output_bytes: int


class OperationReport(RootModel[list[OperationStats]]):
    """Operations that ran in the window, most runs first; durations and bytes are those of
    successful runs."""


def _or_none(us: int | None) -> str | None:
    return None if us is None else rfc3339(us)
