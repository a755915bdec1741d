"""Clients that upload through every api at once, try again as S3 clients do, and remember what
was acknowledged; afterwards, what has become of it.

Every upload differs from all others and shows in its outputs: a result under the wrong job
would be seen.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pyvips
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.program import Person
from tests.service.media import make
from tests.service.probing import probe

SHORT_FILM = """
name: short-film
steps:
  - {operation: transcode, input: "${input}", output: "${output}/video.mp4",
     params: {codec: h264, preset: fast, height: 360}}
  - {operation: generate_thumbnail, input: "${input}", output: "${output}/thumb.jpg",
     params: {type: video, timestamp: "00:00:01", width: 160, height: 90}}
"""
PIPELINES = ("image-resize", "image-webp", "short-film")
# Pictures mostly; a film takes a second or more, in which its worker may be killed.
WEIGHTS = (65, 15, 20)
FILM_COLOURS = ((200, 40, 40), (40, 160, 60), (50, 70, 190), (200, 190, 60))
PLAIN_REPEATS = 4096
"""Uploads without a pipeline are of 4 MiB: now and then one is under way when its api dies."""
PAUSE_SECONDS = 1.5


@dataclass(frozen=True)
class Upload:
    """One that was acknowledged with its job's id."""

    person: Person
    key: str
    job_id: int
    pipeline: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Plain:
    """One without a job, tried once: acknowledged, or nobody knows."""

    person: Person
    key: str
    block: bytes
    """What it repeats PLAIN_REPEATS times."""
    is_acknowledged: bool


class Uploaders:
    """Threads that upload until told to stop. `urls` are the apis'."""

    def __init__(
        self, people: Sequence[Person], urls: Sequence[str], folder: Path, seed: int
    ) -> None:
        self.acknowledged: list[Upload] = []
        self.plain: list[Plain] = []
        self._urls = tuple(urls)
        self._films = {colour: film(folder, colour) for colour in FILM_COLOURS}
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self._opened: list[Any] = []
        self._threads = []
        for number, person in enumerate(people):
            person.save_pipeline("image-resize")
            person.save_pipeline("image-webp")
            person.save_pipeline("short-film", SHORT_FILM)
            for lane, work in enumerate(
                (self._upload_media, self._upload_media, self._upload_plain)
            ):
                chance = random.Random(f"{seed} {number} {lane}")
                arguments = (person, f"{lane}", chance)
                self._threads.append(threading.Thread(target=self._run, args=(work, arguments)))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Each ends what it has begun: the apis must answer."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for client in self._opened:
            client.close()
        if self._failures:
            raise self._failures[0]

    def _run(self, work: Any, arguments: tuple[Person, str, random.Random]) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            self._failures.append(error)

    def _clients(self, person: Person, attempts: int) -> list[Any]:
        """One for each api; each try is made at the next one. Closed by `stop`."""
        config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=5,
            read_timeout=60,
        )
        clients = [
            boto3.session.Session().client(
                "s3",
                endpoint_url=url,
                aws_access_key_id=person.keys["access_key"],
                aws_secret_access_key=person.keys["secret_key"],
                region_name="us-east-1",
                config=config,
            )
            for url in self._urls
        ]
        self._opened += clients
        return clients

    def _upload_media(self, person: Person, lane: str, chance: random.Random) -> None:
        clients = itertools.cycle(self._clients(person, 2))
        for number in itertools.count():
            (pipeline,) = chance.choices(PIPELINES, WEIGHTS)
            if pipeline == "short-film":
                colour = chance.choice(FILM_COLOURS)
                body = self._films[colour]
            else:
                colour = (chance.randrange(256), chance.randrange(256), chance.randrange(256))
                body = picture(colour)
            key = f"{lane}/{number}"
            while True:
                job_id = _put(next(clients), person, key, body, pipeline)
                if job_id is not None:
                    break
                self._stop.wait(0.2)
            self.acknowledged.append(Upload(person, key, job_id, pipeline, colour))
            if self._stop.wait(PAUSE_SECONDS * chance.uniform(0.5, 1.5)):
                return

    def _upload_plain(self, person: Person, lane: str, chance: random.Random) -> None:
        clients = itertools.cycle(self._clients(person, 1))
        for number in itertools.count():
            block = chance.randbytes(1024)
            key = f"{lane}/{number}"
            try:
                body = block * PLAIN_REPEATS
                next(clients).put_object(Bucket=person.bucket, Key=key, Body=body)
                is_acknowledged = True
            except (ClientError, BotoCoreError):
                is_acknowledged = False
            self.plain.append(Plain(person, key, block, is_acknowledged))
            if self._stop.wait(PAUSE_SECONDS * chance.uniform(0.5, 1.5)):
                return


def _put(client: Any, person: Person, key: str, body: bytes, pipeline: str) -> int | None:
    """The job's id, or None where the upload was not acknowledged."""
    try:
        answer = client.put_object(
            Bucket=person.bucket, Key=key, Body=body, Metadata={"Pipeline": pipeline}
        )
    except (ClientError, BotoCoreError):
        return None
    return int(answer["ResponseMetadata"]["HTTPHeaders"]["x-mediaconvert-job-id"])


def picture(colour: tuple[int, int, int]) -> bytes:
    """A JPEG of 1200 by 900 pixels in one colour."""
    plain = pyvips.Image.black(1200, 900, bands=3) + list(colour)
    return bytes(plain.cast("uchar").copy(interpretation="srgb").write_to_buffer(".jpg", Q=90))


def film(folder: Path, colour: tuple[int, int, int]) -> bytes:
    """Five seconds in 720p in one colour, with a noise that gives an encoder work."""
    red, green, blue = colour
    source = f"color=c=0x{red:02x}{green:02x}{blue:02x}:size=1280x720:rate=25:duration=5"
    path = make(
        folder / f"{red}-{green}-{blue}.mp4",
        *("-f", "lavfi", "-i", f"{source},noise=alls=12:allf=t"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-pix_fmt", "yuv420p"),
    )
    return path.read_bytes()


def assert_right(upload: Upload, output: str, data: bytes) -> None:
    """That the output is what the pipeline makes of this very upload."""
    name = output.rpartition("/")[2]
    if name == "video.mp4":
        found = probe(data, "mp4")
        assert (found.codecs, found.height) == (["h264"], 360), (upload, found)
        assert abs(found.duration - 5) < 0.2, (upload, found)
        return
    sizes = {
        "resized.jpg": (800, 600),
        "picture.webp": (1200, 900),
        "picture.avif": (1200, 900),
        "thumb.jpg": (160, 90),
    }
    image = pyvips.Image.new_from_buffer(data, "")
    assert (image.width, image.height) == sizes[name], (upload, name)
    mean = [image.extract_band(band).avg() for band in range(3)]
    # Films and lossy pictures bend a colour a little.
    off = max(abs(one - other) for one, other in zip(mean, upload.colour, strict=True))
    assert off < 16, (upload, name, mean)
