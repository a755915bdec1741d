"""Texts that are not valid: every problem at once, each with its path and line."""

from __future__ import annotations

import pytest

from mediaconvert.errors import InvalidPipeline
from mediaconvert.pipeline import parse
from tests.unit.pipeline_texts import pipeline_text, problems_of, step

# Paths, lines and words of one message each; the first step begins on line 3.
ONE_STEP = [
    (step("transcod"), "steps[0].operation", 3, "did you mean 'transcode'?"),
    (step(source="/etc/passwd"), "steps[0].input", 4, "must be '${input}'"),
    (step(source="http://example.com/a"), "steps[0].input", 4, "'http://example.com/a'"),
    (step(source="${steps.a.b}"), "steps[0].input", 4, "must be '${input}'"),
    (step(source="${steps.vido.output}"), "steps[0].input", 4, "step 'vido' does not exist"),
    (step(source="${output}/b.mp4"), "steps[0].input", 4, "no step writes 'b.mp4'"),
    (step(source="${output}/a.mp4"), "steps[0].input", 4, "cannot read its own output"),
    (step(output="/tmp/a.mp4"), "steps[0].output", 5, "must begin with '${output}/'"),
    (step(output="${output}"), "steps[0].output", 5, "must begin with '${output}/'"),
    (step(output="$output/a.mp4"), "steps[0].output", 5, "must begin with '${output}/'"),
    (step(output="${output}/../a.mp4"), "steps[0].output", 5, "may not hold '..'"),
    (step(output="${output}/./a.mp4"), "steps[0].output", 5, "may not hold '.'"),
    (step(output="${output}//a.mp4"), "steps[0].output", 5, "it must name a file"),
    (step(output="${output}/a/"), "steps[0].output", 5, "it must name a file"),
    (step(output="${output}/"), "steps[0].output", 5, "it must name a file"),
    (step(output="${output}/-a.mp4"), "steps[0].output", 5, "begins with '-'"),
    (step(output="${output}/b/-a.mp4"), "steps[0].output", 5, "begins with '-'"),
    (step(output="${output}/a\\u0007.mp4"), "steps[0].output", 5, "a control character"),
    (step(output="${output}/a\\u202e.mp4"), "steps[0].output", 5, "a control character"),
    (step(output="${output}/a\\\\b.mp4"), "steps[0].output", 5, "a backslash"),
    (step(output="${output}/ a.mp4"), "steps[0].output", 5, "ends with a space"),
    (step(output="${output}/manifest.json"), "steps[0].output", 5, "the service itself"),
    (step(output="${output}/a-{n}.mp4"), "steps[0].output", 5, "{n} counts several"),
    (step(output="${output}/a-{m}.mp4"), "steps[0].output", 5, "only {n}"),
    (step(output="${output}/${job.id}.mp4"), "steps[0].output", 5, "not supported by this"),
    (step(output="${output}/" + "a" * 300 + ".mp4"), "steps[0].output", 5, "longer than"),
    (step(output="${output}/" + "a/" * 300 + "a.mp4"), "steps[0].output", 5, "longer than"),
    (step(output="${output}/a.txt"), "steps[0].output", 5, "is no video or sound file"),
    (step(output="${output}/mp4"), "steps[0].output", 5, "is no video or sound file"),
    (step(params="[]"), "steps[0].params", 6, "must be a mapping, not a list"),
    (step(params="{widht: 3}"), "steps[0].params.widht", 6, "did you mean 'width'?"),
    (step(params="{loudness: 1}"), "steps[0].params.loudness", 6, "not supported by this version"),
    (step(params="{subtitles: a}"), "steps[0].params.subtitles", 6, "not supported by this"),
    (
        step(params='{height: "min(params.max_height, 9)"}'),
        "steps[0].params.height",
        6,
        "expressions are not supported by this version",
    ),
    (step(params="{codec: h246}"), "steps[0].params.codec", 6, "did you mean 'h26"),
    (step(params="{codec: no}"), "steps[0].params.codec", 6, "must be one of h264"),
    (step(params="{quality: 52}"), "steps[0].params.quality", 6, "from 0 to 51 for h264"),
    (step(params="{quality: true}"), "steps[0].params.quality", 6, "a whole number"),
    (step(params="{quality: 23.5}"), "steps[0].params.quality", 6, "a whole number"),
    (step(extra="when: probe.has_video"), "steps[0].when", 7, "'when' is not supported by this"),
    (step(extra="inputs: x"), "steps[0].inputs", 7, "did you mean 'input'?"),
    (step(extra="id: a b"), "steps[0].id", 7, "1 to 64 letters"),
    (step(extra="id: 7"), "steps[0].id", 7, "put it in quotes"),
]


