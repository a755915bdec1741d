"""Valid texts: what they become."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaconvert.operations import BY_NAME
from mediaconvert.operations.generate_thumbnail import GenerateThumbnailParams
from mediaconvert.operations.timestamps import Moment
from mediaconvert.pipeline import parse
from tests.unit.pipeline_texts import parse_steps, step

EXAMPLES = sorted((Path(__file__).parents[2] / "pipelines").iterdir())

SEED_YAML = """\
name: "video-process-complete"
description: "Complete video processing: compress + thumbnail"
steps:
  - operation: "transcode"
    input: "${input}"
    output: "${output}/video.mp4"
    params:
      codec: "h264"
      quality: 23
      audio_codec: "aac"

  - operation: "generate_thumbnail"
    input: "${input}"
    output: "${output}/thumb.jpg"
    params:
      type: "video"
      timestamp: "00:00:01"
      width: 320
      height: 240
"""

SEED_UNQUOTED = (
    "name: video-compress\nsteps:\n  - operation: transcode\n    input: ${input}\n"
    "    output: ${output}/output.mp4\n    params:\n      codec: h264\n      quality: 23"
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_can_be_saved(path: Path) -> None:
    pipeline = parse(path.read_text(), path.suffix.removeprefix("."))
    assert pipeline.name == path.stem


def test_every_operation_has_an_example() -> None:
    used = {
        one.operation
        for path in EXAMPLES
        for one in parse(path.read_text(), path.suffix.removeprefix(".")).steps
    }
    assert used == set(BY_NAME)


def test_texts_of_the_original_form_parse_unchanged() -> None:
    pipeline = parse(SEED_YAML, "yaml")
    assert [one.output for one in pipeline.steps] == ["video.mp4", "thumb.jpg"]
    assert parse(SEED_UNQUOTED, "yaml").steps[0].output == "output.mp4"


def test_json_form_means_the_same_as_yaml_and_key_order_is_free() -> None:
    text = (
        '{"steps": [{"params": {"quality": 23, "codec": "h264"}, "output": "${output}/output.mp4",'
        ' "input": "${input}", "operation": "transcode"}], "name": "video-compress"}'
    )
    assert parse(text, "json") == parse(SEED_UNQUOTED, "yaml")


def test_step_ids_default_to_operation_and_position() -> None:
    pipeline = parse(SEED_YAML, "yaml")
    assert [one.id for one in pipeline.steps] == ["transcode-1", "generate_thumbnail-2"]


@pytest.mark.parametrize(
    "written", ["00:00:01", '"00:00:01"', "1", "1.0", '"1s"', '"1000ms"', '"00:01"']
)
def test_timestamps_are_taken_as_written(written: str) -> None:
    pipeline = parse_steps(
        step("generate_thumbnail", "${output}/a.jpg", params=f"{{timestamp: {written}}}")
    )
    params = pipeline.steps[0].params
    assert isinstance(params, GenerateThumbnailParams)
    assert params.timestamp == Moment(seconds=1.0)


def test_params_may_be_missing_or_empty() -> None:
    text = "name: x\nsteps:\n- operation: probe\n  input: ${input}\n  output: ${output}/a.json\n"
    assert parse(text, "yaml") == parse(text + "  params:\n", "yaml")


def test_byte_order_mark_and_windows_line_ends_are_read() -> None:
    text = "\ufeff" + SEED_YAML.replace("\n", "\r\n")
    assert parse(text, "yaml") == parse(SEED_YAML, "yaml")


def test_references_by_id_and_by_output_name_mean_the_same_step() -> None:
    first = step(extra="id: film")
    by_id = step("probe", "${output}/a.json", "${steps.film.output}")
    by_name = step("probe", "${output}/b.json", "${output}/a.mp4")
    pipeline = parse_steps(first, by_id, by_name)
    sources = [(one.source, one.source_output) for one in pipeline.steps]
    assert sources == [(None, None), ("film", "a.mp4"), ("film", "a.mp4")]


def test_step_may_read_one_that_stands_later_and_runs_after_it() -> None:
    pipeline = parse_steps(
        step("probe", "${output}/a.json", "${steps.film.output}"),
        step(extra="id: film"),
        step("probe", "${output}/b.json"),
    )
    assert [(one.id, one.position) for one in pipeline.steps] == [
        ("film", 1),
        ("probe-1", 0),
        ("probe-3", 2),
    ]


def test_waves_hold_the_steps_that_can_run_side_by_side() -> None:
    pipeline = parse_steps(
        step(extra="id: film"),
        step("generate_thumbnail", "${output}/a.jpg", "${steps.film.output}", extra="id: poster"),
        step("resize", "${output}/b.jpg", "${steps.poster.output}", "{width: 100}", "id: small"),
        step("probe", "${output}/a.json", extra="id: report"),
    )
    waves = [[one.id for one in wave] for wave in pipeline.waves()]
    assert waves == [["film", "report"], ["poster"], ["small"]]
    assert [one.id for one in pipeline.dependents("film")] == ["poster"]
    assert pipeline.step("small").source == "poster"


def test_several_frames_are_several_outputs_that_can_be_read_one_by_one() -> None:
    pipeline = parse_steps(
        step("extract_frame", "${output}/f/{n}.jpg", params="{count: 3}"),
        step("resize", "${output}/small.jpg", "${output}/f/2.jpg", "{width: 100}"),
    )
    assert pipeline.steps[0].output_names == ("f/1.jpg", "f/2.jpg", "f/3.jpg")
    assert pipeline.steps[1].source_output == "f/2.jpg"
