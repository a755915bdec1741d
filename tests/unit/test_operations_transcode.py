"""`transcode` and `convert`: what fits together, and the argv that comes of it."""

from __future__ import annotations

import pytest

from mediaconvert.errors import MediaInputError
from mediaconvert.media import FfmpegCommand, MediaInfo, MediaKind
from mediaconvert.operations import BY_NAME, OperationPlan
from mediaconvert.operations.transcode import TranscodeParams
from tests.unit.pipeline_texts import document, film, photograph, recording


def plan(
    operation: str, output: str, info: MediaInfo, threads: int = 0, **params: object
) -> OperationPlan:
    chosen = BY_NAME[operation].model_validate(params)
    assert list(chosen.complaints(output)) == []
    return chosen.plan(info, output, threads=threads)


def argv(operation: str, output: str, info: MediaInfo, threads: int = 0, **params: object) -> str:
    """Everything of the one command but its fixed parts, as one line."""
    (command,) = plan(operation, output, info, threads, **params).commands
    assert isinstance(command, FfmpegCommand)
    before = " ".join(command.input_arguments)
    return f"{before} -i input {' '.join(command.output_arguments)}".strip()


def refusal(operation: str, output: str, info: MediaInfo, **params: object) -> tuple[str, str]:
    with pytest.raises(MediaInputError) as caught:
        plan(operation, output, info, **params)
    return caught.value.code, caught.value.message


def complaints(output: str, **params: object) -> list[tuple[str, str]]:
    chosen = TranscodeParams.model_validate(params)
    return [(one.where, one.message) for one in chosen.complaints(output)]


def test_h264_with_defaults_is_the_command_that_plays_everywhere() -> None:
    assert argv("transcode", "a.mp4", film()) == (
        "-i input -map 0:0 -c:v libx264 -preset medium -crf 23 "
        "-vf scale=1920:1080:out_range=tv,setsar=1,format=yuv420p -fps_mode vfr "
        "-map 0:1 -c:a aac -b:a 128k -map_metadata -1 -map_chapters -1 "
        "-movflags +faststart -f mp4 out/0.mp4"
    )


def test_plan_names_the_file_the_length_and_the_reasons() -> None:
    made = plan("transcode", "sub/film.mp4", film(seconds=60), duration=10, start=55)
    (command,) = made.commands
    assert isinstance(command, FfmpegCommand)
    assert command.expected_seconds == 5.0
    assert command.demuxer == "mov"
    assert command.output_names == ("0.mp4",)
    (file,) = made.files
    assert (file.work_name, file.output_name) == ("0.mp4", "sub/film.mp4")
    assert (file.content_type, file.kind) == ("video/mp4", MediaKind.VIDEO)
    assert "encoded as h264 at constant quality 23 (the default), preset medium" in made.reasons