@pytest.mark.parametrize(("text", "path", "line", "words"), ONE_STEP)
def test_problem_of_a_step_is_reported_with_path_and_line(
    text: str, path: str, line: int, words: str
) -> None:
    found = problems_of(pipeline_text(text))
    assert [(p, n) for p, n, _ in found] == [(path, line)]
    assert words in found[0][2]


TOP_LEVEL = [
    ("", "text", 1, "is empty"),
    ("# only a comment\n", "text", 1, "is empty"),
    ("- a\n", "text", 1, "must be a mapping"),
    ("steps: []\nname: a\n", "steps", 1, "at least one step"),
    ("name: a\n", "steps", 1, "is missing"),
    ("name: a\nsteps: 3\n", "steps", 2, "must be a list, not a number"),
    ("name: a\nsteps: [7]\n", "steps[0]", 2, "must be a mapping"),
]


@pytest.mark.parametrize(("text", "path", "line", "words"), TOP_LEVEL)
def test_problem_of_the_whole_is_reported(text: str, path: str, line: int, words: str) -> None:
    found = problems_of(text)
    assert [(p, n) for p, n, _ in found] == [(path, line)]
    assert words in found[0][2]


@pytest.mark.parametrize("key", ["params", "limits", "destination", "when"])
def test_key_of_a_later_version_is_an_error_that_says_so(key: str) -> None:
    found = problems_of(f"{key}: {{}}\n" + pipeline_text(step()))
    assert found == [(key, 1, f"'{key}' is not supported by this version")]


def test_name_must_be_a_text() -> None:
    steps = f"steps:\n{step()}"
    assert (
        problems_of(f"name: 7\n{steps}")[0][2] == "must be a text, not a number; put it in quotes"
    )
    assert problems_of(f"name: ''\n{steps}")[0][2] == "is empty"
    assert problems_of(steps)[0] == ("name", 1, "is missing")
    assert "longer than" in problems_of(f"name: {'a' * 201}\n{steps}")[0][2]


def test_every_problem_is_reported_at_once_in_the_order_of_the_text() -> None:
    text = (
        "name: 7\n"
        "desciption: x\n"
        "steps:\n"
        + step("transcod", "/etc/passwd")
        + step(source="${steps.nobody.output}", params="{quality: 99, widht: 3, codec: h246}")
    )
    found = problems_of(text)
    assert [(path, line) for path, line, _ in found] == [
        ("name", 1),
        ("desciption", 2),
        ("steps[0].operation", 4),
        ("steps[0].output", 6),
        ("steps[1].input", 9),
        ("steps[1].params.widht", 11),
        ("steps[1].params.codec", 11),
        ("steps[1].params.quality", 11),
    ]


def test_json_problems_have_lines_too() -> None:
    text = '{\n"name": "a",\n"steps": [\n{"operation": "probe",\n"input": "x",\n"output": "y"}]}'
    found = [(path, line) for path, line, _ in problems_of(text, "json")]
    assert found == [("steps[0].input", 5), ("steps[0].output", 6)]


def test_message_of_the_whole_names_the_first_problem_and_counts_the_others() -> None:
    with pytest.raises(InvalidPipeline) as caught:
        parse(pipeline_text(step("transcod", "/a")), "yaml")
    assert str(caught.value).startswith("the pipeline is not valid: steps[0].operation (line 3): ")
    assert str(caught.value).endswith("(and 1 more)")


