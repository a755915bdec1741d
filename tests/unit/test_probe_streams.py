"""How ffprobe's answer is read, and how nonsense in it is not."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.errors import MediaInputError
from mediaconvert.media import MediaKind
from mediaconvert.tools.boxes import missing_bytes
from mediaconvert.tools.probe_streams import read_streams
from mediaconvert.tools.sniff import Format

MP4 = Format("mp4", "mov", MediaKind.VIDEO)


def video(**values: object) -> dict[str, object]:
    return {"streams": [{"codec_type": "video", "codec_name": "h264", "index": 0} | values]}


@pytest.mark.parametrize(
    ("angle", "rotation", "size"),
    [(0, 0, (640, 360)), (-90, 90, (360, 640)), (90, 270, (360, 640)), (180, 180, (640, 360))],
)
def test_rotation_is_told_clockwise_and_applied_to_the_size(
    angle: int, rotation: int, size: tuple[int, int]
) -> None:
    answer = video(width=640, height=360, side_data_list=[{}, {"rotation": angle}])
    found = read_streams(answer, MP4, 1).video
    assert found is not None
    assert (found.rotation, (found.width, found.height)) == (rotation, size)
    assert (found.coded_width, found.coded_height) == (640, 360)


def test_a_frame_rate_beyond_reason_is_not_one() -> None:
    found = read_streams(video(avg_frame_rate="0/0", r_frame_rate="90000/1"), MP4, 1).video
    assert found is not None
    assert found.fps is None


def test_a_cover_picture_makes_no_video() -> None:
    streams = [
        {"codec_type": "audio", "codec_name": "mp3", "index": 0},
        {"codec_type": "video", "codec_name": "png", "disposition": {"attached_pic": 1}},
    ]  # fmt: skip
    info = read_streams({"streams": streams}, Format("mp3", "mp3", MediaKind.AUDIO), 1)
    assert (info.kind, info.video) == (MediaKind.AUDIO, None)


def test_the_longest_track_counts_where_the_file_has_no_length() -> None:
    streams = [
        {"codec_type": "video", "duration": "2.5"},
        {"codec_type": "audio", "duration": "3.5"},
    ]
    assert read_streams({"streams": streams}, MP4, 1).duration_seconds == 3.5


@pytest.mark.parametrize("answer", [{}, {"streams": []}, {"streams": [{"codec_type": "data"}]}, 7])
def test_a_file_without_pictures_and_sound_is_broken(answer: object) -> None:
    with pytest.raises(MediaInputError) as caught:
        read_streams(answer, MP4, 1)
    assert caught.value.code == "broken_file"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["streams", "format", "codec_type", "width", "height", "duration", "side_data_list",
             "rotation", "avg_frame_rate", "sample_aspect_ratio", "tags", "disposition"]
        ) | st.text(max_size=4), inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(
    ["width", "height", "duration", "avg_frame_rate", "index", "tags", "side_data_list"]), JSON),
    max_size=3))  # fmt: skip
def test_no_answer_of_ffprobe_is_an_error_of_ours(streams: list[dict[str, object]]) -> None:
    answer = json.loads(json.dumps({"streams": [s | {"codec_type": "video"} for s in streams]}))
    if streams:
        assert read_streams(answer, MP4, 1).kind is MediaKind.VIDEO


def box(name: bytes, size: int, *, declared: int | None = None) -> bytes:
    return (declared or size).to_bytes(4, "big") + name + bytes(size - 8)


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (box(b"ftyp", 24) + box(b"moov", 100) + box(b"mdat", 500), 0),
        (box(b"ftyp", 24) + box(b"moov", 100) + box(b"mdat", 500, declared=900), 400),
        (box(b"ftyp", 24) + b"\0\0\0\x01mdat" + (1000).to_bytes(8, "big") + bytes(84), 900),
        (box(b"ftyp", 24) + b"\0\0\0\0mdat" + bytes(100), 0),
        (box(b"ftyp", 24) + b"trailing rubbish that is no box", 0),
        (b"", 0),
    ],
)
def test_a_film_that_is_cut_off_says_how_much_is_missing(content: bytes, missing: int) -> None:
    assert missing_bytes(io.BytesIO(content), len(content)) == missing