@pytest.mark.parametrize(
    ("output", "params", "expected"),
    [
        ("a.mp4", {"codec": "hevc"}, "-c:v libx265 -preset medium -crf 28 -x265-params"),
        ("a.mp4", {"codec": "hevc"}, "-tag:v hvc1"),
        ("a.mov", {"codec": "hevc"}, "-tag:v hvc1"),
        ("a.webm", {}, "-c:v libvpx-vp9 -deadline good -cpu-used 3 -row-mt 1 -tile-columns 2"),
        ("a.webm", {}, "-crf 32 -b:v 0"),
        ("a.webm", {}, "-c:a libopus -b:a 128k"),
        ("a.webm", {"preset": "ultrafast"}, "-deadline realtime -cpu-used 8"),
        ("a.webm", {"max_bitrate": "2M"}, "-crf 32 -b:v 2M"),
        ("a.webm", {"codec": "av1"}, "-c:v libsvtav1 -preset 8 -crf 35"),
        ("a.mp4", {"codec": "av1", "preset": "veryslow"}, "-preset 2"),
        ("a.mp4", {"codec": "av1", "quality": 0}, "-svtav1-params crf=0"),
        ("a.mp4", {"bitrate": "2.5M"}, "-preset medium -b:v 2500k"),
        ("a.mp4", {"max_bitrate": "4M"}, "-crf 23 -maxrate 4M -bufsize 8M"),
        ("a.mp4", {"width": 1280}, "scale=1280:720:"),
        ("a.mp4", {"height": 4320}, "scale=1920:1080:"),
        ("a.mp4", {"height": 2160, "upscale": True}, "scale=3840:2160:"),
        ("a.mp4", {"fps": 29.97}, "-vf fps=30000/1001,scale"),
        ("a.mp4", {"start": "0:10", "duration": 2.5}, "-ss 10 -t 2.5 -i input"),
        ("a.mp4", {"pixel_format": "yuv420p10"}, "format=yuv420p10le"),
        ("a.mp4", {"audio_codec": "opus", "audio_bitrate": "96k"}, "-c:a libopus -b:a 96k"),
        ("a.mp4", {"sample_rate": 48000, "channels": 1}, "-ac 1 -ar 48000 -b:a 64k"),
        ("a.mp3", {}, "-i input -map 0:1 -c:a libmp3lame -b:a 192k"),
        ("a.wav", {}, "-c:a pcm_s16le -map_metadata -1 -map_chapters -1 -f wav out/0.wav"),
        ("a.flac", {}, "-c:a flac -sample_fmt s16"),
        ("a.m4a", {}, "-movflags +faststart -f ipod out/0.m4a"),
        ("a.mkv", {"codec": "copy", "audio_codec": "copy"}, "-c:v copy -map 0:1 -c:a copy"),
        ("a.mp4", {"codec": "copy", "start": 3}, "-avoid_negative_ts make_zero"),
    ],
)
def test_params_become_arguments(output: str, params: dict[str, object], expected: str) -> None:
    assert expected in argv("transcode", output, film(), **params)


def test_threads_bound_the_encoders_own_pools() -> None:
    assert "log-level=error:pools=2" in argv("transcode", "a.mp4", film(), 2, codec="h265")
    assert "-svtav1-params lp=2" in argv("transcode", "a.mp4", film(), 2, codec="av1")


def test_faststart_can_be_switched_off_and_means_nothing_to_webm() -> None:
    assert "faststart" not in argv("transcode", "a.mp4", film(), faststart=False)
    assert "faststart" not in argv("transcode", "a.webm", film())


def test_hdr_is_mapped_to_sdr_only_where_eight_bits_are_written() -> None:
    hdr = film(is_hdr=True, pixel_format="yuv420p10le")
    assert "tonemap=tonemap=hable" in argv("transcode", "a.mp4", hdr)
    assert "tonemap" not in argv("transcode", "a.mp4", hdr, pixel_format="yuv420p10le")
    assert "tonemap" not in argv("transcode", "a.mp4", film())


def test_silent_film_is_no_error_and_audio_params_do_nothing() -> None:
    made = plan("transcode", "a.mp4", film(sound=None), audio_bitrate="64k")
    (command,) = made.commands
    assert isinstance(command, FfmpegCommand)
    assert "-c:a" not in command.output_arguments
    assert "the input has no sound" in made.reasons


def test_sound_can_be_dropped_and_video_can_be_dropped() -> None:
    assert "-c:a" not in argv("transcode", "a.mp4", film(), audio_codec="none")
    made = plan("transcode", "a.mp4", film(), codec="none")
    assert made.files[0].kind is MediaKind.AUDIO
    assert "-c:v" not in argv("transcode", "a.mp4", film(), codec="none")


def test_cover_picture_of_a_recording_is_never_taken_for_a_film() -> None:
    assert argv("transcode", "a.mp3", recording()).startswith("-i input -map 0:1 -c:a")
    code, message = refusal("transcode", "a.mp4", recording())
    assert code == "no_video_stream"
    assert "it is a sound file (mp3, 180.0 s)" in message


