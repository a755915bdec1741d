"""The pipeline language: text in, frozen typed steps or every problem at once out.

Pure: no trio, no os, no clock, no files. The API parses what users save, the runner parses what
a job froze, the CLI parses files; all by the one `parse` below.
"""

from __future__ import annotations

from mediaconvert.pipeline.json_schema import json_schema
from mediaconvert.pipeline.parse import parse
from mediaconvert.pipeline.schema import Pipeline, Step

__all__ = ["Pipeline", "Step", "json_schema", "parse"]
