"""Pictures and documents through the real image server, looked at afterwards by libvips."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
import pyvips
import trio

from mediaconvert.errors import LimitExceeded, MediaInputError
from mediaconvert.media import CommandResult, ImagingCommand, Limits
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.toolbox import Toolbox, open_toolbox
from tests.media.samples import CAT, LETTER, PHOTOGRAPH, Samples

LIMITS = Limits()
FORMATS = ["jpeg", "png", "webp", "avif", "tiff", "gif"]


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return Samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture
async def toolbox() -> AsyncIterator[Toolbox]:
    async with open_toolbox(ToolSettings(), slots=2) as toolbox:
        yield toolbox


async def run(
    toolbox: Toolbox,
    action: str,
    params: Mapping[str, object],
    source: Path,
    out: Path,
    limits: Limits = LIMITS,
) -> CommandResult:
    info = await toolbox.probe(source, LIMITS)
    return await toolbox.run(
        ImagingCommand(action, params, (out.name,)),
        source=source, info=info, out_dir=out.parent, limits=limits,
        on_progress=lambda _progress: None,
    )  # fmt: skip


def size(path: Path) -> tuple[int, int]:
    image = pyvips.Image.new_from_file(str(path))
    return image.width, image.height


def pixel(path: Path, x: int, y: int) -> list[float]:
    image = pyvips.Image.new_from_file(str(path))
    return [float(v) for v in image.getpoint(x, y)]


def plain(red: int, green: int, blue: int) -> pyvips.Image:
    image = pyvips.Image.black(100, 100, bands=3).linear([1, 1, 1], [red, green, blue])
    return image.cast("uchar").copy(interpretation="srgb")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def box(mode: str, **more: object) -> dict[str, object]:
    return {"width": 200, "height": 200, "mode": mode, "background": "#336699"} | more


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("fit", (200, 133)), ("fill", (200, 200)), ("crop", (200, 200)), ("exact", (200, 200))],
)
async def test_each_mode_gives_its_size_in_every_format(
    toolbox: Toolbox, tmp_path: Path, mode: str, expected: tuple[int, int]
) -> None:
    for form in FORMATS:
        out = tmp_path / f"0.{form}"
        result = await run(toolbox, "image", {"resize": box(mode), "format": form}, PHOTOGRAPH, out)
        assert (result.details["width"], result.details["height"]) == expected
        if form != "avif":
            assert size(out) == expected
        info = await toolbox.probe(out, LIMITS)
        assert (info.container, info.width, info.height) == (form, *expected)
        await toolbox.check_decodable(out, info, LIMITS)


async def test_padding_has_the_background_and_the_middle_has_not(
    toolbox: Toolbox, tmp_path: Path
) -> None:
    out = tmp_path / "0.png"
    await run(toolbox, "image", {"resize": box("fill"), "format": "png"}, PHOTOGRAPH, out)
    assert pixel(out, 100, 5) == [0x33, 0x66, 0x99]
    assert pixel(out, 100, 100) != [0x33, 0x66, 0x99]


async def test_a_small_picture_is_not_enlarged_unless_asked(
    toolbox: Toolbox, tmp_path: Path
) -> None:
    for upscale, expected in ((False, (451, 300)), (True, (1000, 665))):
        out = tmp_path / f"{upscale}.png"
        resize = {"width": 1000, "height": 1000, "mode": "fit", "upscale": upscale}
        await run(toolbox, "image", {"resize": resize, "format": "png"}, CAT, out)
        assert size(out) == expected


async def test_gravity_decides_what_a_crop_keeps(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    halves = plain(0, 0, 0).join(plain(255, 0, 0), "horizontal")
    source = samples.write("halves.png", halves.pngsave_buffer())
    for gravity, expected in (("west", [0, 0, 0]), ("east", [255, 0, 0])):
        out = tmp_path / f"{gravity}.png"
        resize = {"width": 50, "height": 50, "mode": "crop", "gravity": gravity}
        await run(toolbox, "image", {"resize": resize, "format": "png"}, source, out)
        assert pixel(out, 25, 25) == expected
    out = tmp_path / "smart.png"
    resize = {"width": 50, "height": 50, "mode": "crop", "gravity": "smart"}
    await run(toolbox, "image", {"resize": resize, "format": "png"}, source, out)
    assert size(out) == (50, 50)


@pytest.mark.parametrize("resize", [None, {"width": 100, "height": 100, "mode": "fit"}])
async def test_a_photograph_on_its_side_is_put_upright(
    toolbox: Toolbox, samples: Samples, tmp_path: Path, resize: object
) -> None:
    image = pyvips.Image.new_from_file(str(PHOTOGRAPH)).copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", 6)
    source = samples.write("sideways.jpg", image.jpegsave_buffer())
    info = await toolbox.probe(source, LIMITS)
    assert (info.width, info.height) == (427, 640)
    out = tmp_path / "0.jpg"
    await run(toolbox, "image", {"resize": resize, "format": "jpeg"}, source, out)
    width, height = size(out)
    assert width < height
    assert pyvips.Image.new_from_file(str(out)).get_typeof("orientation") == 0


async def test_metadata_goes_unless_it_is_to_be_kept(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    image = pyvips.Image.new_from_file(str(PHOTOGRAPH)).copy()
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "somebody")
    source = samples.write("signed.jpg", image.jpegsave_buffer())
    for strip in (True, False):
        out = tmp_path / f"{strip}.jpg"
        await run(toolbox, "image", {"strip": strip, "format": "jpeg"}, source, out)
        assert (b"somebody" in out.read_bytes()) is not strip


async def test_other_colour_spaces_become_srgb(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    red = plain(200, 30, 30)
    wide = red.icc_transform("p3", input_profile="srgb")
    cmyk = red.icc_transform("cmyk", input_profile="srgb")
    # Inks cannot show every red: there and back is only near.
    for name, image, near in (("p3", wide, 4), ("cmyk", cmyk, 30)):
        source = samples.write(f"{name}.jpg", image.jpegsave_buffer(Q=95))
        for resize in (None, {"width": 32, "mode": "fit"}):
            out = tmp_path / f"{name}-{resize is None}.png"
            await run(toolbox, "image", {"resize": resize, "format": "png"}, source, out)
            assert pixel(out, 10, 10) == pytest.approx([200, 30, 30], abs=near)
            assert pyvips.Image.new_from_file(str(out)).get_typeof("icc-profile-data") == 0


async def test_transparency_is_kept_or_laid_on_the_background(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    clear = pyvips.Image.black(40, 40, bands=4).copy(interpretation="srgb").cast("uchar")
    source = samples.write("clear.png", clear.pngsave_buffer())
    assert (await toolbox.probe(source, LIMITS)).has_alpha
    await run(toolbox, "image", {"format": "webp"}, source, tmp_path / "0.webp")
    assert pixel(tmp_path / "0.webp", 5, 5)[3] == 0
    await run(toolbox, "image", {"format": "jpeg"}, source, tmp_path / "0.jpg")
    assert pixel(tmp_path / "0.jpg", 5, 5) == [255, 255, 255]
    resize = {"width": 20, "mode": "fit", "background": "#ff0000"}
    await run(toolbox, "image", {"format": "jpeg", "resize": resize}, source, tmp_path / "1.jpg")
    assert pixel(tmp_path / "1.jpg", 5, 5) == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize("mode", ["fit", "fill", "crop"])
async def test_a_moving_picture_keeps_its_frames(
    toolbox: Toolbox, samples: Samples, tmp_path: Path, mode: str
) -> None:
    for form in ("gif", "webp"):
        out = tmp_path / f"0.{form}"
        params = {"resize": box(mode), "format": form, "animated": True}
        result = await run(toolbox, "image", params, samples.get("moving.gif"), out)
        assert result.details["frames"] == 5
        moving = pyvips.Image.new_from_file(str(out), n=-1)
        assert (moving.get("n-pages"), len(moving.get("delay"))) == (5, 5)


async def test_one_frame_of_a_moving_picture_can_be_asked_for(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    source, out = samples.get("moving.gif"), tmp_path / "0.png"
    await run(toolbox, "image", {"load": {"page": 5}, "format": "png"}, source, out)
    assert size(out) == (320, 180)
    with pytest.raises(MediaInputError, match="page 6 was asked for, but the image has 5"):
        await run(
            toolbox, "image", {"load": {"page": 6}, "format": "png"}, source, tmp_path / "1.png"
        )


@pytest.mark.parametrize("name", ["picture.bmp", "picture.jxl"])
async def test_pictures_that_libvips_cannot_read_are_converted_too(
    toolbox: Toolbox, samples: Samples, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "0.jpg"
    await run(toolbox, "image", {"resize": box("fit"), "format": "jpeg"}, samples.get(name), out)
    assert size(out) == (200, 113)
    assert names(tmp_path) == ["0.jpg"]


@pytest.mark.parametrize("resize", [None, {"width": 5000, "height": 5000, "upscale": True}])
async def test_pictures_beyond_the_budget_are_refused(
    toolbox: Toolbox, tmp_path: Path, resize: object
) -> None:
    limits = Limits(max_pixels=200_000 if resize is None else 1_000_000)
    with pytest.raises(MediaInputError) as caught:
        await run(
            toolbox, "image", {"format": "png", "resize": resize}, PHOTOGRAPH, tmp_path / "0.png",
            limits,
        )  # fmt: skip
    assert caught.value.code == "too_many_pixels"


async def test_frames_count_together(toolbox: Toolbox, samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(MediaInputError, match="5 frames of 320 x 180") as caught:
        await run(
            toolbox, "image", {"format": "gif", "animated": True}, samples.get("moving.gif"),
            tmp_path / "0.gif", Limits(max_pixels=100_000),
        )  # fmt: skip
    assert caught.value.code == "too_many_pixels"


async def test_output_beyond_its_limit_is_a_limit(toolbox: Toolbox, tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded) as caught:
        await run(
            toolbox, "image", {"format": "png"}, PHOTOGRAPH, tmp_path / "0.png",
            Limits(output_bytes=20_000),
        )  # fmt: skip
    assert caught.value.code == "limit_output"


async def test_a_wrong_parameter_is_named(toolbox: Toolbox, tmp_path: Path) -> None:
    with pytest.raises(MediaInputError, match="mode is 'squash'"):
        await run(
            toolbox, "image", {"format": "png", "resize": box("squash")}, PHOTOGRAPH,
            tmp_path / "0.png",
        )  # fmt: skip


# --- documents --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"dpi": 72}, (595, 842)),
        ({"dpi": 150}, (1240, 1755)),
        ({"resize": {"width": 400, "height": 600, "mode": "fit"}}, (400, 566)),
        ({"resize": {"width": 400, "height": 600, "mode": "fill"}}, (400, 600)),
        ({"resize": {"width": 400, "height": 400, "mode": "crop", "gravity": "north"}}, (400, 400)),
        ({"resize": {"width": 300, "height": 300, "mode": "exact"}}, (300, 300)),
    ],
)
async def test_a_page_is_drawn_at_the_size_that_was_asked_for(
    toolbox: Toolbox, samples: Samples, tmp_path: Path,
    params: dict[str, object], expected: tuple[int, int],
) -> None:  # fmt: skip
    source, out = samples.write("letter.pdf", LETTER), tmp_path / "0.png"
    await run(toolbox, "pdf_page", {"page": 1, "format": "png", **params}, source, out)
    assert size(out) == expected
    image = pyvips.Image.new_from_file(str(out))
    assert image.max() == 255
    assert image.min() < 100


async def test_the_text_of_a_document_ends_each_page_with_a_form_feed(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    source, out = samples.write("letter.pdf", LETTER), tmp_path / "0.txt"
    result = await run(toolbox, "pdf_text", {"encoding": "UTF-8"}, source, out)
    pages = out.read_text(encoding="utf-8").split("\f")
    assert len(pages) == 4
    assert "Invoice 2026-11" in pages[0]
    assert pages[1] == "Second page\n"
    assert pages[2:] == ["", ""]
    assert result.details["pages"] == 3


async def test_layout_keeps_columns_apart(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    source, out = samples.write("letter.pdf", LETTER), tmp_path / "0.txt"
    await run(toolbox, "pdf_text", {"layout": True, "pages": [[1, 1]]}, source, out)
    lines = out.read_text(encoding="utf-8").splitlines()
    [head] = [line for line in lines if "Item" in line]
    [row] = [line for line in lines if "Film" in line]
    assert head.index("Price") == row.index("12.50")
    assert head.index("Price") > 30


async def test_text_as_json_has_one_entry_a_page(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    source, out = samples.write("letter.pdf", LETTER), tmp_path / "0.json"
    await run(toolbox, "pdf_text", {"format": "json", "pages": [[2, 3]]}, source, out)
    assert json.loads(out.read_text(encoding="utf-8")) == {
        "pages": [{"page": 2, "text": "Second page"}, {"page": 3, "text": ""}]
    }


async def test_a_page_that_is_not_there_is_named(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    source = samples.write("letter.pdf", LETTER)
    for action, params in (
        ("pdf_page", {"page": 9, "format": "png"}),
        ("pdf_text", {"pages": [[9, 9]]}),
    ):
        with pytest.raises(MediaInputError, match="page 9 was asked for, but the PDF has 3 pages"):
            await run(toolbox, action, params, source, tmp_path / f"{action}.out")


@pytest.mark.parametrize(
    ("whole", "broken"),
    [(b"[4 0 R 6 0 R 8 0 R]", b"[2 0 R 2 0 R 2 0 R]"), (b"/Type /Page /", b"/Type /Pagx /")],
    ids=["a tree that is its own branch", "no pages but other objects"],
)
async def test_a_broken_page_is_the_files_fault(
    toolbox: Toolbox, samples: Samples, tmp_path: Path, whole: bytes, broken: bytes
) -> None:
    assert whole in LETTER
    source = samples.write("broken.pdf", LETTER.replace(whole, broken))
    for action, params in (("pdf_page", {"page": 2, "format": "png"}), ("pdf_text", {})):
        with pytest.raises(MediaInputError) as raised:
            await run(toolbox, action, params, source, tmp_path / f"{action}.out")
        assert raised.value.code == "broken_file"


async def test_a_page_thinner_than_anything_has_no_size(
    toolbox: Toolbox, samples: Samples, tmp_path: Path
) -> None:
    thin = LETTER.replace(b"[0 0 595 842]", b"[0 0 .00001 9]")
    params = {"page": 1, "format": "png", "resize": box("fit")}
    with pytest.raises(MediaInputError, match="page 1 of the PDF has no size"):
        await run(toolbox, "pdf_page", params, samples.write("thin.pdf", thin), tmp_path / "0.png")


async def test_many_pictures_at_once_all_come_out(toolbox: Toolbox, tmp_path: Path) -> None:
    async def one(number: int) -> None:
        out = tmp_path / f"{number}.jpg"
        await run(toolbox, "image", {"format": "jpeg", "resize": box("fit")}, PHOTOGRAPH, out)

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(one, number)
    assert len(names(tmp_path)) == 40
    assert {size(tmp_path / name) for name in names(tmp_path)} == {(200, 133)}