def test_channels_are_mixed_down_where_the_codec_has_fewer() -> None:
    surround = film(sound="ac3", channels=6)
    assert "-ac 2 -b:a 192k" in argv("transcode", "a.mp3", surround)
    assert "-ac" not in argv("transcode", "a.m4a", surround).split()
    assert "-b:a 384k" in argv("transcode", "a.m4a", surround)
    # libopus refuses AC-3's "5.1(side)".
    assert "-af aformat=channel_layouts=7.1|6.1|5.1|" in argv("transcode", "a.opus", surround)


def test_clock_that_poses_as_a_frame_rate_is_tamed() -> None:
    assert "fps=60," in argv("transcode", "a.mp4", film(fps=1000.0))


@pytest.mark.parametrize(
    ("info", "output", "params", "code", "words"),
    [
        (document(), "a.mp4", {}, "no_video_stream", "the input is a PDF of 3 pages"),
        (photograph(), "a.mp4", {}, "no_video_stream", "an image (jpeg, 4000x3000)"),
        (film(sound=None), "a.mp3", {}, "no_audio_stream", "needs a sound track"),
        (film(sound=None), "a.mp4", {"codec": "none"}, "no_audio_stream", "a sound track"),
        (film(seconds=9), "a.mp4", {"start": 9}, "timestamp_out_of_range", "00:00:09 long"),
        (film(codec="mpeg2video"), "a.mp4", {"codec": "copy"}, "codec_does_not_fit", "mpeg2video"),
        (film(sound="vorbis"), "a.mp4", {"audio_codec": "copy"}, "codec_does_not_fit", "vorbis"),
        (film(width=20, height=10), "a.mp4", {"codec": "h265"}, "frame_too_small", "16x16"),
    ],
)
def test_input_that_lacks_what_was_asked_is_refused(
    info: MediaInfo, output: str, params: dict[str, object], code: str, words: str
) -> None:
    found, message = refusal("transcode", output, info, **params)
    assert found == code
    assert words in message


@pytest.mark.parametrize(
    ("output", "params", "where", "words"),
    [
        ("a.webm", {"codec": "h264"}, "output", "it goes into .mp4, .mov and .mkv"),
        ("a.mov", {"codec": "vp9"}, "output", "it goes into .mp4, .webm and .mkv"),
        ("a.mov", {"codec": "av1"}, "output", "it goes into .mp4, .webm and .mkv"),
        ("a.mp3", {"codec": "h264"}, "output", "it goes into .mp4, .mov and .mkv"),
        ("a.mp3", {"codec": "copy"}, "params.codec", "'a.mp3' is a sound file"),
        ("a.webm", {"audio_codec": "aac"}, "params.audio_codec", "which takes opus"),
        ("a.wav", {"audio_codec": "mp3"}, "params.audio_codec", "which takes pcm"),
        ("a.mp4", {"codec": "none", "audio_codec": "none"}, "params.audio_codec", "nothing is"),
        ("a.mp4", {"quality": 52}, "params.quality", "from 0 to 51 for h264"),
        ("a.mp4", {"quality": 1, "bitrate": "1M"}, "params.bitrate", "not both"),
        ("a.mp4", {"bitrate": "2M", "max_bitrate": "1M"}, "params.max_bitrate", "at least"),
        ("a.mp4", {"codec": "copy", "width": 640}, "params.width", "leave width out"),
        ("a.mp4", {"codec": "copy", "quality": 20}, "params.quality", "leave quality out"),
        ("a.mp3", {"fps": 25}, "params.fps", "drops the video"),
        ("a.mp4", {"audio_codec": "copy", "channels": 2}, "params.channels", "as it is"),
        ("a.flac", {"audio_bitrate": "128k"}, "params.audio_bitrate", "lossless"),
        ("a.mp3", {"audio_bitrate": "400k"}, "params.audio_bitrate", "8k to 320k for mp3"),
        ("a.mp3", {"channels": 6}, "params.channels", "at most 2 for mp3"),
        ("a.opus", {"sample_rate": 44100}, "params.sample_rate", "one of 8000, 12000"),
        (
            "a.mp4",
            {"codec": "av1", "pixel_format": "yuv444p"},
            "params.pixel_format",
            "yuv420p or yuv420p10le",
        ),
        (
            "a.mp4",
            {"codec": "av1", "bitrate": "1M", "max_bitrate": "2M"},
            "params.max_bitrate",
            "caps only a quality",
        ),
        ("a.avi", {}, "output", "its name ends in .mp4"),
    ],
)
def test_contradiction_is_found_before_any_input_is_known(
    output: str, params: dict[str, object], where: str, words: str
) -> None:
    found = complaints(output, **params)
    assert [place for place, _ in found] == [where]
    assert words in found[0][1]


