"""The verb PutObject: headers checked first, then the body on its way through `intake`."""

from __future__ import annotations

from mediaconvert.api.s3.headers import checksum_headers, parse_object_headers
from mediaconvert.api.s3.payload import Payload
from mediaconvert.api.s3.request import S3Request, Services
from mediaconvert.api.s3.responses import Response
from mediaconvert.api.s3.write_conditions import write_conditions
from mediaconvert.model import Committed

JOB_HEADER = "x-mediaconvert-job-id"


async def put_object(services: Services, request: S3Request) -> Response:
    """S3 API: PutObject. A `Pipeline` among the user metadata starts a job."""
    headers = parse_object_headers(request.headers)
    conditions = write_conditions(request.headers)
    body = Payload(request, limit=services.settings.s3.max_put_bytes)
    async with services.upload_slot(request.identity.user_id):
        committed = await services.intake.put_object(
            request.ref, request.key, headers, body, conditions
        )
    return Response(200, committed_headers(committed))


def committed_headers(committed: Committed) -> dict[str, str]:
    """ETag, checksum, and the job that the upload started."""
    stored = committed.object
    headers = {"etag": f'"{stored.etag}"', **checksum_headers(stored)}
    return headers | job_header(committed)


def job_header(committed: Committed) -> dict[str, str]:
    return {} if committed.job_id is None else {JOB_HEADER: str(committed.job_id)}
