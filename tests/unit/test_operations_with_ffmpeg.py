"""The planned command lines, run by the real ffmpeg on clips that it made itself: every codec,
container and filter chain is accepted by the build that is shipped, and gives what was planned."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import pytest
import pyvips

from mediaconvert.media import FfmpegCommand, MediaInfo
from mediaconvert.operations import BY_NAME
from tests.unit.pipeline_texts import film

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
QUIET = [FFMPEG, "-nostdin", "-hide_banner", "-y", "-loglevel", "error"]

FAST = {"preset": "ultrafast"}


def ffmpeg(*arguments: str, cwd: Path | None = None) -> None:
    done = subprocess.run([*QUIET, *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def described(path: Path) -> str:
    """What ffmpeg says about a file: its `Stream` and `Duration` lines."""
    done = subprocess.run([FFMPEG, "-hide_banner", "-i", path], capture_output=True, text=True)
    return "\n".join(re.findall(r"^ *(?:Duration|Stream).*$", done.stderr, re.MULTILINE))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`film.mp4`: 320x180, 2 s of pictures, 5 s of sound. `surround.mkv`: AC-3 5.1(side).
    `hdr.mp4`: HEVC, PQ. `rotated.mp4`: upright when turned. `red.mp4`: one colour."""
    folder = tmp_path_factory.mktemp("clips")
    picture = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=2"]
    x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    sound = ["-f", "lavfi", "-i", "sine=d=5"]
    ffmpeg(*picture, *sound, *x264, "-c:a", "aac", "-ac", "2", "film.mp4", cwd=folder)
    side = ["-f", "lavfi", "-i", "sine=d=1,aformat=channel_layouts=5.1(side)"]
    ffmpeg(*picture, *side, *x264, "-c:a", "ac3", "surround.mkv", cwd=folder)
    x265 = "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    hevc = ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le"]
    ffmpeg(*picture, *hevc, "-x265-params", x265, "hdr.mp4", cwd=folder)
    ffmpeg("-display_rotation", "90", "-i", "film.mp4", "-c", "copy", "rotated.mp4", cwd=folder)
    red = ["-f", "lavfi", "-i", "color=red:s=320x180:r=25:d=2"]
    ffmpeg(*red, *x264, "red.mp4", cwd=folder)
    return folder


FILM = replace(film(width=320, height=180, seconds=5.0))
# The container tells how long the pictures are: three seconds less than the sound.
FILM = replace(FILM, streams=(replace(FILM.streams[0], duration_seconds=2.0), FILM.streams[1]))
HDR = film(width=320, height=180, seconds=2.0, codec="hevc", sound=None, is_hdr=True)
ROTATED = film(width=180, height=320, seconds=5.0)
SURROUND = film(container="matroska", width=320, height=180, seconds=2.0, sound="ac3", channels=6)
RED = film(width=320, height=180, seconds=2.0, sound=None)


def run(
    source: Path, info: MediaInfo, operation: str, output: str, work: Path, **params: object
) -> list[Path]:
    """Plan, run every command, and give back the files in the order of the plan."""
    chosen = BY_NAME[operation].model_validate(params)
    assert list(chosen.complaints(output)) == []
    planned = chosen.plan(info, output, threads=1)
    (work / "out").mkdir()
    for command in planned.commands:
        assert isinstance(command, FfmpegCommand)
        assert command.output_arguments[-1] == f"out/{command.output_names[0]}"
        before = [*command.input_arguments, "-i", str(source)]
        ffmpeg(*before, *command.output_arguments, cwd=work)
    return [work / "out" / file.work_name for file in planned.files]


@pytest.mark.parametrize(
    ("output", "params", "expected"),
    [
        ("a.mp4", {"height": 90}, ["h264 (", "yuv420p", "160x90", "aac"]),
        ("a.mp4", {"codec": "h265"}, ["hevc", "hvc1"]),
        ("a.mov", {"codec": "h265", "pixel_format": "yuv420p10"}, ["hevc", "yuv420p10le"]),
        ("a.mkv", {"codec": "vp9", "audio_codec": "flac"}, ["vp9", "flac"]),
        ("a.webm", {}, ["vp9", "opus"]),
        ("a.webm", {"codec": "av1", "quality": 0}, ["av1", "opus"]),
        ("a.mp4", {"codec": "av1", "audio_codec": "mp3"}, ["av1", "mp3"]),
        ("a.mp4", {"codec": "av1", "bitrate": "300k"}, ["av1"]),
        ("a.mp4", {"codec": "av1", "max_bitrate": "300k"}, ["av1"]),
        ("a.webm", {"bitrate": "300k", "max_bitrate": "500k"}, ["vp9"]),
        ("a.webm", {"max_bitrate": "500k", "preset": "fast"}, ["vp9"]),
        ("a.mp4", {"fps": 29.97, "width": 640, "upscale": True}, ["640x360", "29.97 fps"]),
        ("a.mp4", {"start": 0.5, "duration": "0:01"}, ["Duration: 00:00:01.0"]),
        ("a.mp4", {"codec": "none"}, ["aac"]),
    ],
)
def test_film_is_transcoded_as_planned(
    clips: Path, tmp_path: Path, output: str, params: dict[str, object], expected: list[str]
) -> None:
    wanted = params if params.get("codec") == "none" else {**FAST, "duration": 1, **params}
    (made,) = run(clips / "film.mp4", FILM, "transcode", output, tmp_path, **wanted)
    found = described(made)
    assert all(words in found for words in expected), found


