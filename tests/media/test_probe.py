"""Probing real files of every kind, with the real tools in the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mediaconvert.errors import MediaInputError
from mediaconvert.media import Limits, MediaKind
from mediaconvert.settings import ToolSettings
from mediaconvert.tools.toolbox import Toolbox, open_toolbox
from tests.media.samples import CAT, ENCRYPTED, FILM, LETTER, PHOTOGRAPH, RECIPES, Samples

LIMITS = Limits()


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return Samples(tmp_path_factory.mktemp("samples"))


@pytest.fixture
async def toolbox() -> AsyncIterator[Toolbox]:
    async with open_toolbox(ToolSettings(), slots=2) as toolbox:
        yield toolbox


async def test_the_real_film_is_what_it_is(toolbox: Toolbox) -> None:
    info = await toolbox.probe(FILM, LIMITS)
    assert (info.kind, info.container, info.demuxer) == (MediaKind.VIDEO, "mp4", "mov")
    assert info.video is not None
    assert info.audio is not None
    assert (info.video.codec, info.video.width, info.video.height) == ("h264", 1280, 720)
    assert (info.audio.codec, info.audio.channels) == ("aac", 6)
    assert info.duration_seconds == pytest.approx(5.3, abs=0.1)
    assert info.size_bytes == FILM.stat().st_size


async def test_films_of_every_container_have_pictures_sound_and_length(
    toolbox: Toolbox, samples: Samples
) -> None:
    for name in [n for n in RECIPES if n.startswith("film.")]:
        info = await toolbox.probe(samples.get(name), LIMITS)
        assert info.kind is MediaKind.VIDEO, name
        assert info.video is not None, name
        assert info.audio is not None, name
        assert (info.video.width, info.video.height) == (320, 180), name
        assert info.duration_seconds == pytest.approx(2.0, abs=0.25), name


async def test_sounds_of_every_container_have_a_length_and_no_pictures(
    toolbox: Toolbox, samples: Samples
) -> None:
    for name in [n for n in RECIPES if n.startswith("sound.")]:
        info = await toolbox.probe(samples.get(name), LIMITS)
        assert info.kind is MediaKind.AUDIO, name
        assert info.video is None, name
        assert info.duration_seconds == pytest.approx(2.0, abs=0.25), name


@pytest.mark.parametrize(
    ("name", "container", "size", "pages"),
    [
        ("picture.bmp", "bmp", (320, 180), 1),
        ("picture.jxl", "jxl", (320, 180), 1),
        ("picture.tiff", "tiff", (320, 180), 1),
        ("picture.webp", "webp", (320, 180), 1),
        ("picture.avif", "avif", (320, 180), 1),
        ("moving.gif", "gif", (320, 180), 5),
    ],
)
async def test_pictures_have_a_size(
    toolbox: Toolbox, samples: Samples, name: str, container: str, size: tuple[int, int], pages: int
) -> None:
    info = await toolbox.probe(samples.get(name), LIMITS)
    assert (info.kind, info.container, info.demuxer) == (MediaKind.IMAGE, container, "")
    assert ((info.width, info.height), info.pages) == (size, pages)


async def test_photographs_have_a_size(toolbox: Toolbox) -> None:
    rocket, cat = await toolbox.probe(PHOTOGRAPH, LIMITS), await toolbox.probe(CAT, LIMITS)
    assert (rocket.container, rocket.width, rocket.height) == ("jpeg", 640, 427)
    assert (cat.container, cat.width, cat.height) == ("png", 451, 300)


async def test_a_document_has_pages(toolbox: Toolbox, samples: Samples) -> None:
    info = await toolbox.probe(samples.write("letter.pdf", LETTER), LIMITS)
    assert (info.kind, info.pages, info.width, info.height) == (MediaKind.PDF, 3, 595, 842)


@pytest.mark.parametrize(("counterclockwise", "rotation"), [(90, 270), (180, 180), (270, 90)])
async def test_a_turned_film_is_told_upright(
    toolbox: Toolbox, samples: Samples, counterclockwise: int, rotation: int
) -> None:
    info = await toolbox.probe(samples.rotated(counterclockwise), LIMITS)
    assert info.video is not None
    assert info.video.rotation == rotation
    upright = (180, 320) if rotation in (90, 270) else (320, 180)
    assert (info.video.width, info.video.height) == upright


async def test_oblong_pixels_are_made_square(toolbox: Toolbox, samples: Samples) -> None:
    info = await toolbox.probe(samples.get("wide.mp4"), LIMITS)
    assert info.video is not None
    assert (info.video.width, info.video.height, info.video.coded_width) == (427, 180, 320)


async def test_high_dynamic_range_is_recognised(toolbox: Toolbox, samples: Samples) -> None:
    info = await toolbox.probe(samples.get("hdr.mp4"), LIMITS)
    assert info.video is not None
    assert info.video.is_hdr


async def test_a_cover_is_not_a_film(toolbox: Toolbox, samples: Samples) -> None:
    info = await toolbox.probe(samples.song_with_cover(), LIMITS)
    assert info.kind is MediaKind.AUDIO
    assert [s.is_attached_picture for s in info.streams] == [False, True]


async def test_the_language_of_a_track_is_told(toolbox: Toolbox, samples: Samples) -> None:
    info = await toolbox.probe(samples.get("film.mkv"), LIMITS)
    assert info.audio is not None
    assert info.audio.language in ("deu", "ger")


async def test_the_length_of_a_file_that_does_not_say_it_is_measured(
    toolbox: Toolbox, samples: Samples
) -> None:
    info = await toolbox.probe(samples.get("endless.mkv"), LIMITS)
    assert info.duration_seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("name", ["film.mp4", "fast.mp4"])
async def test_a_film_that_is_cut_off_is_refused(
    toolbox: Toolbox, samples: Samples, name: str
) -> None:
    with pytest.raises(MediaInputError, match="cut off") as caught:
        await toolbox.probe(samples.truncated(name), LIMITS)
    assert caught.value.code == "broken_file"


async def test_a_film_without_its_index_is_refused(toolbox: Toolbox, samples: Samples) -> None:
    headless = samples.write(
        "headless.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isomavc1" + b"\0\0\0\x08free"
    )
    with pytest.raises(MediaInputError, match="moov atom") as caught:
        await toolbox.probe(headless, LIMITS)
    assert caught.value.code == "broken_file"
    assert caught.value.log


BOMB = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xc3\x50\0\0\xc3\x50\x08\x02\0\0\0\xd1\x2e\x4d\x5c"
    b"\0\0\0\x00IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82"
)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("empty", b"", "empty_file"),
        ("text.mp4", b"this is not a film\n", "unsupported_container"),
        ("list.m3u8", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "unsupported_container"),
        ("list.txt", b"ffconcat version 1.0\nfile '/etc/passwd'\n", "unsupported_container"),
        ("list.mpd", b"<?xml version='1.0'?><MPD><BaseURL>/etc/passwd</BaseURL></MPD>",
         "unsupported_container"),
        ("broken.jpg", b"\xff\xd8\xff\xe0" + bytes(500), "broken_file"),
        ("broken.mkv", b"\x1a\x45\xdf\xa3" + bytes(500), "broken_file"),
        ("broken.pdf", b"%PDF-1.7\n" + bytes(500), "broken_file"),
        ("encrypted.pdf", ENCRYPTED, "encrypted_pdf"),
        ("bomb.png", BOMB, "too_many_pixels"),
    ],
)  # fmt: skip
async def test_what_is_no_good_is_refused_with_a_code(
    toolbox: Toolbox, samples: Samples, name: str, content: bytes, code: str
) -> None:
    with pytest.raises(MediaInputError) as caught:
        await toolbox.probe(samples.write(name, content), LIMITS)
    assert caught.value.code == code


async def test_large_frames_are_refused(toolbox: Toolbox, samples: Samples) -> None:
    with pytest.raises(MediaInputError) as caught:
        await toolbox.probe(samples.get("film.mp4"), Limits(max_pixels=10_000))
    assert caught.value.code == "too_many_pixels"


async def test_a_document_with_too_many_pages_is_refused(
    toolbox: Toolbox, samples: Samples
) -> None:
    with pytest.raises(MediaInputError) as caught:
        await toolbox.probe(samples.write("letter.pdf", LETTER), Limits(max_pages=2))
    assert caught.value.code == "too_many_pages"


@pytest.mark.parametrize("name", ["film.mp4", "film.webm", "sound.mp3", "picture.webp"])
async def test_good_files_can_be_decoded(toolbox: Toolbox, samples: Samples, name: str) -> None:
    path = samples.get(name)
    await toolbox.check_decodable(path, await toolbox.probe(path, LIMITS), LIMITS)


async def test_a_film_of_rubbish_cannot_be_decoded(toolbox: Toolbox, samples: Samples) -> None:
    whole = samples.get("fast.mp4")
    info = await toolbox.probe(whole, LIMITS)
    content = bytearray(whole.read_bytes())
    middle = content.index(b"mdat") + 4
    content[middle:] = bytes(len(content) - middle)
    with pytest.raises(MediaInputError) as caught:
        await toolbox.check_decodable(samples.write("rubbish.mp4", bytes(content)), info, LIMITS)
    assert caught.value.code == "undecodable"


async def test_a_picture_that_is_cut_off_cannot_be_decoded(
    toolbox: Toolbox, samples: Samples
) -> None:
    content = PHOTOGRAPH.read_bytes()
    half: Path = samples.write("half.jpg", content[: len(content) // 2])
    info = await toolbox.probe(half, LIMITS)
    with pytest.raises(MediaInputError) as caught:
        await toolbox.check_decodable(half, info, LIMITS)
    assert caught.value.code == "broken_file"
