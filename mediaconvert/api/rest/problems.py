"""What each refusal means on the REST side: the one table from errors to HTTP statuses.

A test proves that every `Refusal` stands here. Builds the JSON body of every error answer and
the headers that belong to it; never decides whether something is refused. Called by `app.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mediaconvert import errors
from mediaconvert.api.rest.models import Problem, ProblemDetail
from mediaconvert.errors import Refusal

STATUS: dict[type[Refusal], int] = {
    errors.InvalidRequest: 400,
    errors.UserExists: 409,
    errors.InvalidLogin: 401,
    errors.TooManyAttempts: 429,
    errors.RegistrationClosed: 403,
    errors.NotAuthenticated: 401,
    errors.CredentialNotFound: 404,
    errors.TooManyCredentials: 400,
    errors.InvalidBucketName: 400,
    errors.BucketTaken: 409,
    errors.BucketAlreadyOwned: 409,
    errors.BucketNotFound: 404,
    errors.BucketForbidden: 403,
    errors.BucketNotEmpty: 409,
    errors.TooManyBuckets: 400,
    errors.ObjectNotFound: 404,
    errors.InvalidKey: 400,
    errors.PreconditionFailed: 412,
    errors.ConditionalConflict: 409,
    errors.ChecksumMismatch: 400,
    errors.IncompleteBody: 400,
    errors.BodyTooLarge: 413,
    errors.UploadNotFound: 404,
    errors.InvalidPart: 400,
    errors.InvalidPartOrder: 400,
    errors.PartTooSmall: 400,
    errors.UnknownPipeline: 400,
    errors.PipelineNotFound: 404,
    errors.PipelineNameTaken: 409,
    errors.InvalidPipeline: 400,
    errors.JobNotFound: 404,
    errors.JobAlreadyEnded: 400,
    errors.SourceGone: 409,
    errors.BlobDamaged: 500,
    errors.Unavailable: 503,
    errors.Overloaded: 503,
    errors.StorageFull: 507,
    errors.DamagedRecord: 500,
    errors.CatalogDamaged: 503,
    errors.SlowClient: 408,
}

MAX_DETAILS = 100
"""More details than this say nothing new; the rest is counted, not listed."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error ready to be written."""

    status: int
    problem: Problem
    headers: dict[str, str] = field(default_factory=dict)


def status_of(refusal: type[Refusal]) -> int:
    """The HTTP status of a class of refusals; a subclass inherits its parent's."""
    for ancestor in refusal.__mro__:
        if ancestor in STATUS:
            return STATUS[ancestor]
    raise KeyError(f"{refusal.__name__} has no row in problems.STATUS")


def answer_refusal(refusal: Refusal, request_id: str) -> ErrorAnswer:
    """Raises KeyError for a class without a row, which ends as an internal error."""
    details = [
        ProblemDetail(path=d.path, line=d.line, message=d.message)
        for d in refusal.details[:MAX_DETAILS]
    ]
    more = len(refusal.details) - len(details)
    if more > 0:
        details.append(ProblemDetail(path="", message=f"and {more} more"))
    problem = Problem(
        error=refusal.message, code=refusal.code, request_id=request_id, details=details or None
    )
    return ErrorAnswer(status_of(type(refusal)), problem, _headers(refusal))


def answer_http(
    status: int, method: str, path: str, request_id: str, allowed: tuple[str, ...] = ()
) -> ErrorAnswer:
    """Errors that concern HTTP itself, before any handler: no such path, wrong method."""
    shown = path if len(path) <= 200 else path[:200] + "…"
    headers: dict[str, str] = {}
    if status == 404:
        code = "not_found"
        sentence = f"nothing is at '{shown}'; GET /openapi.json lists every call"
    elif status == 405:
        code = "method_not_allowed"
        headers["Allow"] = ", ".join(sorted(allowed))
        sentence = f"'{shown}' does not take {method[:20]}; it takes {headers['Allow']}"
    elif status == 408:
        code, sentence = "request_timeout", "the body did not arrive in time; send it again"
    elif status == 413:
        code, sentence = "body_too_large", "the body is larger than 1 MiB, the limit of this call"
    else:
        code, sentence = "bad_request", "the request is malformed; see GET /openapi.json"
    problem = Problem(error=sentence, code=code, request_id=request_id)
    return ErrorAnswer(status, problem, headers)


def answer_internal(request_id: str) -> ErrorAnswer:
    """A bug of ours: says nothing but the id under which the log has the rest."""
    sentence = f"an internal error; the log has it under request id {request_id}"
    problem = Problem(error=sentence, code="internal_error", request_id=request_id)
    return ErrorAnswer(500, problem)


def _headers(refusal: Refusal) -> dict[str, str]:
    if isinstance(refusal, errors.TooManyAttempts | errors.Unavailable):
        return {"Retry-After": str(refusal.retry_after_seconds)}
    if isinstance(refusal, errors.NotAuthenticated | errors.InvalidLogin):
        # RFC 9110 §15.5.2: a 401 names a scheme that would be accepted.
        return {"WWW-Authenticate": "Bearer"}
    return {}
