"""`probe`: what the input is, as a JSON file.

Every job probes its source anyway; this step writes down what was found. Pure.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import ClassVar

from mediaconvert.media import MediaInfo, MediaKind, PlannedFile, WriteCommand
from mediaconvert.operations.base import Complaint, OperationParams, OperationPlan
from mediaconvert.operations.formats import content_type, extension


class ProbeParams(OperationParams):
    """`probe` has no parameters."""

    operation: ClassVar[str] = "probe"
    summary: ClassVar[str] = (
        "Write what the input is as JSON: container, duration, streams, size, pages."
    )

    def complaints(self, output: str) -> Iterator[Complaint]:
        if extension(output) != "json":
            yield Complaint("output", f"'probe' writes JSON: '{output}' must end in .json")

    def accepts(self, output: str) -> frozenset[MediaKind]:
        return frozenset({MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.IMAGE, MediaKind.PDF})

    def produces(self, output: str) -> MediaKind:
        return MediaKind.TEXT

    def plan(self, info: MediaInfo, output: str, *, threads: int) -> OperationPlan:
        text = json.dumps(dataclasses.asdict(info), indent=2, ensure_ascii=False) + "\n"
        return OperationPlan(
            commands=(WriteCommand(text=text, output_names=("0.json",)),),
            files=(PlannedFile("0.json", output, content_type(output), MediaKind.TEXT),),
        )
