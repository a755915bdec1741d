"""How large a picture becomes, and where it lies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaconvert.tools.geometry import Resize, offset, parse_resize, place


def resize(width: int | None, height: int | None, mode: str, *, upscale: bool = False) -> Resize:
    return Resize(width, height, mode, "centre", upscale, None)


@pytest.mark.parametrize(
    ("asked", "scaled", "canvas"),
    [
        (resize(320, 240, "fit"), (320, 180), (320, 180)),
        (resize(320, None, "fit"), (320, 180), (320, 180)),
        (resize(None, 240, "fit"), (427, 240), (427, 240)),
        (resize(320, 240, "fill"), (320, 180), (320, 240)),
        (resize(320, 240, "crop"), (427, 240), (320, 240)),
        (resize(320, 240, "exact"), (320, 240), (320, 240)),
        (resize(4000, 4000, "fit"), (1280, 720), (1280, 720)),
        (resize(4000, 4000, "fill"), (1280, 720), (4000, 4000)),
        (resize(4000, 400, "crop"), (1280, 720), (1280, 400)),
        (resize(2560, 2560, "fit", upscale=True), (2560, 1440), (2560, 1440)),
        (resize(2560, 2560, "exact"), (2560, 2560), (2560, 2560)),
    ],
)
def test_a_film_frame_in_every_mode(
    asked: Resize, scaled: tuple[int, int], canvas: tuple[int, int]
) -> None:
    placed = place(1280, 720, asked)
    assert (placed.scaled, placed.canvas) == (scaled, canvas)


@given(
    st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 5000), st.integers(1, 5000),
    st.sampled_from(["fit", "fill", "crop", "exact"]), st.booleans(),
)  # fmt: skip
def test_no_size_breaks_the_promises(
    width: int, height: int, box_width: int, box_height: int, mode: str, upscale: bool
) -> None:
    asked = resize(box_width, box_height, mode, upscale=upscale)
    placed = place(width, height, asked)
    assert min(*placed.scaled, *placed.canvas) >= 1
    assert placed.canvas[0] <= box_width
    assert placed.canvas[1] <= box_height
    if not upscale and mode != "exact":
        assert placed.scaled[0] <= width
        assert placed.scaled[1] <= height
    inner, outer = (placed.canvas, placed.scaled) if placed.is_cut else (
        placed.scaled, placed.canvas)  # fmt: skip
    assert inner[0] <= outer[0]
    assert inner[1] <= outer[1]


@pytest.mark.parametrize(
    ("gravity", "expected"),
    [
        ("centre", (50, 100)), ("north", (50, 0)), ("south", (50, 200)), ("west", (0, 100)),
        ("east", (100, 100)), ("north-west", (0, 0)), ("south-east", (100, 200)),
    ],
)  # fmt: skip
def test_gravity_says_where_the_smaller_one_lies(gravity: str, expected: tuple[int, int]) -> None:
    assert offset((100, 100), (200, 300), gravity) == expected


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "needs a width or a height"),
        ({"width": 0}, "width is 0"),
        ({"width": 100, "mode": "squash"}, "mode is 'squash'"),
        ({"width": 100, "gravity": "up"}, "gravity is 'up'"),
        ({"width": "100"}, "not a number"),
    ],
)
def test_wrong_parameters_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_resize(values)
