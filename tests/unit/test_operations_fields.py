"""Single values of parameters: what is read kindly, what is refused and in which words."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mediaconvert.operations import OPERATIONS
from mediaconvert.operations.extract_text import ExtractTextParams
from mediaconvert.operations.fields import rate_text
from mediaconvert.operations.generate_thumbnail import GenerateThumbnailParams
from mediaconvert.operations.timestamps import Moment, argument, clock, parse_seconds
from mediaconvert.operations.transcode import TranscodeParams


def transcode(**params: object) -> TranscodeParams:
    return TranscodeParams.model_validate(params)


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("128k", 128_000),
        ("128K", 128_000),
        ("128kbps", 128_000),
        ("128 kbit/s", 128_000),
        ("0.128M", 128_000),
        (128, 128_000),
        ("320", 320_000),
        (128_000, 128_000),
        ("128000", 128_000),
    ],
)
def test_bit_rates_are_read_as_people_write_them(written: object, rate: int) -> None:
    assert transcode(audio_bitrate=written).audio_bitrate == rate


@pytest.mark.parametrize("written", ["fast", "", "-1", "1e9", True, [128], "128 k k", "k", 10**30])
def test_other_bit_rates_are_refused(written: object) -> None:
    with pytest.raises(ValidationError, match="must be"):
        transcode(audio_bitrate=written)


@pytest.mark.parametrize(
    ("written", "codec"),
    [("HEVC", "h265"), ("libx264", "h264"), ("H264", "h264"), ("VP9", "vp9"), ("x265", "h265")],
)
def test_codecs_have_other_names(written: str, codec: str) -> None:
    assert transcode(codec=written).codec == codec


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        (25, Fraction(25)),
        ("25", Fraction(25)),
        (29.97, Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        (12.5, Fraction(25, 2)),
    ],
)
def test_frame_rates_are_exact_fractions(written: object, rate: Fraction) -> None:
    assert transcode(fps=written).fps == rate


@pytest.mark.parametrize("written", [0, -25, 241, "25/0", "a", float("nan"), float("inf"), None])
def test_other_frame_rates_are_refused(written: object) -> None:
    if written is None:
        assert transcode(fps=None).fps is None
        return
    with pytest.raises(ValidationError, match="frames per second"):
        transcode(fps=written)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("00:00:01", 1.0),
        ("01:02:03.5", 3723.5),
        ("02:03", 123.0),
        ("90", 90.0),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("100:00", 6000.0),
        ("00:00:61", None),
        ("01:60:00", None),
        ("1:2:3:4", None),
        ("-1", None),
        ("", None),
        ("1e3", None),
        ("٣", None),
    ],
)
def test_times_are_read(text: str, seconds: float | None) -> None:
    assert parse_seconds(text) == seconds


@given(st.floats(0, 359_999, allow_nan=False))
def test_clock_and_argument_mean_the_same_time(seconds: float) -> None:
    assert parse_seconds(clock(seconds)) == pytest.approx(seconds, abs=0.001)
    assert float(argument(seconds)) == pytest.approx(seconds, abs=1e-6)
    assert "e" not in argument(seconds)


def test_share_of_the_length_is_resolved_and_the_whole_is_the_last_frame() -> None:
    assert Moment(percent=50).resolve(10.0) == 5.0
    assert Moment(percent=100).resolve(10.0) == 9.999
    assert Moment(percent=100).resolve(0.0) == 0.0
    assert Moment(percent=50).resolve(None) is None
    assert str(Moment(percent=50)) == "50%"


@pytest.mark.parametrize(
    ("written", "pages"),
    [
        ("all", None),
        ("ALL", None),
        (None, None),
        (3, ((3, 3),)),
        ("1-3,5", ((1, 3), (5, 5))),
        ("8-", ((8, None),)),
        ("-2", ((1, 2),)),
        ([1, "4-6"], ((1, 1), (4, 6))),
    ],
)
def test_pages_are_read(written: object, pages: object) -> None:
    params = {} if written is None else {"pages": written}
    assert ExtractTextParams.model_validate(params).pages == pages


@pytest.mark.parametrize("written", [0, "0", "3-1", "", "-", "a", "1,,2", [], True, "1" * 20, -1])
def test_other_pages_are_refused(written: object) -> None:
    with pytest.raises(ValidationError, match="must"):
        ExtractTextParams.model_validate({"pages": written})


def test_colours_flags_and_gravities_are_read_kindly() -> None:
    params = GenerateThumbnailParams.model_validate(
        {"background": "#F00", "upscale": "yes", "gravity": "Center", "width": "320"}
    )
    assert params.background == "#ff0000"
    assert params.upscale is True
    assert params.gravity == "centre"
    assert params.width == 320


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("quality", 64, "from 0 to 63, not 64"),
        ("quality", "high", "from 0 to 63, not 'high'"),
        ("quality", False, "not false"),
        ("width", 15, "from 16 to 8192"),
        ("width", 99999, "from 16 to 8192"),
        ("faststart", "maybe", "must be true or false, not 'maybe'"),
        ("preset", "quick", "must be one of ultrafast"),
        ("start", "soon", "such as '00:00:01', not 'soon'"),
        ("start", -1, "such as '00:00:01', not -1"),
        ("duration", 0, "must be from 0.01 s"),
        ("codec", {"a": 1}, "not a mapping"),
        ("codec", [1], "not a list"),
        ("bitrate", "1k", "must be from 10k to 400M, not '1k'"),
        ("codec", "x" * 500, "…'"),
    ],
)
def test_refusal_names_the_value_and_what_would_be_right(
    name: str, value: object, words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        transcode(**{name: value})
    assert words in caught.value.errors()[0]["msg"]


def test_params_are_frozen_and_hashable() -> None:
    for operation in OPERATIONS:
        assert hash(operation.model_validate({})) == hash(operation.model_validate({}))


@given(st.integers(1, 10**9))
def test_bit_rates_survive_being_written(rate: int) -> None:
    if 10_000 <= rate <= 400_000_000:
        assert transcode(bitrate=rate_text(rate)).bitrate == rate
