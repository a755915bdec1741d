"""Sizes: aspect kept, nothing enlarged unasked, sides even where colour needs it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.operations.stills import jpeg_scale
from mediaconvert.operations.video_geometry import Box, Size, even_inside, fit_inside, frame


@pytest.mark.parametrize(
    ("source", "box", "expected"),
    [
        (Size(1920, 1080), Box(None, None), Size(1920, 1080)),
        (Size(1920, 1080), Box(1280, None), Size(1280, 720)),
        (Size(1920, 1080), Box(None, 720), Size(1280, 720)),
        (Size(1920, 1080), Box(640, 640), Size(640, 360)),
        (Size(1080, 1920), Box(1280, 720), Size(404, 720)),
        (Size(641, 359), Box(None, None), Size(640, 358)),
        (Size(640, 360), Box(1920, None), Size(640, 360)),
        (Size(640, 360), Box(1920, None, upscale=True), Size(1920, 1080)),
        (Size(1920, 1080), Box(321, None), Size(320, 180)),
        (Size(1, 1), Box(None, None), Size(2, 2)),
    ],
)
def test_video_sizes(source: Size, box: Box, expected: Size) -> None:
    assert even_inside(source, box) == expected


_SIDES = st.integers(2, 9000)
_ASKED = st.none() | st.integers(16, 8192)


@given(_SIDES, _SIDES, _ASKED, _ASKED, st.booleans())
def test_video_sizes_are_even_inside_the_box_and_not_enlarged_unasked(
    width: int, height: int, box_width: int | None, box_height: int | None, upscale: bool
) -> None:
    source = Size(width, height)
    size = even_inside(source, Box(box_width, box_height, upscale=upscale))
    assert size.width % 2 == 0
    assert size.height % 2 == 0
    assert size.width <= (box_width or 10**9)
    assert size.height <= (box_height or 10**9)
    if not upscale:
        assert size.width <= width
        assert size.height <= height


@pytest.mark.parametrize(
    ("box", "scale", "final", "offset"),
    [
        (Box(320, 240), Size(320, 180), Size(320, 180), None),
        (Box(320, 240, "fill"), Size(320, 180), Size(320, 240), None),
        (Box(200, 200, "crop"), Size(356, 200), Size(200, 200), (78, 0)),
        (Box(200, 200, "crop", "west"), Size(356, 200), Size(200, 200), (0, 0)),
        (Box(200, 200, "crop", "south-east"), Size(356, 200), Size(200, 200), (156, 0)),
        (Box(200, 200, "crop", "smart"), Size(356, 200), Size(200, 200), (78, 0)),
        (Box(320, 240, "exact"), Size(320, 240), Size(320, 240), None),
        (Box(4000, 400, "crop"), Size(1280, 720), Size(1280, 400), (0, 160)),
    ],
)
def test_frames_of_a_video_are_fitted_filled_cut_or_stretched(
    box: Box, scale: Size, final: Size, offset: tuple[int, int] | None
) -> None:
    framing = frame(Size(1280, 720), box)
    assert (framing.scale, framing.final, framing.crop_offset) == (scale, final, offset)
    assert (framing.background is not None) == (box.mode == "fill")


@given(_SIDES, _SIDES, _ASKED, _ASKED)
def test_fitted_pictures_have_at_least_one_pixel(
    width: int, height: int, box_width: int | None, box_height: int | None
) -> None:
    size = fit_inside(Size(width, height), Box(box_width, box_height))
    assert 1 <= size.width <= width
    assert 1 <= size.height <= height


@given(
    _SIDES,
    _SIDES,
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.sampled_from(["centre", "north", "south-east", "smart"]),
    st.booleans(),
)
def test_what_is_cut_lies_inside_what_was_scaled(
    width: int, height: int, box_width: int, box_height: int, gravity: str, upscale: bool
) -> None:
    box = Box(box_width, box_height, "crop", gravity, upscale)
    framing = frame(Size(width, height), box)
    assert framing.crop_offset is not None
    left, top = framing.crop_offset
    assert left >= 0
    assert top >= 0
    assert left + framing.final.width <= framing.scale.width
    assert top + framing.final.height <= framing.scale.height


def test_jpeg_quality_becomes_a_quantiser_that_falls_with_it() -> None:
    scales = [jpeg_scale(quality) for quality in range(1, 101)]
    assert scales == sorted(scales, reverse=True)
    assert (scales[0], scales[-1], jpeg_scale(85)) == (31, 2, 5)
