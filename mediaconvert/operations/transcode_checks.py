"""What can be wrong with a `transcode` step before any input is known.

Pure. Ranges of single parameters are their types' business; here stands what depends on the
codec, on the container that the output's name says, or on another parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mediaconvert.operations.base import Complaint
from mediaconvert.operations.codecs import AUDIO_CODECS, VIDEO_CODECS
from mediaconvert.operations.fields import rate_text
from mediaconvert.operations.formats import (
    CONTAINERS,
    Container,
    container,
    dotted,
    extensions_for_audio,
    extensions_for_video,
)

if TYPE_CHECKING:
    from mediaconvert.operations.transcode import TranscodeParams

_VIDEO_ONLY = (
    "quality",
    "bitrate",
    "max_bitrate",
    "preset",
    "width",
    "height",
    "upscale",
    "fps",
    "pixel_format",
)
_AUDIO_ONLY = ("audio_bitrate", "sample_rate", "channels")


def transcode_complaints(params: TranscodeParams, output: str) -> Iterator[Complaint]:
    """Every contradiction between the parameters and the output's name."""
    target = container(output)
    if target is None:
        every = dotted(ext for known in CONTAINERS for ext in known.extensions)
        yield Complaint("output", f"'{output}' is no video or sound file; its name ends in {every}")
        return
    yield from _codecs(params, target, output)
    yield from _video(params, params.video_choice(target))
    yield from _audio(params, params.audio_choice(target))


def _codecs(params: TranscodeParams, target: Container, output: str) -> Iterator[Complaint]:
    video, audio = params.video_choice(target), params.audio_choice(target)
    if video in VIDEO_CODECS and video not in target.video_codecs:
        works = dotted(extensions_for_video(video))
        yield Complaint(
            "output", f"codec {video} does not go into '{output}'; it goes into {works}"
        )
    if video == "copy" and not target.has_video:
        yield Complaint(
            "params.codec", f"'{output}' is a sound file; codec 'copy' would keep a video track"
        )
    if audio in AUDIO_CODECS and audio not in target.audio_codecs:
        works = dotted(extensions_for_audio(audio))
        yield Complaint(
            "params.audio_codec",
            f"audio_codec {audio} does not go into '{output}', which takes "
            f"{' or '.join(target.audio_codecs)}; {audio} goes into {works}",
        )
    if video == "none" and audio == "none":
        yield Complaint("params.audio_codec", "without video and without sound nothing is left")


def _video(params: TranscodeParams, choice: str) -> Iterator[Complaint]:
    codec = VIDEO_CODECS.get(choice)
    if codec is None:
        for name in _VIDEO_ONLY:
            if name in params.model_fields_set and getattr(params, name) is not None:
                why = "keeps the track as it is" if choice == "copy" else "drops the video"
                yield Complaint(f"params.{name}", f"codec '{choice}' {why}; leave {name} out")
        return
    if params.quality is not None and params.quality > codec.max_quality:
        yield Complaint(
            "params.quality",
            f"must be from 0 to {codec.max_quality} for {codec.name}, not {params.quality}",
        )
    if params.quality is not None and params.bitrate is not None:
        yield Complaint(
            "params.bitrate", "give quality or bitrate, not both; max_bitrate may cap a quality"
        )
    if params.max_bitrate is not None and params.bitrate is not None:
        if params.max_bitrate < params.bitrate:
            yield Complaint(
                "params.max_bitrate",
                f"must be at least the bitrate of {rate_text(params.bitrate)}, not "
                f"{rate_text(params.max_bitrate)}",
            )
        if codec.name == "av1":
            yield Complaint(
                "params.max_bitrate",
                "av1 (SVT-AV1) caps only a quality, not a bitrate; leave one of them out",
            )
    if params.pixel_format not in codec.pixel_formats:
        yield Complaint(
            "params.pixel_format",
            f"{codec.name} is written as {' or '.join(codec.pixel_formats)}, "
            f"not {params.pixel_format}",
        )


def _audio(params: TranscodeParams, choice: str) -> Iterator[Complaint]:
    codec = AUDIO_CODECS.get(choice)
    if codec is None:
        for name in _AUDIO_ONLY:
            if getattr(params, name) is not None:
                why = "keeps the track as it is" if choice == "copy" else "drops the sound"
                yield Complaint(f"params.{name}", f"audio_codec '{choice}' {why}; leave {name} out")
        return
    rate = params.audio_bitrate
    if rate is not None and codec.bitrates is None:
        yield Complaint("params.audio_bitrate", f"{codec.name} is lossless and has no bit rate")
    elif rate is not None and codec.bitrates is not None:
        lowest, highest = codec.bitrates
        if not lowest <= rate <= highest:
            yield Complaint(
                "params.audio_bitrate",
                f"must be from {rate_text(lowest)} to {rate_text(highest)} for {codec.name}, "
                f"not {rate_text(rate)}",
            )
    asked = params.sample_rate
    if asked is not None and codec.sample_rates and asked not in codec.sample_rates:
        listed = ", ".join(f"{known}" for known in codec.sample_rates)
        yield Complaint(
            "params.sample_rate", f"must be one of {listed} for {codec.name}, not {asked}"
        )
    if params.channels is not None and params.channels > codec.max_channels:
        yield Complaint(
            "params.channels",
            f"must be at most {codec.max_channels} for {codec.name}, not {params.channels}",
        )
