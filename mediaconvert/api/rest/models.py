"""The JSON that the REST side answers with, as types: the wire contract in one place.

`openapi.py` describes these to the world. The shapes are fixed; fields are only ever added.
Holds no logic but the conversions from the domain's values.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, RootModel, WithJsonSchema

from mediaconvert import model

Timestamp = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339 in UTC, with microseconds."""
JsonObject = dict[str, object]
DependencyStatus = Literal["ok", "degraded", "unavailable"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(us: int) -> str:
    """Microseconds since 1970 as `2025-01-31T10:22:01.000000Z`."""
    moment = _EPOCH + timedelta(microseconds=us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Sparse(BaseModel):
    """A model whose fields are left out of the JSON where they are None."""


# --- errors --------------------------------------------------------------------------------


class ProblemDetail(Sparse):
    path: str = Field(description="Where: `steps[1].params.codec`.")
    message: str
    line: int | None = Field(default=None, description="1-based line of the text, if any.")


class Problem(Sparse):
    """Every error answer."""

    error: str = Field(description="One sentence: what was wrong and what would be right.")
    code: str = Field(description="Stable, snake_case.")
    request_id: str
    details: list[ProblemDetail] | None = None


class Message(BaseModel):
    message: str


# --- users ---------------------------------------------------------------------------------


class User(BaseModel):
    id: int
    email: str


class Session(BaseModel):
    token: str = Field(description="JWT for `Authorization: Bearer`.")
    user: User


class Me(BaseModel):
    user_id: int
    email: str
    created_at: Timestamp


# --- S3 credentials ------------------------------------------------------------------------


class Credential(BaseModel):
    id: int
    access_key: str
    bucket_name: str
    is_active: bool
    created_at: Timestamp

    @classmethod
    def of(cls, credential: model.Credential) -> Self:
        return cls(
            id=credential.id,
            access_key=credential.access_key,
            bucket_name=credential.bucket_name,
            is_active=credential.is_active,
            created_at=rfc3339(credential.created_at_us),
        )


class NewCredential(Credential):
    secret_key: str = Field(description="Shown this once.")


class CredentialList(BaseModel):
    credentials: list[Credential]


class AvailableName(BaseModel):
    available: Literal[True] = True
    name: str


class UnavailableName(BaseModel):
    available: Literal[False] = False
    reason: str


class NameAvailability(RootModel[AvailableName | UnavailableName]):
    """Whether a bucket of the name could be made now."""


# --- pipelines -----------------------------------------------------------------------------


class Pipeline(BaseModel):
    id: int
    name: str
    format: str
    content: str = Field(description="The text as it was saved, byte for byte.")
    version: int = Field(description="Counts the saved texts, from 1.")
    created_at: Timestamp
    updated_at: Timestamp

    @classmethod
    def of(cls, pipeline: model.StoredPipeline, **more: object) -> Self:
        fields: dict[str, object] = {
            "id": pipeline.id,
            "name": pipeline.name,
            "format": pipeline.format,
            "content": pipeline.content,
            "version": pipeline.version,
            "created_at": rfc3339(pipeline.created_at_us),
            "updated_at": rfc3339(pipeline.updated_at_us),
        }
        return cls.model_validate(fields | more)


class SavedPipeline(Pipeline):
    warnings: list[str]


class PipelineList(BaseModel):
    pipelines: list[Pipeline]


class PipelineVerdict(BaseModel):
    """What saving the text would say."""

    valid: bool
    name: str | None = Field(description="The name inside the text, if it has one.")
    details: list[ProblemDetail]


class JsonSchema(RootModel[JsonObject]):
    """A JSON Schema, draft 7."""


# --- the service itself --------------------------------------------------------------------


class Health(BaseModel):
    status: Literal["ok"] = "ok"
    version: str
    source: str = Field(description="Where this program's source is (AGPL section 13).")


class ToolRow(Sparse):
    name: str
    version: str
    status: Literal["ok", "unavailable"]
    detail: str | None = None


class DependencyRow(Sparse):
    name: str
    status: DependencyStatus = Field(
        description="degraded: the service works without it, slower or with less protection."
    )
    latency_ms: float
    version: str | None = None
    detail: str | None = None
    tools: list[ToolRow] | None = None


class Ready(Sparse):
    status: Literal["ready", "unavailable", "draining"]
    checks: list[DependencyRow]