@pytest.mark.parametrize(
    "output", ["a.mp3", "a.aac", "a.m4a", "a.opus", "a.ogg", "a.flac", "a.wav", "a.mp4", "a.webm"]
)
def test_surround_sound_goes_into_every_container(clips: Path, tmp_path: Path, output: str) -> None:
    params = FAST if output in ("a.mp4", "a.webm") else {}
    (made,) = run(clips / "surround.mkv", SURROUND, "transcode", output, tmp_path, **params)
    assert ("stereo" if output == "a.mp3" else "5.1") in described(made)


@pytest.mark.parametrize("output", ["a.mp4", "a.mov", "a.mkv", "a.m4a", "a.mp3", "a.wav"])
def test_film_is_converted_to_every_container(clips: Path, tmp_path: Path, output: str) -> None:
    (made,) = run(clips / "film.mp4", FILM, "convert", output, tmp_path)
    assert "Duration: 00:00:05" in described(made)


def test_hdr_film_becomes_an_sdr_film(clips: Path, tmp_path: Path) -> None:
    (made,) = run(clips / "hdr.mp4", HDR, "transcode", "a.mp4", tmp_path, **FAST)
    assert "yuv420p(tv, bt709" in described(made)


def test_rotated_film_comes_out_upright(clips: Path, tmp_path: Path) -> None:
    (made,) = run(
        clips / "rotated.mp4", ROTATED, "transcode", "a.mp4", tmp_path, duration=1, **FAST
    )
    assert "180x320" in described(made)
    assert "rotation" not in described(made)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp"])
def test_frame_has_the_colour_of_the_film(clips: Path, tmp_path: Path, ending: str) -> None:
    (made,) = run(
        clips / "red.mp4", RED, "extract_frame", f"a.{ending}", tmp_path, timestamp=1, quality=95
    )
    picture = pyvips.Image.new_from_file(str(made))
    assert (picture.width, picture.height) == (320, 180)
    red, green, blue = picture.getpoint(10, 10)[:3]
    assert red > 245
    assert max(green, blue) < 10


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ({"width": 100, "height": 100}, (100, 56)),
        ({"width": 101, "height": 103, "mode": "fill", "background": "#00ff00"}, (101, 103)),
        ({"width": 101, "height": 103, "mode": "crop", "gravity": "north-east"}, (101, 103)),
        ({"width": 101, "height": 103, "mode": "exact"}, (101, 103)),
        ({"width": 640}, (320, 180)),
        ({"width": 640, "upscale": True}, (640, 360)),
    ],
)
def test_thumbnails_have_the_size_that_was_asked_for(
    clips: Path, tmp_path: Path, params: dict[str, object], size: tuple[int, int]
) -> None:
    (made,) = run(clips / "film.mp4", FILM, "generate_thumbnail", "a.png", tmp_path, **params)
    picture = pyvips.Image.new_from_file(str(made))
    assert (picture.width, picture.height) == size
    if params.get("mode") == "fill":
        assert picture.getpoint(0, 0)[:3] == [0, 255, 0]


def test_moments_after_the_last_picture_show_the_last_picture(clips: Path, tmp_path: Path) -> None:
    moments = ["1.96", "1.999", 2.5, 4.999, "100%"]
    made = run(clips / "film.mp4", FILM, "extract_frame", "{n}.png", tmp_path, timestamps=moments)
    assert len({path.read_bytes() for path in made}) == 1


@pytest.mark.parametrize(
    "params", [{"width": 81}, {"width": 51, "height": 33, "mode": "crop"}], ids=["fit", "crop"]
)
def test_hdr_frame_is_written_in_odd_sizes_too(
    clips: Path, tmp_path: Path, params: dict[str, object]
) -> None:
    (made,) = run(clips / "hdr.mp4", HDR, "generate_thumbnail", "a.jpg", tmp_path, **params)
    assert pyvips.Image.new_from_file(str(made)).width == params["width"]
