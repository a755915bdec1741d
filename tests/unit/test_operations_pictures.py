"""Operations that make pictures, texts and reports: commands for the image server, frames of a
video, and the probe's JSON."""

from __future__ import annotations

import json

import pytest

from mediaconvert.errors import MediaInputError
from mediaconvert.media import (
    Command,
    FfmpegCommand,
    ImagingCommand,
    MediaInfo,
    MediaKind,
    WriteCommand,
)
from mediaconvert.operations import BY_NAME, OperationPlan
from mediaconvert.pipeline.planner import plan_step
from tests.unit.pipeline_texts import document, film, parse_steps, photograph, recording, step


def plan(operation: str, output: str, info: MediaInfo, **params: object) -> OperationPlan:
    chosen = BY_NAME[operation].model_validate(params)
    assert list(chosen.complaints(output)) == []
    return chosen.plan(info, output, threads=0)


def only(operation: str, output: str, info: MediaInfo, **params: object) -> Command:
    (command,) = plan(operation, output, info, **params).commands
    return command


def imaging(operation: str, output: str, info: MediaInfo, **params: object) -> ImagingCommand:
    command = only(operation, output, info, **params)
    assert isinstance(command, ImagingCommand)
    json.dumps(command.params)
    return command


def still(operation: str, output: str, info: MediaInfo, **params: object) -> str:
    command = only(operation, output, info, **params)
    assert isinstance(command, FfmpegCommand)
    return f"{' '.join(command.input_arguments)} -i {' '.join(command.output_arguments)}".strip()


def refusal(operation: str, output: str, info: MediaInfo, **params: object) -> tuple[str, str]:
    with pytest.raises(MediaInputError) as caught:
        plan(operation, output, info, **params)
    return caught.value.code, caught.value.message


def complained(operation: str, output: str, **params: object) -> list[str]:
    chosen = BY_NAME[operation].model_validate(params)
    return [one.where for one in chosen.complaints(output)]


# --- resize and convert of pictures ---------------------------------------------------------


def test_resize_asks_the_image_server_for_an_upright_srgb_picture() -> None:
    command = imaging("resize", "a.jpg", photograph(), width=800, height=600)
    assert command.action == "image"
    assert command.output_names == ("0.jpg",)
    assert command.params == {
        "load": {"page": None},
        "resize": {
            "width": 800,
            "height": 600,
            "mode": "fit",
            "gravity": "centre",
            "upscale": False,
            "background": "#ffffff",
        },
        "auto_orient": True,
        "to_srgb": True,
        "strip": True,
        "format": "jpeg",
        "quality": 85,
        "lossless": False,
        "animated": False,
    }


def test_animation_stays_one_where_the_new_format_can_hold_it() -> None:
    animation = photograph("gif", pages=12)
    assert imaging("resize", "a.webp", animation, width=80).params["animated"] is True
    assert imaging("resize", "a.jpg", animation, width=80).params["animated"] is False
    assert imaging("convert", "a.gif", animation, page=3).params["animated"] is False
    assert imaging("generate_thumbnail", "a.gif", animation).params["animated"] is False


def test_lossless_formats_have_no_quality() -> None:
    assert imaging("resize", "a.png", photograph(), width=80, quality=50).params["quality"] is None
    assert imaging("resize", "a.avif", photograph(), width=80).params["quality"] == 60


def test_format_names_what_the_output_does_not() -> None:
    made = plan("resize", "small", photograph(), width=80, format="jpg")
    assert made.files[0].content_type == "image/jpeg"
    assert made.files[0].work_name == "0.jpg"


def test_convert_of_a_pdf_draws_one_page() -> None:
    command = imaging("convert", "a.png", document(), page=2, dpi=300)
    assert command.action == "pdf_page"
    assert command.params["page"] == 2
    assert command.params["dpi"] == 300
    assert command.params["resize"] is None


@pytest.mark.parametrize(
    ("operation", "output", "params", "where"),
    [
        ("resize", "a.jpg", {}, ["params"]),
        ("resize", "a.jpg", {"width": 5, "mode": "crop"}, ["params.mode"]),
        ("resize", "a.mp4", {"width": 5}, ["output"]),
        ("resize", "a", {"width": 5}, ["output"]),
        ("resize", "a.jpg", {"width": 5, "format": "png"}, ["params.format"]),
        ("probe", "a.txt", {}, ["output"]),
        ("extract_text", "a.pdf", {}, ["output"]),
        ("extract_text", "a.txt", {"format": "json"}, ["params.format"]),
        ("extract_frame", "a.mp4", {}, ["output"]),
        ("extract_frame", "a.avif", {}, ["output"]),
        ("extract_frame", "a.jpg", {"count": 3}, ["output"]),
        ("extract_frame", "a-{n}.jpg", {}, ["output"]),
        ("extract_frame", "{n}/{n}.jpg", {"count": 3}, ["output"]),
        ("extract_frame", "{n}.jpg", {"count": 3, "timestamps": [1]}, ["params.count"]),
        ("generate_thumbnail", "a.mp4", {}, ["output"]),
        ("generate_thumbnail", "a.avif", {"type": "video"}, ["output"]),
        ("generate_thumbnail", "a.jpg", {"type": "pdf", "timestamp": 1}, ["params.timestamp"]),
        ("generate_thumbnail", "a.jpg", {"type": "video", "page": 1}, ["params.page"]),
        ("generate_thumbnail", "a.jpg", {"timestamp": 1, "page": 1}, ["params.page"]),
        ("generate_thumbnail", "a.jpg", {"mode": "fill", "width": 1}, ["params.mode"]),
    ],
)
def test_contradiction_is_found_before_any_input_is_known(
    operation: str, output: str, params: dict[str, object], where: list[str]
) -> None:
    assert complained(operation, output, **params) == where


