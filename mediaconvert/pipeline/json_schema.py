"""The language as a JSON Schema (draft 7, which editors know best), made from the same types
that the parser checks with.

Pure. Published at `/api/pipelines/schema` and in `config/pipeline.schema.json`. It cannot say
everything that `parse` refuses (a codec that does not fit the output's name); it never refuses
what `parse` takes, save numbers in quotes and words in capitals.
"""

from __future__ import annotations

from mediaconvert.operations import OPERATIONS, OperationParams
from mediaconvert.pipeline.parse import MAX_DESCRIPTION, MAX_NAME, MAX_STEPS
from mediaconvert.pipeline.references import MAX_OUTPUT_BYTES

_INPUT = r"^(\$\{input\}|\$\{steps\.[A-Za-z0-9_-]{1,64}\.output\}|\$\{output\}/.+)$"
# No empty part, none that begins with a dot-dot or a dash, no backslash.
_OUTPUT = r"^\$\{output\}/(?!.*(//|\\|/$))(?!\.\.?(/|$))(?!.*/\.\.?(/|$))(?!-)(?!.*/-).+$"


def json_schema() -> dict[str, object]:
    """The schema as JSON-ready values."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "MediaConvert pipeline",
        "description": "Steps that turn one uploaded file into others.",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "steps"],
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": MAX_NAME,
                "description": "What the pipeline calls itself.",
            },
            "description": {
                "type": ["string", "null"],
                "maxLength": MAX_DESCRIPTION,
                "description": "For people.",
            },
            "steps": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_STEPS,
                "description": "Steps without a reference between them run side by side.",
                "items": {"$ref": "#/definitions/step"},
            },
        },
        "definitions": {
            "step": _step(),
            **{f"{entry.operation}_params": _params(entry) for entry in OPERATIONS},
        },
    }


def _step() -> dict[str, object]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["operation", "input", "output"],
        "properties": {
            "id": {
                "type": "string",
                "pattern": "^[A-Za-z0-9_-]{1,64}$",
                "description": "Default: the operation's name and the position, 'transcode-1'.",
            },
            "operation": {
                "type": "string",
                "enum": [entry.operation for entry in OPERATIONS],
                "description": " ".join(f"{e.operation}: {e.summary}" for e in OPERATIONS),
            },
            "input": {
                "type": "string",
                "pattern": _INPUT,
                "description": "${input}, ${steps.<id>.output} or another step's ${output}/name.",
            },
            "output": {
                "type": "string",
                "pattern": _OUTPUT,
                "maxLength": MAX_OUTPUT_BYTES + len("${output}/"),
                "description": "A name below ${output}/; {n} counts several frames.",
            },
            "params": {"type": ["object", "null"], "description": "Of the operation."},
        },
        "allOf": [_params_of(entry) for entry in OPERATIONS],
    }


def _params_of(entry: type[OperationParams]) -> dict[str, object]:
    reference = {"$ref": f"#/definitions/{entry.operation}_params"}
    return {
        "if": {
            "properties": {"operation": {"const": entry.operation}},
            "required": ["operation"],
        },
        "then": {"properties": {"params": {"anyOf": [reference, {"type": "null"}]}}},
    }


def _params(entry: type[OperationParams]) -> dict[str, object]:
    schema = dict(entry.model_json_schema())
    schema["title"] = f"Parameters of {entry.operation}"
    schema["description"] = entry.summary
    return schema
