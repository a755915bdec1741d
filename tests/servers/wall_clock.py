"""A wall clock that a test sets under a running program: libfaketime, preloaded.

Only the time of day is changed. Clocks that nobody can set (CLOCK_MONOTONIC, CLOCK_BOOTTIME) go
on, and so does what the kernel itself notes, as when the clock of a machine is set.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

HOUR = 3600


class WallClock:
    """Of every program that is started with its `environment`."""

    def __init__(self, folder: Path) -> None:
        """`folder` may be passed through by other users."""
        spec = importlib.util.find_spec("libfaketime")
        if spec is None or spec.origin is None or platform.machine() != "x86_64":
            # Its wheel says that it is for any machine, and holds a library for this one.
            pytest.skip("libfaketime comes for x86_64 only")
        folder.mkdir(mode=0o755, exist_ok=True)
        vendored = Path(spec.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
        library = folder / vendored.name
        shutil.copy2(vendored, library)
        library.chmod(0o755)
        self._offset = folder / "offset"
        self.set(0)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._offset),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # A step is seen by all processes at the same moment.
            "FAKETIME_NO_CACHE": "1",
        }

    def set(self, seconds: int) -> None:
        """It is so far ahead of the machine's own, or, below 0, behind it."""
        fresh = self._offset.with_suffix(".new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.chmod(0o644)
        # At once: half a line would end the programs that read it.
        fresh.replace(self._offset)
