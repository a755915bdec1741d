"""pyarrow's S3FileSystem, unmodified: the AWS SDK for C++."""

from __future__ import annotations

import os

import pytest
from pyarrow import fs

from tests.serving import Person, Served

MIB = 1 << 20


@pytest.fixture
def arrow(served: Served, person: Person) -> fs.S3FileSystem:
    return fs.S3FileSystem(
        access_key=person.access_key,
        secret_key=person.secret_key,
        endpoint_override=f"{served.host}:{served.port}",
        scheme="http",
        region="us-east-1",
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )


def sizes(arrow: fs.S3FileSystem, folder: str) -> dict[str, int | None]:
    """Names below the folder; None for a folder."""
    found = arrow.get_file_info(fs.FileSelector(folder, recursive=True))
    return {info.path.removeprefix(f"{folder}/"): info.size for info in found}


def test_a_round_trip(arrow: fs.S3FileSystem, person: Person) -> None:
    bucket = f"arrow-{person.access_key.lower()}"
    arrow.create_dir(f"{bucket}/empty")
    small, large = os.urandom(1000), os.urandom(23 * MIB)
    for name, data in (("ü/small +.bin", small), ("large", large)):
        with arrow.open_output_stream(f"{bucket}/{name}", metadata={"Content-Type": "x/y"}) as out:
            out.write(data)
    everything = {"empty": None, "ü": None, "ü/small +.bin": 1000, "large": 23 * MIB}
    assert sizes(arrow, bucket) == everything
    with arrow.open_input_stream(f"{bucket}/ü/small +.bin") as stream:
        assert stream.read() == small
        assert b"x/y" in stream.metadata().values(), stream.metadata()
    with arrow.open_input_file(f"{bucket}/large") as file:
        assert file.size() == len(large)
        assert file.read_at(9, 5 * MIB - 3) == large[5 * MIB - 3 :][:9]
        assert file.read() == large
    arrow.copy_file(f"{bucket}/large", f"{bucket}/copy")
    arrow.move(f"{bucket}/copy", f"{bucket}/moved")
    with arrow.open_input_stream(f"{bucket}/moved") as stream:
        assert stream.read() == large
    arrow.delete_file(f"{bucket}/moved")
    assert sizes(arrow, bucket) == everything
    arrow.delete_dir(f"{bucket}/ü")
    arrow.delete_dir_contents(bucket)
    assert sizes(arrow, bucket) == {}
    arrow.delete_dir(bucket)
    assert arrow.get_file_info(bucket).type == fs.FileType.NotFound
