"""`python -m tests.cluster.old_blobs FOLDER SECONDS`: what a node would sweep, a name a line."""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from mediaconvert.backends.blobs.directory import open_directory_blobs


async def main(folder: Path, seconds: float) -> None:
    async with open_directory_blobs(folder, min_free_bytes=0) as blobs:
        async for batch in blobs.older_than(seconds):
            print("\n".join(batch))


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), float(sys.argv[2]))