def test_cycle_names_its_steps_once() -> None:
    found = problems_of(
        pipeline_text(
            step(output="${output}/a.mp4", source="${steps.b.output}", extra="id: a"),
            step(output="${output}/b.mp4", source="${steps.c.output}", extra="id: b"),
            step(output="${output}/c.mp4", source="${steps.b.output}", extra="id: c"),
        )
    )
    assert found == [("steps[1].input", 9, "these steps wait for each other: 'b' → 'c' → 'b'")]


def test_ids_are_unique_also_against_default_ids() -> None:
    found = problems_of(
        pipeline_text(step(), step("probe", "${output}/a.json", extra="id: transcode-1"))
    )
    assert found == [("steps[1].id", 11, "id 'transcode-1' is taken by steps[0] on line 3")]


def test_two_steps_may_not_write_one_file() -> None:
    found = problems_of(
        pipeline_text(
            step("extract_frame", "${output}/f-{n}.jpg", params="{count: 2}"),
            step("generate_thumbnail", "${output}/f-2.jpg"),
        )
    )
    assert found == [("steps[1].output", 9, "'f-2.jpg' is written by steps[0] on line 5 already")]


def test_file_may_not_be_the_folder_of_another() -> None:
    found = problems_of(
        pipeline_text(
            step("generate_thumbnail", "${output}/a.jpg/b.jpg"),
            step("generate_thumbnail", "${output}/a.jpg"),
        )
    )
    assert found == [
        ("steps[0].output", 5, "'a.jpg/b.jpg' lies in 'a.jpg', which is a file of steps[1]")
    ]


def test_step_with_several_files_must_be_read_by_file() -> None:
    frames = step("extract_frame", "${output}/f-{n}.jpg", params="{count: 2}", extra="id: f")
    for source in ("${steps.f.output}", "${output}/f-{n}.jpg"):
        found = problems_of(
            pipeline_text(frames, step("resize", "${output}/a.jpg", source, "{width: 9}"))
        )
        assert found[0][2] == (
            "step 'f' writes 2 files; name one of them, such as '${output}/f-1.jpg'"
        )


@pytest.mark.parametrize(
    ("maker", "reader", "words"),
    [
        (step(), step("extract_text", "${output}/a.txt", "${output}/a.mp4"), "needs a PDF here"),
        (step(), step("resize", "${output}/a.jpg", "${output}/a.mp4", "{width: 9}"), "a picture"),
        (
            step(output="${output}/a.mp3"),
            step("transcode", "${output}/b.mp4", "${output}/a.mp3"),
            "needs a video here, but step 'transcode-1' makes sound ('a.mp3')",
        ),
        (
            step("probe", "${output}/a.json"),
            step("probe", "${output}/b.json", "${output}/a.json"),
            "makes a text",
        ),
        (
            step("generate_thumbnail", "${output}/a.jpg"),
            step("generate_thumbnail", "${output}/b.jpg", "${output}/a.jpg", "{type: video}"),
            "needs a video here",
        ),
    ],
)
def test_step_must_be_able_to_read_what_the_other_makes(
    maker: str, reader: str, words: str
) -> None:
    found = problems_of(pipeline_text(maker, reader))
    assert [(path, line) for path, line, _ in found] == [("steps[1].input", 8)]
    assert words in found[0][2]


def test_more_steps_than_the_limit_are_refused() -> None:
    steps = [step("probe", f"${{output}}/{n}.json") for n in range(101)]
    assert problems_of(pipeline_text(*steps)) == [("steps", 2, "has 101 steps; the limit is 100")]
    assert problems_of(pipeline_text(*steps[:100])) == []


def test_longer_text_than_the_limit_is_refused() -> None:
    text = pipeline_text(step())
    padded = text + "#" * (64 * 1024 - len(text))
    assert problems_of(padded) == []
    assert problems_of(padded + "#") == [("text", None, "has 65537 bytes; the limit is 65536")]


def test_list_of_problems_is_bounded() -> None:
    found = problems_of("".join(f"k{n}: 1\n" for n in range(500)))
    assert len(found) == 101
    assert found[-1][2] == "and 402 more problems"


def test_unknown_format_is_refused() -> None:
    assert problems_of("", "toml") == [("format", None, "must be yaml or json, not 'toml'")]
