"""The texts `${input}`, `${steps.<id>.output}` and `${output}/…`: what they may say.

Pure. No path is ever made of them here; they are names inside a job's workspace.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

INPUT = "${input}"
OUTPUT = "${output}/"
STEP_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STEP_OUTPUT = re.compile(r"\$\{steps\.([^.}]{0,200})\.output\}")

MAX_OUTPUT_BYTES = 512
"""Of UTF-8. With `results/job-<id>/` before it, it stays below a key's 1,024."""
MAX_SEGMENT_BYTES = 200
"""A file system's names end at 255."""
MANIFEST = "manifest.json"

# Marks that turn the reading direction: a name with one looks like another name.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class SourceRef:
    """What a step's `input` names: the job's input, a step, or a file of a step."""

    step_id: str | None = None
    output: str | None = None

    @property
    def is_job_input(self) -> bool:
        return self.step_id is None and self.output is None


def parse_input(text: str) -> SourceRef | None:
    """What an `input:` refers to; None for anything that is not allowed there."""
    if text == INPUT:
        return SourceRef()
    if match := _STEP_OUTPUT.fullmatch(text):
        return SourceRef(step_id=match.group(1))
    if text.startswith(OUTPUT) and len(text) > len(OUTPUT):
        return SourceRef(output=text.removeprefix(OUTPUT))
    return None


def output_problem(text: str) -> str | None:
    """What is wrong with an `output:`, if anything: it must be a plain relative name."""
    if not text.startswith(OUTPUT):
        return f"must begin with '{OUTPUT}', such as '{OUTPUT}video.mp4', not {_shown(text)}"
    name = text.removeprefix(OUTPUT)
    if len(name.encode("utf-8", "replace")) > MAX_OUTPUT_BYTES:
        return f"is longer than {MAX_OUTPUT_BYTES} bytes"
    if "${" in name:
        return f"may hold no ${{…}} but '{OUTPUT}' in front: not supported by this version"
    if any(_is_unprintable(char) for char in name):
        return "holds a control character"
    if "\\" in name:
        return "holds a backslash; folders are separated by '/'"
    if name == MANIFEST:
        return f"'{MANIFEST}' is written by the service itself; choose another name"
    braces = name.replace("{n}", "")
    if "{" in braces or "}" in braces:
        return "holds a brace; only {n}, the number of a frame, may stand in braces"
    segments = name.split("/")
    return next((wrong for part in segments if (wrong := _segment_problem(part))), None)


def _segment_problem(part: str) -> str | None:
    if part == "":
        return "names a folder or holds '//'; it must name a file"
    if part in (".", ".."):
        return f"may not hold '{part}'"
    if part.startswith("-"):
        return f"may not hold a name that begins with '-': {_shown(part)}"
    if part != part.strip():
        return f"holds a name that begins or ends with a space: {_shown(part)}"
    if len(part.encode("utf-8", "replace")) > MAX_SEGMENT_BYTES:
        return f"holds a name longer than {MAX_SEGMENT_BYTES} bytes"
    return None


def _is_unprintable(char: str) -> bool:
    return char in _BIDI or unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
