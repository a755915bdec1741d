"""The operations that pipelines are made of: an explicit registry, one file an operation.

Pure: nothing below here spawns a process, opens a file or asks the clock. The parser makes the
parameters, the planner asks them for commands, `tools` runs the commands.
"""

from __future__ import annotations

from mediaconvert.operations.base import Complaint, OperationParams, OperationPlan
from mediaconvert.operations.convert import ConvertParams
from mediaconvert.operations.extract_frame import ExtractFrameParams
from mediaconvert.operations.extract_text import ExtractTextParams
from mediaconvert.operations.generate_thumbnail import GenerateThumbnailParams
from mediaconvert.operations.probe import ProbeParams
from mediaconvert.operations.resize import ResizeParams
from mediaconvert.operations.transcode import TranscodeParams

OPERATIONS: tuple[type[OperationParams], ...] = (
    ProbeParams,
    TranscodeParams,
    ResizeParams,
    ConvertParams,
    ExtractFrameParams,
    GenerateThumbnailParams,
    ExtractTextParams,
)

BY_NAME: dict[str, type[OperationParams]] = {entry.operation: entry for entry in OPERATIONS}

__all__ = ["BY_NAME", "OPERATIONS", "Complaint", "OperationParams", "OperationPlan"]
