"""The sound half of a command line: encoder, bit rate, channels.

Pure. Used by `transcode` and `convert`.
"""

from __future__ import annotations

from dataclasses import dataclass

from mediaconvert.errors import MediaInputError
from mediaconvert.media import StreamInfo
from mediaconvert.operations.codecs import LOSSY_AUDIO, AudioCodec
from mediaconvert.operations.fields import rate_text
from mediaconvert.operations.formats import Container
from mediaconvert.operations.video_encoding import Track

# What Opus' channel mapping family 1 knows; libopus refuses "5.1(side)", which every AC-3 has.
_OPUS_LAYOUTS = "7.1|6.1|5.1|5.0|quad|3.0|stereo|mono"


@dataclass(frozen=True, slots=True)
class AudioSettings:
    codec: AudioCodec
    bitrate: int | None = None
    sample_rate: int | None = None
    channels: int | None = None


def encode_audio(settings: AudioSettings, stream: StreamInfo) -> Track:
    """Map and encode one sound track."""
    codec = settings.codec
    arguments = ["-map", f"0:{stream.index}", "-c:a", codec.encoder]
    reasons = []
    channels = settings.channels
    if channels is None and stream.channels is not None and stream.channels > codec.max_channels:
        # LAME writes at most two; beyond eight there are no layouts, only microphones.
        channels = 2
        reasons.append(f"{stream.channels} channels are mixed down to stereo")
    if channels is not None:
        arguments += ["-ac", f"{channels}"]
    written = channels or stream.channels or 2
    if settings.sample_rate is not None:
        arguments += ["-ar", f"{settings.sample_rate}"]
    if codec.name == "opus" and written > 2:
        arguments += ["-af", f"aformat=channel_layouts={_OPUS_LAYOUTS}"]
    if codec.name == "flac" and (stream.codec in LOSSY_AUDIO or stream.codec == "pcm_s16le"):
        arguments += ["-sample_fmt", "s16"]
    if codec.bitrates is None:
        reasons.append(f"sound encoded as {codec.name}, lossless")
        return Track(tuple(arguments), tuple(reasons))
    rate = settings.bitrate
    if rate is None:
        lowest, highest = codec.bitrates
        rate = max(lowest, min(codec.default_channel_bitrate * written, highest))
    arguments += ["-b:a", rate_text(rate)]
    reasons.append(f"sound encoded as {codec.name} at {rate_text(rate)}bit/s")
    return Track(tuple(arguments), tuple(reasons))


def copy_audio(stream: StreamInfo, container: Container) -> Track:
    """Map and copy. Raises `codec_does_not_fit` where the container cannot hold the track."""
    if container.copied_audio is not None and stream.codec not in container.copied_audio:
        raise MediaInputError(
            "codec_does_not_fit",
            f"audio_codec 'copy' would keep {stream.codec}, which .{container.extensions[0]} "
            f"cannot hold; it holds {', '.join(sorted(container.copied_audio))}",
        )
    return Track(
        ("-map", f"0:{stream.index}", "-c:a", "copy"),
        (f"the {stream.codec} sound is copied as it is",),
        is_copied=True,
    )
