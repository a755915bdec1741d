"""`convert`: the same content in the format that the output's name says.

Pure. Pictures among each other and a PDF's page to a picture by the image server; videos and
sounds by ffmpeg, copying the tracks that the new container can hold and encoding the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from mediaconvert.media import MediaInfo, MediaKind, PlannedFile
from mediaconvert.operations.audio_encoding import AudioSettings, copy_audio, encode_audio
from mediaconvert.operations.base import Complaint, OperationParams, OperationPlan
from mediaconvert.operations.codecs import AUDIO_CODECS, VIDEO_CODECS
from mediaconvert.operations.fields import Flag, Whole
from mediaconvert.operations.formats import (
    CONTAINERS,
    IMAGE_FORMATS,
    Container,
    ImageFormat,
    container,
    container_kind,
    dotted,
    extension,
    image_format,
)
from mediaconvert.operations.image_commands import (
    DEFAULT_DPI,
    image_command,
    page_command,
    planned_image,
    quality_reasons,
)
from mediaconvert.operations.inputs import (
    refuse_kind,
    require_audio,
    require_page,
    require_video,
)
from mediaconvert.operations.muxing import mux_command
from mediaconvert.operations.video_encoding import Track, VideoSettings, copy_video, encode_video
from mediaconvert.operations.video_geometry import Box

# Containers whose packets carry the times that another container needs; from the others
# (AVI, raw streams, program streams) a copied track may have none.
_COPIED_FROM = ("mp4", "mov", "m4a", "3gp", "matroska", "webm")

# In these, players know only these; a copy of anything else would be a file that nobody plays.
_PLAYABLE_VIDEO = {"mp4": ("h264", "hevc", "av1", "vp9"), "mov": ("h264", "hevc", "prores")}
_PLAYABLE_AUDIO = {"mp4": ("aac", "mp3", "opus", "ac3", "eac3", "alac", "flac")}


class ConvertParams(OperationParams):
    operation: ClassVar[str] = "convert"
    summary: ClassVar[str] = "Put a file into the format that the output's name says."

    quality: Annotated[int, Whole(0, 100)] | None = Field(
        default=None,
        description=(
            "Of pictures: 1 to 100, default 85 for JPEG, 80 for WebP, 60 for AVIF; PNG, TIFF and "
            "GIF ignore it. Of videos: the CRF, 0-51 in mp4, mov and mkv, 0-63 in webm, which "
            "also means that the video is encoded even where it could be copied."
        ),
    )
    strip: Annotated[bool, Flag()] = Field(
        default=True,
        description="Of pictures: drop EXIF, GPS position, comments. Videos always lose theirs.",
    )
    page: Annotated[int, Whole(1, 1_000_000)] | None = Field(
        default=None,
        description="Of a PDF or of a picture with several pages, the first is 1, the default.",
    )
    dpi: Annotated[int, Whole(18, 600)] | None = Field(
        default=None, description=f"Dots per inch of a PDF's page, default {DEFAULT_DPI}."
    )
    lossless: Annotated[bool, Flag()] = Field(
        default=False, description="Of WebP and AVIF pictures: keep every pixel."
    )

    def complaints(self, output: str) -> Iterator[Complaint]:
        picture, target = image_format(output), container(output)
        if picture is not None:
            yield from self._picture_complaints(picture)
        elif target is not None:
            yield from self._media_complaints(target)
        else:
            known = (*IMAGE_FORMATS, *CONTAINERS)
            every = dotted(ext for fmt in known for ext in fmt.extensions)
            hint = "; the text of a PDF is 'extract_text'" if extension(output) == "txt" else ""
            yield Complaint("output", f"'convert' writes {every}, not '{output}'{hint}")

    def _picture_complaints(self, picture: ImageFormat) -> Iterator[Complaint]:
        if self.quality == 0:
            yield Complaint("params.quality", "must be from 1 to 100 for pictures, not 0")
        if self.lossless and picture.name == "jpeg":
            yield Complaint("params.lossless", "JPEG always loses something; use webp, avif or png")
        if self.lossless and self.quality is not None:
            yield Complaint("params.quality", "give quality or lossless, not both")

    def _media_complaints(self, target: Container) -> Iterator[Complaint]:
        for name in ("page", "dpi"):
            if getattr(self, name) is not None:
                yield Complaint(f"params.{name}", f"{name} is for pictures; leave it out")
        if self.lossless:
            yield Complaint("params.lossless", "lossless is for pictures; leave it out")
        if self.quality is None:
            return
        if not target.has_video:
            yield Complaint(
                "params.quality",
                "sound has no quality; leave it out, or use 'transcode' with an audio_bitrate",
            )
        else:
            codec = VIDEO_CODECS[target.video_codecs[0]]
            if self.quality > codec.max_quality:
                yield Complaint(
                    "params.quality",
                    f"must be from 0 to {codec.max_quality} for {codec.name}, not {self.quality}",
                )

    def accepts(self, output: str) -> frozenset[MediaKind]:
        target = container(output)
        if target is None:
            pdf_only = self.dpi is not None
            return frozenset({MediaKind.PDF} if pdf_only else {MediaKind.IMAGE, MediaKind.PDF})
        if target.has_video:
            return frozenset({MediaKind.VIDEO})
        return frozenset({MediaKind.VIDEO, MediaKind.AUDIO})

    def produces(self, output: str) -> MediaKind:
        target = container(output)
        if target is None:
            return MediaKind.IMAGE
        return container_kind(target, with_video=True)

    def plan(self, info: MediaInfo, output: str, *, threads: int) -> OperationPlan:
        if (picture := image_format(output)) is not None:
            return self._picture(info, output, picture)
        target = container(output)
        assert target is not None, "complaints() refuses every other name"
        return self._media(info, output, target, threads)

    def _picture(self, info: MediaInfo, output: str, picture: ImageFormat) -> OperationPlan:
        work_name = f"0.{picture.extensions[0]}"
        if info.kind is MediaKind.PDF:
            page = require_page(info, self.page or 1)
            command = page_command(
                page,
                None,
                picture,
                work_name=work_name,
                dpi=self.dpi or DEFAULT_DPI,
                quality=self.quality,
                lossless=self.lossless,
            )
            reasons: tuple[str, ...] = (f"page {page} at {self.dpi or DEFAULT_DPI} dpi",)
        elif info.kind is MediaKind.IMAGE and self.dpi is None:
            command = image_command(
                info,
                None,
                picture,
                work_name=work_name,
                page=None if self.page is None else require_page(info, self.page),
                quality=self.quality,
                lossless=self.lossless,
                strip=self.strip,
            )
            reasons = ()
        elif info.kind is MediaKind.IMAGE:
            refuse_kind("not_a_pdf", "dpi", "a PDF", info)
        else:
            hint = " ('extract_frame' takes one from a video)"
            refuse_kind("not_an_image", f"convert to {picture.name}", f"a picture{hint}", info)
        return OperationPlan(
            commands=(command,),
            files=(planned_image(work_name, output, picture),),
            reasons=reasons + quality_reasons(picture, self.quality),
        )

    def _media(
        self, info: MediaInfo, output: str, target: Container, threads: int
    ) -> OperationPlan:
        tracks = []
        if target.has_video:
            tracks.append(self._video(info, target, threads))
        if not target.has_video or info.audio is not None:
            tracks.append(self._audio(info, target))
        work_name = f"0.{target.extensions[0]}"
        kind = container_kind(target, with_video=True)
        return OperationPlan(
            commands=(mux_command(info, tracks, target, work_name),),
            files=(PlannedFile(work_name, output, target.content_type, kind),),
            reasons=tuple(reason for track in tracks for reason in track.reasons),
        )

    def _video(self, info: MediaInfo, target: Container, threads: int) -> Track:
        stream = require_video(info, self.operation)
        playable = _PLAYABLE_VIDEO.get(target.name, target.copied_video)
        fits = playable is None or stream.codec in playable
        if self.quality is None and fits and info.container in _COPIED_FROM:
            return copy_video(stream, target)
        settings = VideoSettings(
            codec=VIDEO_CODECS[target.video_codecs[0]],
            box=Box(None, None),
            quality=self.quality,
            threads=threads,
        )
        return encode_video(settings, stream, target)

    def _audio(self, info: MediaInfo, target: Container) -> Track:
        stream = require_audio(info, self.operation)
        playable = _PLAYABLE_AUDIO.get(target.name, target.copied_audio)
        fits = playable is None or stream.codec in playable
        if fits and info.container in (*_COPIED_FROM, "ogg", target.name):
            return copy_audio(stream, target)
        return encode_audio(AudioSettings(AUDIO_CODECS[target.audio_codecs[0]]), stream)
