"""Builds the command lines of ffmpeg and ffprobe. Pure: no I/O, no clock.

Around what the planner asked for it puts the part that makes a run safe: no standard input,
only the `file` protocol, the one demuxer that the file's first bytes called for, decoders from
a list, bounded pictures and output. Names are those inside the work folder: `input`, `out/…`.
"""

from __future__ import annotations

from mediaconvert.media import FfmpegCommand, Limits

DEMUXERS = frozenset(
    {
        "mov", "matroska", "avi", "flv", "mpegts", "mpeg", "mpegvideo", "asf", "ogg", "flac",
        "mp3", "aac", "wav", "aiff", "amr", "caf", "bmp_pipe", "jpegxl_pipe",
    }
)  # fmt: skip
"""Every demuxer that `tools.sniff` may choose."""

# Decoders that an uploaded file may reach. Names of both builds in use (ffmpeg 9, ffprobe 8):
# those that a build does not have are simply never matched.
_VIDEO_DECODERS = (
    "h264 hevc vvc av1 libdav1d libaom-av1 vp8 vp9 libvpx libvpx-vp9 mpeg1video mpeg2video mpeg4 "
    "msmpeg4v1 msmpeg4v2 msmpeg4 h261 h263 h263i h263p flv vp6 vp6a vp6f theora wmv1 wmv2 wmv3 "
    "vc1 svq1 svq3 cinepak indeo3 indeo5 dvvideo prores dnxhd cfhd ffv1 huffyuv ffvhuff utvideo "
    "lagarith magicyuv mjpeg mjpegb rawvideo v210 r210 qtrle rpza png gif bmp webp tiff libjxl "
    "msrle msvideo1 flashsv flashsv2 tscc mss2 zmbv dirac"
)
_AUDIO_DECODERS = (
    "aac aac_fixed aac_latm libfdk_aac mp3 mp3float mp2 mp2float mp1 mp1float ac3 ac3_fixed eac3 "
    "dca truehd mlp opus libopus vorbis libvorbis flac alac wmav1 wmav2 wmapro wmalossless "
    "wmavoice amrnb amrwb libopencore_amrnb libopencore_amrwb speex libspeex nellymoser gsm "
    "gsm_ms qdm2 qdmc mace3 mace6 wavpack tta ape adpcm_ms adpcm_ima_wav adpcm_ima_qt adpcm_swf "
    "adpcm_yamaha adpcm_g722 adpcm_g726 pcm_s8 pcm_u8 pcm_s16le pcm_s16be pcm_u16le pcm_u16be "
    "pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_f32le pcm_f32be pcm_f64le pcm_f64be pcm_alaw "
    "pcm_mulaw pcm_bluray pcm_dvd"
)
_SUBTITLE_DECODERS = "mov_text subrip srt ass ssa webvtt dvdsub dvbsub pgssub text"

CODEC_WHITELIST = ",".join(f"{_VIDEO_DECODERS} {_AUDIO_DECODERS} {_SUBTITLE_DECODERS}".split())


def input_arguments(demuxer: str, limits: Limits) -> tuple[str, ...]:
    """The options that stand before every `-i input`.

    ffmpeg 9 follows references in playlists to local files although the protocol whitelist is
    given; the forced demuxer and its whitelist are what stops it.
    """
    if demuxer not in DEMUXERS:
        raise ValueError(f"demuxer {demuxer!r} is not one of {', '.join(sorted(DEMUXERS))}")
    return (
        "-protocol_whitelist", "file",
        "-format_whitelist", demuxer,
        "-codec_whitelist", CODEC_WHITELIST,
        "-max_pixels", str(limits.max_pixels),
        "-f", demuxer,
    )  # fmt: skip


def ffmpeg_argv(
    command: FfmpegCommand, limits: Limits, *, threads: int, progress_fd: int | None
) -> tuple[str, ...]:
    """The whole command line of one run; `argv[0]` is `ffmpeg`.

    `threads` bounds decoder, filters and encoder each (1 or more). Reports go to
    `progress_fd` four times a second.
    """
    reports = (
        () if progress_fd is None else ("-progress", f"pipe:{progress_fd}", "-stats_period", "0.25")
    )
    return (
        "ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-y",
        *reports,
        "-filter_threads", str(threads),
        "-filter_complex_threads", str(threads),
        *input_arguments(command.demuxer, limits),
        "-threads", str(threads),
        *command.input_arguments,
        "-i", "input",
        "-threads", str(threads),
        "-fs", str(limits.output_bytes),
        *command.output_arguments,
    )  # fmt: skip


def ffprobe_argv(demuxer: str, limits: Limits) -> tuple[str, ...]:
    """Prints JSON: the format, and of each stream only what `tools.probe` reads, so that a file
    with a million tags gives a short answer."""
    entries = (
        "format=duration,bit_rate"
        ":stream=index,codec_type,codec_name,width,height,coded_width,coded_height,pix_fmt,"
        "sample_aspect_ratio,avg_frame_rate,r_frame_rate,color_transfer,duration,bit_rate,"
        "channels,sample_rate,nb_frames"
        ":stream_disposition=attached_pic,timed_thumbnails"
        ":stream_tags=language,rotate"
        ":stream_side_data=rotation,dv_profile"
    )
    return (
        "ffprobe", "-hide_banner", "-loglevel", "error", "-print_format", "json=compact=1",
        "-show_entries", entries,
        *input_arguments(demuxer, limits),
        "-i", "input",
    )  # fmt: skip


def duration_command(demuxer: str) -> FfmpegCommand:
    """Reads every packet and decodes none: its last report tells how long the file is."""
    return FfmpegCommand(
        input_arguments=(),
        output_arguments=("-map", "0:v:0?", "-map", "0:a:0?", "-c", "copy", "-f", "null", "-"),
        demuxer=demuxer,
        output_names=(),
    )


def decode_command(
    demuxer: str, *, start_seconds: float, length_seconds: float | None, maps: tuple[str, ...]
) -> FfmpegCommand:
    """Decodes a stretch of the streams `maps` (such as `0:v:0`) and throws it away. From the
    start the first broken frame is an error; from anywhere else it is not, for decoders may
    stumble over what they were not told before."""
    strict = ("-ss", f"{start_seconds:.3f}") if start_seconds > 0 else (
        "-xerror", "-err_detect", "explode")  # fmt: skip
    mapped = [argument for name in maps for argument in ("-map", name)]
    length = () if length_seconds is None else ("-t", f"{length_seconds:.3f}")
    return FfmpegCommand(
        input_arguments=strict,
        output_arguments=(*mapped, *length, "-f", "null", "-"),
        demuxer=demuxer,
        output_names=(),
    )


def picture_command(demuxer: str) -> FfmpegCommand:
    """Turns a picture that libvips cannot read into `out/picture.png`."""
    return FfmpegCommand(
        input_arguments=(),
        output_arguments=(
            "-frames:v", "1", "-update", "1", "-c:v", "png", "-map_metadata", "-1",
            "-f", "image2", "out/picture.png",
        ),
        demuxer=demuxer,
        output_names=("picture.png",),
    )  # fmt: skip