@pytest.mark.parametrize(
    ("operation", "output", "info", "params", "code", "words"),
    [
        ("resize", "a.jpg", film(), {"width": 9}, "not_an_image", "a video (mp4, 60.0 s)"),
        ("resize", "a.jpg", document(), {"width": 9}, "not_an_image", "a PDF of 3 pages"),
        ("extract_text", "a.txt", film(), {}, "not_a_pdf", "needs a PDF"),
        (
            "extract_text",
            "a.txt",
            document(),
            {"pages": "2-9"},
            "page_out_of_range",
            "page 9 was asked for; the document has 3 pages",
        ),
        ("extract_text", "a.txt", document(), {"pages": "4-"}, "page_out_of_range", "page 4"),
        (
            "generate_thumbnail",
            "a.jpg",
            document(1),
            {"page": 9},
            "page_out_of_range",
            "page 9 was asked for; the document has 1 page",
        ),
        ("convert", "a.jpg", document(), {"page": 4}, "page_out_of_range", "page 4"),
        ("convert", "a.jpg", photograph("tiff", 2), {"page": 4}, "page_out_of_range", "2 pages"),
        ("convert", "a.jpg", photograph(), {"dpi": 99}, "not_a_pdf", "dpi"),
        (
            "generate_thumbnail",
            "a.jpg",
            document(),
            {"type": "video"},
            "wrong_media_type",
            "type is video, but the file is a PDF of 3 pages",
        ),
        ("generate_thumbnail", "a.jpg", film(), {"type": "image"}, "wrong_media_type", "a video"),
        ("generate_thumbnail", "a.jpg", recording(), {}, "no_video_stream", "a sound file"),
        (
            "generate_thumbnail",
            "a.jpg",
            recording(),
            {"type": "video"},
            "no_video_stream",
            "a sound file",
        ),
        ("generate_thumbnail", "a.avif", film(), {}, "wrong_media_type", ".webp"),
        (
            "generate_thumbnail",
            "a.jpg",
            photograph(),
            {"timestamp": 1},
            "no_video_stream",
            "an image",
        ),
        ("generate_thumbnail", "a.jpg", film(), {"page": 1}, "not_a_pdf", "a video"),
        (
            "generate_thumbnail",
            "a.jpg",
            film(seconds=5),
            {"timestamp": "00:00:05"},
            "timestamp_out_of_range",
            "timestamp 00:00:05 was asked for; the input is 00:00:05 long",
        ),
        ("extract_frame", "a.jpg", recording(), {}, "no_video_stream", "needs a video track"),
        ("extract_frame", "a.jpg", photograph(), {}, "no_video_stream", "needs a video"),
        (
            "extract_frame",
            "a.jpg",
            film(seconds=None),
            {"timestamp": "50%"},
            "unknown_duration",
            "50%",
        ),
        (
            "extract_frame",
            "{n}.jpg",
            film(seconds=None),
            {"count": 2},
            "unknown_duration",
            "does not say how long",
        ),
    ],
)
def test_input_that_lacks_what_was_asked_is_refused(
    operation: str,
    output: str,
    info: MediaInfo,
    params: dict[str, object],
    code: str,
    words: str,
) -> None:
    found, message = refusal(operation, output, info, **params)
    assert found == code
    assert words in message


# --- frames ----------------------------------------------------------------------------------


def test_thumbnail_of_a_film_seeks_before_it_decodes() -> None:
    line = still("generate_thumbnail", "a.jpg", film(), timestamp="00:00:10", width=320, height=240)
    assert line == (
        "-ss 10 -i -map 0:0 -vf scale=320:180:flags=lanczos,setsar=1,"
        "scale=out_color_matrix=bt601:out_range=pc,format=yuv420p -frames:v 1 "
        "-c:v mjpeg -q:v 5 -color_range pc -map_metadata -1 -f image2 -update 1 out/0.jpg"
    )


def test_thumbnail_without_a_timestamp_is_one_second_in_or_the_middle() -> None:
    assert "00:00:01" in plan("generate_thumbnail", "a.jpg", film()).reasons[0]
    assert "00:00:00.6" in plan("generate_thumbnail", "a.jpg", film(seconds=1.2)).reasons[0]
    assert "00:00:01" in plan("generate_thumbnail", "a.jpg", film(seconds=None)).reasons[0]