@pytest.mark.parametrize("quality", [0, 63])
@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_vp9_and_av1_have_the_wider_quality_range(codec: str, quality: int) -> None:
    assert complaints("a.webm", codec=codec, quality=quality) == []


# --- convert ------------------------------------------------------------------------------


def test_convert_copies_tracks_that_the_new_container_can_hold() -> None:
    line = argv("convert", "a.mp4", film(container="matroska", codec="hevc"))
    assert "-map 0:0 -c:v copy -tag:v hvc1 -map 0:1 -c:a copy" in line


def test_convert_encodes_what_the_new_container_cannot_hold() -> None:
    line = argv("convert", "a.webm", film())
    assert "libvpx-vp9" in line
    assert "libopus" in line
    mixed = argv("convert", "a.mp4", film(container="matroska", sound="vorbis"))
    assert "-c:v copy" in mixed
    assert "-c:a aac" in mixed


def test_convert_encodes_from_containers_without_reliable_times() -> None:
    assert "libx264" in argv("convert", "a.mp4", film(container="avi"))


def test_convert_with_a_quality_encodes_the_video() -> None:
    assert "-c:v libx264 -preset medium -crf 30" in argv("convert", "a.mp4", film(), quality=30)


def test_convert_takes_the_sound_of_a_film() -> None:
    assert argv("convert", "a.m4a", film()).startswith("-i input -map 0:1 -c:a copy")
    assert "libmp3lame" in argv("convert", "a.mp3", film())
    assert refusal("convert", "a.mp3", film(sound=None))[0] == "no_audio_stream"


def test_convert_keeps_silent_films_silent() -> None:
    assert "-c:a" not in argv("convert", "a.mkv", film(sound=None))


@pytest.mark.parametrize(
    ("info", "output", "code"),
    [
        (recording(), "a.mp4", "no_video_stream"),
        (document(), "a.mp3", "no_audio_stream"),
        (document(), "a.mp4", "no_video_stream"),
        (film(), "a.jpg", "not_an_image"),
    ],
)
def test_convert_refuses_inputs_of_another_kind(info: MediaInfo, output: str, code: str) -> None:
    assert refusal("convert", output, info)[0] == code


@pytest.mark.parametrize(
    ("output", "params", "where"),
    [
        ("a.txt", {}, "output"),
        ("a", {}, "output"),
        ("a.jpg", {"quality": 0}, "params.quality"),
        ("a.jpg", {"lossless": True}, "params.lossless"),
        ("a.webp", {"lossless": True, "quality": 3}, "params.quality"),
        ("a.mp4", {"page": 2}, "params.page"),
        ("a.mp4", {"quality": 60}, "params.quality"),
        ("a.mp3", {"quality": 60}, "params.quality"),
        ("a.mp3", {"dpi": 60}, "params.dpi"),
    ],
)
def test_convert_finds_contradictions(output: str, params: dict[str, object], where: str) -> None:
    chosen = BY_NAME["convert"].model_validate(params)
    assert [one.where for one in chosen.complaints(output)] == [where]
