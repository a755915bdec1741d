"""The codecs that we encode: their names, encoders, ranges and presets.

Pure tables; the argv that comes of them is made in `video_encoding` and `audio_encoding`.
Ranges and presets are those of the encoders in ffmpeg 9: x264, x265, libvpx, SVT-AV1 4,
libopus, LAME.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoCodec:
    name: str
    encoder: str
    stream_name: str
    """ffprobe's name of what comes out."""
    max_quality: int
    """CRF runs from 0, the best, to this, the smallest file."""
    default_quality: int
    pixel_formats: tuple[str, ...]
    min_side: int = 2
    """Pixels; the encoder refuses less."""


@dataclass(frozen=True, slots=True)
class AudioCodec:
    name: str
    encoder: str
    bitrates: tuple[int, int] | None
    """Bits per second, lowest and highest; None: lossless, has no bit rate."""
    max_channels: int
    sample_rates: tuple[int, ...] = ()
    """Hz; empty: any."""
    default_channel_bitrate: int = 64_000


_PLANAR = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")

VIDEO_CODECS = {
    codec.name: codec
    for codec in (
        VideoCodec("h264", "libx264", "h264", 51, 23, _PLANAR),
        VideoCodec("h265", "libx265", "hevc", 51, 28, _PLANAR, min_side=16),
        VideoCodec("vp9", "libvpx-vp9", "vp9", 63, 32, _PLANAR),
        VideoCodec("av1", "libsvtav1", "av1", 63, 35, ("yuv420p", "yuv420p10le")),
    )
}

VIDEO_CHOICES = (*VIDEO_CODECS, "copy", "none")
VIDEO_ALIASES = {
    "avc": "h264",
    "h.264": "h264",
    "x264": "h264",
    "libx264": "h264",
    "hevc": "h265",
    "h.265": "h265",
    "x265": "h265",
    "libx265": "h265",
    "libvpx-vp9": "vp9",
    "libsvtav1": "av1",
    "svt-av1": "av1",
    "libaom-av1": "av1",
}

_AAC_RATES = (
    8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000,
)  # fmt: skip
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

AUDIO_CODECS = {
    codec.name: codec
    for codec in (
        AudioCodec("aac", "aac", (8_000, 576_000), 8, _AAC_RATES),
        AudioCodec("opus", "libopus", (6_000, 512_000), 8, (8000, 12000, 16000, 24000, 48000)),
        # 192k is where stereo MP3 stops being heard as MP3.
        AudioCodec("mp3", "libmp3lame", (8_000, 320_000), 2, _MP3_RATES, 96_000),
        AudioCodec("flac", "flac", None, 8),
        AudioCodec("pcm", "pcm_s16le", None, 8),
    )
}

AUDIO_CHOICES = (*AUDIO_CODECS, "copy", "none")
AUDIO_ALIASES = {
    "libopus": "opus",
    "libmp3lame": "mp3",
    "lame": "mp3",
    "pcm_s16le": "pcm",
    "wav": "pcm",
}

LOSSY_AUDIO = frozenset(
    {"aac", "mp3", "mp2", "opus", "vorbis", "ac3", "eac3", "wmav1", "wmav2", "dts", "amr_nb"}
)
"""ffprobe's names of sources that 16 bits hold in full."""

PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)

SVT_PRESETS = {
    "ultrafast": 13,
    "superfast": 12,
    "veryfast": 11,
    "faster": 10,
    "fast": 9,
    "medium": 8,
    "slow": 6,
    "slower": 4,
    "veryslow": 2,
}
"""SVT-AV1 counts from 13, the fastest, down to 0."""

VPX_PRESETS = {
    "ultrafast": ("realtime", 8),
    "superfast": ("realtime", 7),
    "veryfast": ("realtime", 6),
    "faster": ("good", 5),
    "fast": ("good", 4),
    "medium": ("good", 3),
    "slow": ("good", 2),
    "slower": ("good", 1),
    "veryslow": ("good", 0),
}
"""libvpx's deadline and cpu-used; above 5, cpu-used has a meaning only in real time."""

PIXEL_FORMATS = _PLANAR
PIXEL_ALIASES = {
    "yuv420p10": "yuv420p10le",
    "yuv422p10": "yuv422p10le",
    "yuv444p10": "yuv444p10le",
}
