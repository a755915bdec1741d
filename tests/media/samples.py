"""Makes the films, sounds, pictures and documents that tests work on, with the real ffmpeg.

Each is made at most once a session, in a folder of its own. Real photographs lie in
`tests/samples`, the real film in `mediaconvert/samples`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from mediaconvert.settings import ToolSettings
from mediaconvert.tools.locate import find_tools
from tests.program import WAIT_SECONDS

REPOSITORY = Path(__file__).resolve().parents[2]
FILM = REPOSITORY / "mediaconvert" / "samples" / "bigbuckbunny.mp4"
PHOTOGRAPH = REPOSITORY / "tests" / "samples" / "rocket.jpg"
CAT = REPOSITORY / "tests" / "samples" / "chelsea.png"

_PICTURE = "testsrc2=size=320x180:rate=25:duration=2"
_SOUND = "sine=frequency=440:duration=2"
_BOTH = ("-f", "lavfi", "-i", _PICTURE, "-f", "lavfi", "-i", _SOUND)
_X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")

# What ffmpeg is told for each sample, save the name of the file.
RECIPES: dict[str, tuple[str, ...]] = {
    "film.mp4": (*_BOTH, *_X264, "-c:a", "aac", "-shortest"),
    "fast.mp4": (*_BOTH, *_X264, "-c:a", "aac", "-movflags", "+faststart"),
    "film.mov": (*_BOTH, *_X264, "-c:a", "aac"),
    "film.mkv": (*_BOTH, *_X264, "-c:a", "aac", "-metadata:s:a:0", "language=deu"),
    "film.webm": (*_BOTH, "-c:v", "libvpx", "-b:v", "200k", "-c:a", "libvorbis"),
    "film.avi": (*_BOTH, "-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "film.flv": (*_BOTH, *_X264, "-c:a", "aac"),
    "film.ts": (*_BOTH, *_X264, "-c:a", "aac"),
    "film.mpg": (*_BOTH, "-c:v", "mpeg2video", "-c:a", "mp2"),
    "film.wmv": (*_BOTH, "-c:v", "wmv2", "-c:a", "wmav2"),
    "film.3gp": (*_BOTH, *_X264, "-c:a", "aac"),
    "film.ogv": (*_BOTH, "-c:v", "libtheora", "-c:a", "libvorbis"),
    "silent.mp4": ("-f", "lavfi", "-i", _PICTURE, *_X264),
    "endless.mkv": (*_BOTH, *_X264, "-c:a", "aac", "-live", "1"),
    "wide.mp4": ("-f", "lavfi", "-i", _PICTURE + ",setsar=4/3", *_X264),
    "hdr.mp4": (
        "-f", "lavfi", "-i", _PICTURE, "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt",
        "yuv420p10le", "-x265-params", "log-level=none:colorprim=bt2020:transfer=smpte2084:"
        "colormatrix=bt2020nc", "-tag:v", "hvc1",
    ),
    "sound.mp3": ("-f", "lavfi", "-i", _SOUND, "-c:a", "libmp3lame"),
    "sound.m4a": ("-f", "lavfi", "-i", _SOUND, "-c:a", "aac"),
    "sound.aac": ("-f", "lavfi", "-i", _SOUND, "-c:a", "aac"),
    "sound.ogg": ("-f", "lavfi", "-i", _SOUND, "-c:a", "libvorbis"),
    "sound.opus": ("-f", "lavfi", "-i", _SOUND, "-c:a", "libopus"),
    "sound.flac": ("-f", "lavfi", "-i", _SOUND),
    "sound.wav": ("-f", "lavfi", "-i", _SOUND),
    "sound.aiff": ("-f", "lavfi", "-i", _SOUND),
    "sound.caf": ("-f", "lavfi", "-i", _SOUND),
    "sound.wma": ("-f", "lavfi", "-i", _SOUND, "-c:a", "wmav2"),
    "six.wav": ("-f", "lavfi", "-i", _SOUND, "-ac", "6"),
    "picture.bmp": ("-f", "lavfi", "-i", _PICTURE, "-frames:v", "1"),
    "picture.jxl": ("-f", "lavfi", "-i", _PICTURE, "-frames:v", "1", "-c:v", "libjxl"),
    "picture.tiff": ("-f", "lavfi", "-i", _PICTURE, "-frames:v", "1"),
    "picture.webp": ("-f", "lavfi", "-i", _PICTURE, "-frames:v", "1"),
    "picture.avif": ("-f", "lavfi", "-i", _PICTURE, "-frames:v", "1", "-c:v", "libaom-av1"),
    "moving.gif": ("-f", "lavfi", "-i", _PICTURE, "-frames:v", "5"),
}  # fmt: skip


def run_ffmpeg(*arguments: str | Path) -> None:
    """Unconfined: these are the test's own words."""
    ffmpeg = find_tools(ToolSettings()).ffmpeg
    assert ffmpeg is not None
    subprocess.run(
        [ffmpeg.path, "-nostdin", "-v", "error", "-y", *arguments],
        check=True,
        env={},
        timeout=WAIT_SECONDS,
    )


class Samples:
    """A folder in which samples are made as they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> Path:
        path = self._folder / name
        if not path.exists():
            run_ffmpeg(*RECIPES[name], path)
        return path

    def rotated(self, degrees: int) -> Path:
        """A film that says that it is to be turned so far, counterclockwise."""
        path = self._folder / f"rotated{degrees}.mp4"
        if not path.exists():
            source = self.get("film.mp4")
            run_ffmpeg("-display_rotation", str(degrees), "-i", source, "-c", "copy", path)
        return path

    def song_with_cover(self) -> Path:
        path = self._folder / "cover.mp3"
        if not path.exists():
            run_ffmpeg(
                "-i", self.get("sound.mp3"), "-i", PHOTOGRAPH, "-map", "0", "-map", "1",
                "-c:a", "copy", "-c:v", "mjpeg", "-disposition:v", "attached_pic", path,
            )  # fmt: skip
        return path

    def truncated(self, name: str) -> Path:
        """The first half of a sample."""
        content = self.get(name).read_bytes()
        path = self._folder / f"half-{name}"
        path.write_bytes(content[: len(content) // 2])
        return path

    def write(self, name: str, content: bytes | str) -> Path:
        path = self._folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path


def pdf(pages: list[list[tuple[int, int, str]]], *, extra_trailer: str = "") -> bytes:
    """A PDF (ISO 32000-1) of A4 pages in Helvetica 12; each text with its place in points."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids "
        f"[{' '.join(f'{4 + 2 * i} 0 R' for i in range(len(pages)))}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, texts in enumerate(pages):
        drawn = "\n".join(f"BT /F1 12 Tf {x} {y} Td ({text}) Tj ET" for x, y, text in texts)
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources "
            f"<< /Font << /F1 3 0 R >> >> /Contents {5 + 2 * index} 0 R >>"
        )
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
    body = "%PDF-1.7\n"
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    return (
        f"{body}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
        f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {extra_trailer}>>\n"
        f"startxref\n{len(body)}\n%%EOF\n"
    ).encode("latin-1")


LETTER = pdf(
    [
        [(72, 770, "Invoice 2026-11"), (72, 740, "Item"), (400, 740, "Price"),
         (72, 720, "Film"), (400, 720, "12.50")],
        [(72, 770, "Second page")],
        [],
    ]
)  # fmt: skip

ENCRYPTED = pdf(
    [[(72, 770, "secret")]],
    extra_trailer=(
        "/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>] /Encrypt "
        f"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -44 /O <{'ab' * 32}> /U <{'cd' * 32}> >> "
    ),
)
