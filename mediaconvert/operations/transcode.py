"""`transcode`: a video or a sound file in other codecs, sizes and rates.

Pure. What the parameters mean stands here; what they become on a command line stands in
`video_encoding`, `audio_encoding` and `muxing`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, ClassVar

from pydantic import Field

from mediaconvert.media import MediaInfo, MediaKind, PlannedFile
from mediaconvert.operations.audio_encoding import AudioSettings, copy_audio, encode_audio
from mediaconvert.operations.base import Complaint, OperationParams, OperationPlan
from mediaconvert.operations.codecs import (
    AUDIO_ALIASES,
    AUDIO_CHOICES,
    AUDIO_CODECS,
    PIXEL_ALIASES,
    PIXEL_FORMATS,
    PRESETS,
    VIDEO_ALIASES,
    VIDEO_CHOICES,
    VIDEO_CODECS,
)
from mediaconvert.operations.fields import Bitrate, Choice, Flag, FrameRate, Seconds, Whole
from mediaconvert.operations.formats import Container, container, container_kind
from mediaconvert.operations.inputs import refuse_kind, require_audio, require_video
from mediaconvert.operations.muxing import Cut, mux_command
from mediaconvert.operations.transcode_checks import transcode_complaints
from mediaconvert.operations.video_encoding import Track, VideoSettings, copy_video, encode_video
from mediaconvert.operations.video_geometry import Box

_VideoRate = Annotated[int, Bitrate(10_000, 400_000_000)]
_Side = Annotated[int, Whole(16, 8192)]


class TranscodeParams(OperationParams):
    operation: ClassVar[str] = "transcode"
    summary: ClassVar[str] = "Encode a video or a sound file anew, or put it in another container."
    unsupported: ClassVar[frozenset[str]] = frozenset({"subtitles", "loudness"})

    codec: Annotated[str, Choice(VIDEO_CHOICES, VIDEO_ALIASES)] | None = Field(
        default=None,
        description=(
            "Of the video: `copy` keeps the track as it is, `none` drops it. Default: h264, vp9 "
            "in WebM, none in sound files."
        ),
    )
    quality: Annotated[int, Whole(0, 63)] | None = Field(
        default=None,
        description=(
            "CRF, lower is better: 0-51 for h264 (default 23) and h265 (28), 0-63 for vp9 (32) "
            "and av1 (35). Not together with `bitrate`."
        ),
    )
    preset: Annotated[str, Choice(PRESETS)] = Field(
        default="medium",
        description="Speed against size, in x264's words, translated for vp9 and av1.",
    )
    bitrate: _VideoRate | None = Field(
        default=None,
        description="Average bit rate of the video, 10k to 400M: '2.5M', '800k'. A bare number "
        "below 10000 is kbit/s.",
    )
    max_bitrate: _VideoRate | None = Field(
        default=None, description="Peak of the video over two seconds, as `bitrate`."
    )
    width: _Side | None = Field(
        default=None,
        description="Pixels at most; the aspect is kept and sides are made even.",
    )
    height: _Side | None = Field(default=None, description="Pixels at most. See `width`.")
    upscale: Annotated[bool, Flag()] = Field(
        default=False, description="Whether a smaller video is enlarged to width and height."
    )
    fps: Annotated[Fraction, FrameRate()] | None = Field(
        default=None,
        description="Frames per second, 1 to 240: 25, 29.97, '30000/1001'. Default: as the input.",
    )
    start: Annotated[float, Seconds()] | None = Field(
        default=None, description="Where to begin: seconds or '00:00:10'."
    )
    duration: Annotated[float, Seconds(minimum=0.01)] | None = Field(
        default=None, description="How much to take: seconds or '00:00:10'. Default: to the end."
    )
    pixel_format: Annotated[str, Choice(PIXEL_FORMATS, PIXEL_ALIASES)] = Field(
        default="yuv420p",
        description="The 8-bit formats turn HDR into SDR; yuv420p plays everywhere.",
    )
    audio_codec: Annotated[str, Choice(AUDIO_CHOICES, AUDIO_ALIASES)] | None = Field(
        default=None,
        description=(
            "Of the sound: `copy` keeps the track, `none` drops it. Default: aac in mp4, mov, mkv "
            "and m4a, opus in webm and ogg, else what the file's name says. An input without "
            "sound is no error."
        ),
    )
    audio_bitrate: Annotated[int, Bitrate(6_000, 576_000)] | None = Field(
        default=None,
        description="'128k' or 128. Default: 64k a channel, 96k for mp3. Not for flac and pcm.",
    )
    sample_rate: Annotated[int, Whole(8_000, 192_000)] | None = Field(
        default=None, description="Hz, of the sound. Default: the input's, as the codec allows."
    )
    channels: Annotated[int, Whole(1, 8)] | None = Field(
        default=None, description="Of the sound; 1 is mono, 6 is 5.1. Default: as the input."
    )
    faststart: Annotated[bool, Flag()] = Field(
        default=True, description="In mp4, mov, m4a: index first, so that playing can begin early."
    )

    def video_choice(self, target: Container) -> str:
        """The video codec, `copy` or `none`, with the container's default filled in."""
        return self.codec or (target.video_codecs or ("none",))[0]

    def audio_choice(self, target: Container) -> str:
        return self.audio_codec or target.audio_codecs[0]

    def complaints(self, output: str) -> tuple[Complaint, ...]:
        return tuple(transcode_complaints(self, output))

    def _has_video(self, output: str) -> bool:
        target = container(output)
        return target is not None and target.has_video and self.video_choice(target) != "none"

    def accepts(self, output: str) -> frozenset[MediaKind]:
        if self._has_video(output):
            return frozenset({MediaKind.VIDEO})
        return frozenset({MediaKind.VIDEO, MediaKind.AUDIO})

    def produces(self, output: str) -> MediaKind:
        return MediaKind.VIDEO if self._has_video(output) else MediaKind.AUDIO

    def plan(self, info: MediaInfo, output: str, *, threads: int) -> OperationPlan:
        target = container(output)
        assert target is not None, "complaints() refuses names without a container"
        if info.kind not in (MediaKind.VIDEO, MediaKind.AUDIO):
            refuse_kind("no_video_stream", self.operation, "a video or a sound file", info)
        tracks = [
            track
            for track in (self._video(info, target, threads), self._audio(info, target, output))
            if track is not None
        ]
        work_name = f"0.{target.extensions[0]}"
        command = mux_command(
            info,
            tracks,
            target,
            work_name,
            cut=Cut(self.start, self.duration),
            faststart=self.faststart,
        )
        kind = container_kind(target, with_video=self._has_video(output))
        return OperationPlan(
            commands=(command,),
            files=(PlannedFile(work_name, output, target.content_type, kind),),
            reasons=tuple(reason for track in tracks for reason in track.reasons),
        )

    def _video(self, info: MediaInfo, target: Container, threads: int) -> Track | None:
        choice = self.video_choice(target)
        if choice == "none":
            return None
        stream = require_video(info, self.operation)
        if choice == "copy":
            return copy_video(stream, target)
        settings = VideoSettings(
            codec=VIDEO_CODECS[choice],
            box=Box(self.width, self.height, upscale=self.upscale),
            quality=self.quality,
            bitrate=self.bitrate,
            max_bitrate=self.max_bitrate,
            preset=self.preset,
            pixel_format=self.pixel_format,
            fps=self.fps,
            threads=threads,
        )
        return encode_video(settings, stream, target)

    def _audio(self, info: MediaInfo, target: Container, output: str) -> Track | None:
        choice = self.audio_choice(target)
        if choice == "none":
            return None
        if info.audio is None and self._has_video(output):
            return Track((), ("the input has no sound",))
        stream = require_audio(info, self.operation)
        if choice == "copy":
            return copy_audio(stream, target)
        codec = AUDIO_CODECS[choice]
        settings = AudioSettings(codec, self.audio_bitrate, self.sample_rate, self.channels)
        return encode_audio(settings, stream)
