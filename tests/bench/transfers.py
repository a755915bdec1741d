"""Up and down, large and small, and lists."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.bench.measure import Figure, repeat, seconds
from tests.program import Person
from tests.service.media import large_file

SIZE = 1 << 30
MIB = SIZE >> 20


def run(person: Person, folder: Path) -> list[Figure]:
    """1 GiB by boto3: single PUT, multipart as its defaults do it, GET."""
    file = large_file(folder / "large.bin", SIZE)
    bucket = person.bucket

    def put(number: int) -> float:
        with file.open("rb") as body:
            return MIB / seconds(
                lambda: person.s3.put_object(Bucket=bucket, Key=f"put-{number}", Body=body)
            )

    def multipart(number: int) -> float:
        return MIB / seconds(lambda: person.s3.upload_file(str(file), bucket, f"parts-{number}"))

    def get(number: int) -> float:
        def read() -> None:
            body = person.s3.get_object(Bucket=bucket, Key=f"put-{number}")["Body"]
            for _ in body.iter_chunks(1 << 20):
                pass

        return MIB / seconds(read)

    return [
        repeat("PUT of 1 GiB", "MiB/s", 3, put),
        repeat("multipart upload of 1 GiB", "MiB/s", 3, multipart),
        repeat("GET of 1 GiB", "MiB/s", 3, get),
    ]


def run_small(person: Person, folder: Path) -> list[Figure]:
    """1 KiB objects, one client and eight."""
    body = os.urandom(1024)

    def put(prefix: str, count: int) -> None:
        for number in range(count):
            person.s3.put_object(Bucket=person.bucket, Key=f"{prefix}/{number}", Body=body)

    def get(prefix: str, count: int) -> None:
        for number in range(count):
            person.read(f"{prefix}/{number}")

    def eight(number: int) -> float:
        with ThreadPoolExecutor(8) as pool:
            return 800 / seconds(
                lambda: list(pool.map(lambda n: put(f"eight-{number}-{n}", 100), range(8)))
            )

    return [
        repeat(
            "PUT of 1 KiB, one client", "1/s", 3, lambda n: 200 / seconds(lambda: put(f"{n}", 200))
        ),
        repeat("PUT of 1 KiB, eight clients", "1/s", 3, eight),
        repeat(
            "GET of 1 KiB, one client", "1/s", 3, lambda n: 200 / seconds(lambda: get(f"{n}", 200))
        ),
    ]


def run_listing(person: Person, folder: Path) -> list[Figure]:
    """First and last page of 20,000 keys."""
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda n: person.s3.put_object(
                    Bucket=person.bucket, Key=f"{n % 100:03}/{n:06}", Body=b""
                ),
                range(20_000),
            )
        )

    def page(**more: str) -> float:
        return 1000 * seconds(
            lambda: person.s3.list_objects_v2(Bucket=person.bucket, MaxKeys=1000, **more)
        )

    return [
        repeat("first page of 20,000 keys", "ms", 7, lambda n: page()),
        repeat("last page of 20,000 keys", "ms", 7, lambda n: page(StartAfter="094/~")),
        repeat("100 common prefixes of 20,000 keys", "ms", 7, lambda n: page(Delimiter="/")),
    ]