def test_thumbnail_size_has_a_default_and_is_never_enlarged() -> None:
    assert "scale=320:180:" in still("generate_thumbnail", "a.jpg", film())
    assert "scale=64:36:" in still("generate_thumbnail", "a.jpg", film(width=64, height=36))


def test_thumbnail_modes_become_filters() -> None:
    filled = still("generate_thumbnail", "a.png", film(), mode="fill", width=200, height=200)
    assert "pad=200:200:(ow-iw)/2:(oh-ih)/2:color=0xffffff" in filled
    cropped = still("generate_thumbnail", "a.webp", film(), mode="crop", width=200, height=200)
    assert "crop=200:200:78:0" in cropped
    assert "-c:v libwebp -quality 80" in cropped


def test_thumbnail_of_a_page_is_drawn_at_its_size() -> None:
    command = imaging("generate_thumbnail", "a.jpg", document(), type="pdf", width=400, height=600)
    assert command.action == "pdf_page"
    resize = command.params["resize"]
    assert isinstance(resize, dict)
    assert (resize["width"], resize["height"], resize["upscale"]) == (400, 600, True)


def test_hdr_frames_become_sdr_pictures() -> None:
    assert "tonemap" in still("extract_frame", "a.jpg", film(is_hdr=True))


def test_several_frames_are_one_command_each() -> None:
    made = plan("extract_frame", "f/{n}.png", film(seconds=10), timestamps=[1, "50%", "0:09"])
    seeks = [c.input_arguments for c in made.commands if isinstance(c, FfmpegCommand)]
    assert seeks[:2] == [("-ss", "1"), ("-ss", "5")]
    assert [f.output_name for f in made.files] == ["f/1.png", "f/2.png", "f/3.png"]
    assert [f.work_name for f in made.files] == ["0.png", "1.png", "2.png"]


def test_evenly_spread_frames_are_the_middles_of_equal_parts() -> None:
    made = plan("extract_frame", "{n}.jpg", film(seconds=100), count=4)
    assert [reason.split(",")[0] for reason in made.reasons[:4]] == [
        "1.jpg: the frame at 00:00:12.5",
        "2.jpg: the frame at 00:00:37.5",
        "3.jpg: the frame at 00:01:02.5",
        "4.jpg: the frame at 00:01:27.5",
    ]


def test_moment_close_to_the_end_shows_the_last_frame_before_it() -> None:
    line = still("extract_frame", "a.jpg", film(seconds=10), timestamp=9.99)
    assert line.startswith("-ss 4.99 -i ")
    assert "tpad=stop_mode=clone:stop_duration=7,trim=start=5,setpts=PTS-STARTPTS," in line


def test_frames_of_the_whole_size_are_the_default() -> None:
    assert "scale=1920:1080:" in still("extract_frame", "a.png", film())
    assert still("extract_frame", "a.png", film()).startswith("-i ")


# --- text and report ------------------------------------------------------------------------


def test_text_of_all_pages_or_of_ranges() -> None:
    every = imaging("extract_text", "a.txt", document(), pages="all")
    assert every.action == "pdf_text"
    assert every.params == {
        "pages": None,
        "layout": False,
        "format": "text",
        "encoding": "utf-8",
    }
    some = imaging("extract_text", "a.json", document(), pages="1,2-", layout=True)
    assert some.params["pages"] == [[1, 1], [2, 3]]
    assert some.params["format"] == "json"


def test_probe_writes_what_was_found_as_json() -> None:
    made = plan("probe", "a.json", film())
    (command,) = made.commands
    assert isinstance(command, WriteCommand)
    found = json.loads(command.text)
    assert list(found)[:3] == ["kind", "container", "demuxer"]
    assert found["streams"][0]["width"] == 1920
    assert made.files[0].kind is MediaKind.TEXT
    assert command.text == command.text.rstrip() + "\n"


def test_planner_adds_the_names_of_the_step() -> None:
    (one,) = parse_steps(step("probe", "${output}/a.json", extra="id: report")).steps
    planned = plan_step(one, film())
    assert (planned.step_id, planned.operation) == ("report", "probe")
    assert planned == plan_step(one, film())


def test_every_operation_answers_for_every_kind_of_input_with_a_plan_or_a_refusal() -> None:
    outputs = {
        "probe": "a.json",
        "transcode": "a.mp4",
        "resize": "a.jpg",
        "convert": "a.mkv",
        "extract_frame": "a.jpg",
        "generate_thumbnail": "a.jpg",
        "extract_text": "a.txt",
    }
    for name, operation in BY_NAME.items():
        params = operation.model_validate({"width": 9} if name == "resize" else {})
        for info in (film(), recording(), photograph(), document()):
            accepted = params.accepts(outputs[name])
            try:
                planned = params.plan(info, outputs[name], threads=1)
            except MediaInputError:
                assert info.kind not in accepted
                continue
            assert info.kind in accepted
            kinds = {file.kind for file in planned.files}
            assert kinds == {params.produces(outputs[name])}
            assert tuple(f.output_name for f in planned.files) == params.output_names(outputs[name])
