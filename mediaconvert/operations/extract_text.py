"""`extract_text`: the text of a PDF's pages.

Pure; the reading is done by PDFium in the image server.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from mediaconvert.media import ImagingCommand, MediaInfo, MediaKind, PlannedFile
from mediaconvert.operations.base import Complaint, OperationParams, OperationPlan
from mediaconvert.operations.fields import Choice, Flag, JsonSchema, Kind, refuse, shown
from mediaconvert.operations.formats import content_type, extension
from mediaconvert.operations.inputs import pages_text, refuse_kind, require_page

PageRange = tuple[int, int | None]
"""First and last page, 1-based; None: to the end."""

_MAX_PAGE = 1_000_000
_MAX_RANGES = 100
_PART = re.compile(r"([0-9]{1,7})?\s*(-)?\s*([0-9]{1,7})?")


@dataclass(frozen=True, slots=True)
class Pages(Kind):
    """`all`, a page, `1-3,5,8-`, or a list of such."""

    def read(self, value: object) -> tuple[PageRange, ...] | None:
        if isinstance(value, str) and value.strip().lower() == "all":
            return None
        items = value if isinstance(value, (list, tuple)) else [value]
        parts = [
            part
            for item in items
            for part in (item.split(",") if isinstance(item, str) else [item])
        ]
        if not 1 <= len(parts) <= _MAX_RANGES:
            refuse(f"must name at least one page and at most {_MAX_RANGES} ranges")
        return tuple(self._range(part, value) for part in parts)

    def _range(self, part: object, value: object) -> PageRange:
        found = _parse_range(part)
        if found is None:
            refuse(
                f"must be 'all', a page (the first is 1) or ranges such as '1-3,5', "
                f"not {shown(value)}"
            )
        return found

    def json_schema(self) -> JsonSchema:
        pattern = r"^\s*([aA][lL][lL]|[0-9]+|[0-9\-, ]+)\s*$"
        page: JsonSchema = {"type": "integer", "minimum": 1}
        text: JsonSchema = {"type": "string", "pattern": pattern}
        listed: JsonSchema = {"type": "array", "minItems": 1, "items": {"anyOf": [page, text]}}
        return {"anyOf": [text, page, listed]}


def _parse_range(part: object) -> PageRange | None:
    """`3`, `1-3`, `8-` or `-3`; None for anything else."""
    if isinstance(part, int) and not isinstance(part, bool):
        return (part, part) if 1 <= part <= _MAX_PAGE else None
    match = _PART.fullmatch(part.strip()) if isinstance(part, str) else None
    if match is None:
        return None
    first, dash, last = match.groups()
    if not (first or last) or (last and not dash):
        return None
    start = int(first or 1)
    end = (int(last) if last else None) if dash else start
    if not 1 <= start <= _MAX_PAGE or (end is not None and not start <= end <= _MAX_PAGE):
        return None
    return (start, end)


class ExtractTextParams(OperationParams):
    operation: ClassVar[str] = "extract_text"
    summary: ClassVar[str] = "Write the text of a PDF."

    pages: Annotated[tuple[PageRange, ...] | None, Pages()] = Field(
        default=None,
        description="Which pages, the first is 1: `all` (the default), 3, `1-3,5`, `8-` or a list.",
    )
    layout: Annotated[bool, Flag()] = Field(
        default=False,
        description="Keep columns and indents by spaces, as far as plain text can.",
    )
    format: Annotated[str, Choice(("text", "json"), {"txt": "text"})] | None = Field(
        default=None,
        description=(
            "`text`: UTF-8, a form feed after each page. `json`: a list of pages. "
            "Default: what the output's name says."
        ),
    )
    encoding: Annotated[str, Choice(("utf-8",), {"utf8": "utf-8"})] = Field(
        default="utf-8", description="Of the output; only UTF-8."
    )

    def complaints(self, output: str) -> Iterator[Complaint]:
        named = {"txt": "text", "json": "json"}.get(extension(output))
        if named is None:
            yield Complaint("output", f"'extract_text' writes .txt and .json, not '{output}'")
        elif self.format not in (None, named):
            yield Complaint(
                "params.format",
                f"format '{self.format}' contradicts the output's name '{output}'",
            )

    def accepts(self, output: str) -> frozenset[MediaKind]:
        return frozenset({MediaKind.PDF})

    def produces(self, output: str) -> MediaKind:
        return MediaKind.TEXT

    def plan(self, info: MediaInfo, output: str, *, threads: int) -> OperationPlan:
        if info.kind is not MediaKind.PDF:
            refuse_kind("not_a_pdf", self.operation, "a PDF", info)
        work_name = f"0.{extension(output)}"
        command = ImagingCommand(
            action="pdf_text",
            params={
                "pages": self._page_ranges(info),
                "layout": self.layout,
                "format": "json" if extension(output) == "json" else "text",
                "encoding": self.encoding,
            },
            output_names=(work_name,),
        )
        reason = "all pages" if self.pages is None else f"pages of {pages_text(info.pages or 0)}"
        return OperationPlan(
            commands=(command,),
            files=(PlannedFile(work_name, output, content_type(output), MediaKind.TEXT),),
            reasons=(reason,),
        )

    def _page_ranges(self, info: MediaInfo) -> list[list[int]] | None:
        if self.pages is None:
            return None
        ranges = []
        for first, last in self.pages:
            end = last if last is not None else max(first, info.pages or first)
            require_page(info, first)
            ranges.append([first, require_page(info, end)])
        return ranges
