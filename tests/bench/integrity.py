"""What verifying stored bytes costs: GET of 1 GiB with and without digests, and `verify`."""

from __future__ import annotations

import http.client
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.measure import Figure, seconds
from tests.program import ROOT, Person, clean_environment
from tests.service.media import large_file

SIZE = 1 << 30
MIB = SIZE >> 20
TRIES = 7


def run(person: Person, folder: Path) -> list[Figure]:
    """Two objects of the same bytes, read in turn by a bare HTTP client. One has lost its
    digest, as a blob that was stored before digests were kept: it is sent unverified."""
    file = large_file(folder / "large.bin", SIZE)
    for key in ("verified", "unverified"):
        with file.open("rb") as body:
            person.s3.put_object(Bucket=person.bucket, Key=key, Body=body)
    with closing(sqlite3.connect(folder / "data/catalog.db")) as catalog:
        catalog.execute(
            "delete from blobs where blob_id in (select s.blob_id from object_segments s "
            "join objects o on o.id = s.object_id where o.key = 'unverified')"
        )
        catalog.commit()
    rates: dict[str, list[float]] = {"verified": [], "unverified": []}
    for _ in range(TRIES + 1):
        for key, found in rates.items():
            found.append(MIB / seconds(lambda key=key: _get(person, key)))
    verified, unverified = (rates[key][1:] for key in ("verified", "unverified"))
    pairs = list(zip(verified, unverified, strict=True))
    return [
        Figure("GET of 1 GiB, blocks verified", "MiB/s", verified),
        Figure("GET of 1 GiB, blob without digest", "MiB/s", unverified),
        Figure("GET of 1 GiB, verified / without", "ratio", [a / b for a, b in pairs]),
        Figure("mediaconvert verify of 2 GiB", "MB/s", [_verify(folder) for _ in range(3)]),
    ]


def _get(person: Person, key: str) -> None:
    parameters = {"Bucket": person.bucket, "Key": key}
    url = urlsplit(person.s3.generate_presigned_url("get_object", Params=parameters))
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    try:
        connection.request("GET", f"{url.path}?{url.query}")
        answer = connection.getresponse()
        buffer = memoryview(bytearray(1 << 20))
        received = 0
        while size := answer.readinto(buffer):
            received += size
        assert (answer.status, received) == (200, SIZE)
    finally:
        connection.close()


def _verify(folder: Path) -> float:
    """Whole command, start of Python included."""
    command = [sys.executable, "-m", "mediaconvert.cli.main", "verify"]
    environment = clean_environment(PYTHONPATH=str(ROOT))
    took = seconds(
        lambda: subprocess.run(
            command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
        )
    )
    return 2 * SIZE / 1e6 / took
