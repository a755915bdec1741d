"""Pipelines: save, list, read, replace, delete, and check without saving.

The text is kept byte for byte; what is wrong with it is said all at once. Called through its
routes only; parsing itself is `mediaconvert.pipeline`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import trio
from pydantic import AfterValidator, Field

from mediaconvert import pipeline
from mediaconvert.api.rest import models
from mediaconvert.api.rest.requests import RequestBody
from mediaconvert.api.rest.routes import AnyRoute, Call, Route
from mediaconvert.errors import InvalidPipeline, PipelineNameTaken, PipelineNotFound
from mediaconvert.model import PipelineId, StoredPipeline
from mediaconvert.ports.catalog import Pipelines

MAX_NAME_CHARS = 100


def _check_name(name: str) -> str:
    """Uploads name a pipeline in an HTTP header (`x-amz-meta-pipeline`), which carries
    printable ASCII and loses blanks at both ends: what would not survive it is refused."""
    if not 1 <= len(name) <= MAX_NAME_CHARS:
        raise ValueError(f"must have 1 to {MAX_NAME_CHARS} characters")
    if not re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", name):
        raise ValueError(
            "must be printable ASCII without a blank at either end, since uploads name it in a "
            "header"
        )
    return name


PipelineName = Annotated[
    str,
    AfterValidator(_check_name),
    Field(
        json_schema_extra={
            "minLength": 1,
            "maxLength": MAX_NAME_CHARS,
            "pattern": "^[!-~]([ -~]*[!-~])?$",
        }
    ),
]


class PipelineText(RequestBody):
    format: Literal["yaml", "json"]
    content: str = Field(description="The pipeline's text, at most 64 KiB of UTF-8.")


class PipelineRequest(PipelineText):
    name: PipelineName


@dataclass(frozen=True, slots=True)
class PipelineCalls:
    pipelines: Pipelines

    async def create(self, call: Call[None, PipelineRequest]) -> models.SavedPipeline:
        body = call.body
        parsed = await _parse(body)
        saved = await self.pipelines.create(call.user_id, body.name, body.format, body.content)
        return _saved(saved, parsed.name)

    async def list(self, call: Call[None, None]) -> models.PipelineList:
        stored = await self.pipelines.list(call.user_id)
        return models.PipelineList(pipelines=[models.Pipeline.of(p) for p in stored])

    async def get(self, call: Call[None, None]) -> models.Pipeline:
        return models.Pipeline.of(await self.pipelines.get(call.user_id, PipelineId(call.id)))

    async def replace(self, call: Call[None, PipelineRequest]) -> models.SavedPipeline:
        body, pipeline_id = call.body, PipelineId(call.id)
        await self.pipelines.get(call.user_id, pipeline_id)  # a 404 before what the text says
        parsed = await _parse(body)
        saved = await self.pipelines.replace(
            call.user_id, pipeline_id, body.name, body.format, body.content
        )
        return _saved(saved, parsed.name)

    async def delete(self, call: Call[None, None]) -> models.Message:
        await self.pipelines.delete(call.user_id, PipelineId(call.id))
        return models.Message(message="Pipeline deleted successfully")

    async def check(self, call: Call[None, PipelineText]) -> models.PipelineVerdict:
        try:
            parsed = await _parse(call.body)
        except InvalidPipeline as error:
            details = [
                models.ProblemDetail(path=d.path, line=d.line, message=d.message)
                for d in error.details
            ]
            return models.PipelineVerdict(valid=False, name=None, details=details)
        return models.PipelineVerdict(valid=True, name=parsed.name, details=[])

    async def schema(self, call: Call[None, None]) -> models.JsonSchema:
        return models.JsonSchema(dict(pipeline.json_schema()))

    def routes(self) -> tuple[AnyRoute, ...]:
        return (
            Route(
                method="POST",
                path="/api/pipelines",
                summary="Save a pipeline",
                handler=self.create,
                body=PipelineRequest,
                answer=models.SavedPipeline,
                status=201,
                refusals=(InvalidPipeline, PipelineNameTaken),
            ),
            Route(
                method="GET",
                path="/api/pipelines",
                summary="The saved pipelines, oldest first",
                handler=self.list,
                answer=models.PipelineList,
            ),
            Route(
                method="GET",
                path="/api/pipelines/schema",
                summary="The JSON Schema of pipeline texts, for editors",
                handler=self.schema,
                answer=models.JsonSchema,
                is_public=True,
            ),
            Route(
                method="POST",
                path="/api/pipelines/check",
                summary="Check a pipeline's text without saving it",
                handler=self.check,
                body=PipelineText,
                answer=models.PipelineVerdict,
            ),
            *self._one_routes(),
        )

    def _one_routes(self) -> tuple[AnyRoute, ...]:
        return (
            Route(
                method="GET",
                path="/api/pipelines/{id}",
                summary="One pipeline",
                handler=self.get,
                answer=models.Pipeline,
                missing=PipelineNotFound,
            ),
            Route(
                method="PUT",
                path="/api/pipelines/{id}",
                summary="Save a new version; jobs that exist keep theirs",
                handler=self.replace,
                body=PipelineRequest,
                answer=models.SavedPipeline,
                missing=PipelineNotFound,
                refusals=(InvalidPipeline, PipelineNameTaken),
            ),
            Route(
                method="DELETE",
                path="/api/pipelines/{id}",
                summary="Delete a pipeline; its jobs stay and can be rerun",
                handler=self.delete,
                answer=models.Message,
                missing=PipelineNotFound,
            ),
        )


async def _parse(text: PipelineText) -> pipeline.Pipeline:
    # A hostile text of 64 KiB may take the YAML parser a good while: not in the event loop.
    return await trio.to_thread.run_sync(pipeline.parse, text.content, text.format)


def _saved(stored: StoredPipeline, name_in_text: str | None) -> models.SavedPipeline:
    warnings = []
    if name_in_text and name_in_text != stored.name:
        warnings.append(
            f"the text's own name is '{name_in_text}'; uploads name this pipeline '{stored.name}'"
        )
    return models.SavedPipeline.of(stored, warnings=warnings)
