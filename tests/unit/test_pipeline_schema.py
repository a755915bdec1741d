"""The published JSON Schema: current, valid itself, and no stricter than the parser."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from mediaconvert.operations import OPERATIONS
from mediaconvert.pipeline import json_schema
from tests.unit.pipeline_texts import pipeline_text, problems_of, step
from tests.unit.test_pipeline_parse import EXAMPLES, SEED_YAML

PUBLISHED = Path(__file__).parents[2] / "config" / "pipeline.schema.json"

VALIDATOR = jsonschema.Draft7Validator(json_schema())


def test_published_schema_is_current() -> None:
    expected = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    assert PUBLISHED.read_text() == expected, (
        "config/pipeline.schema.json is out of date: "
        "write json.dumps(json_schema(), indent=2, ensure_ascii=False) and a line break into it"
    )


def test_schema_is_a_valid_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize("text", [SEED_YAML, *(path.read_text() for path in EXAMPLES)])
def test_schema_takes_every_example(text: str) -> None:
    VALIDATOR.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        step(params="{codec: HEVC, audio_bitrate: 128, fps: 29.97, max_bitrate: 2.5M}"),
        step("generate_thumbnail", "${output}/a.jpg", params="{timestamp: '50%', gravity: Top}"),
        step("extract_text", "${output}/a.txt", params="{pages: [1, '3-4'], encoding: UTF-8}"),
        step("extract_frame", "${output}/a/{n}.png", params="{timestamps: [1, '0:02', '3%']}"),
        step("resize", "${output}/x.y/a.jpg", params="{width: 5, background: '#FFF'}"),
    ],
)
def test_schema_takes_what_the_parser_takes(text: str) -> None:
    whole = pipeline_text(text)
    assert problems_of(whole) == []
    VALIDATOR.validate(yaml.safe_load(whole))


@pytest.mark.parametrize(
    "text",
    [
        step("transcod"),
        step(output="/a.mp4"),
        step(output="${output}/../a.mp4"),
        step(output="${output}/a/-b.mp4"),
        step(source="/etc/passwd"),
        step(params="{quality: 99}"),
        step(params="{widht: 1}"),
        step(params="{codec: h246}"),
        step(extra="when: 'true'"),
    ],
)
def test_schema_refuses_slips_of_the_pen(text: str) -> None:
    whole = pipeline_text(text)
    assert problems_of(whole)
    assert not VALIDATOR.is_valid(yaml.safe_load(whole))


def test_every_parameter_is_described() -> None:
    for operation in OPERATIONS:
        for name, field in operation.model_fields.items():
            assert field.description, f"{operation.operation}.{name}"
