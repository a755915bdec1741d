"""Sets pieces of text on a grid of characters as they lie on the page. Pure.

So that columns and tables stay side by side in plain text. Called by `tools.pdf_actions`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_WIDEST_LINE = 400
"""Characters; a stray piece far to the right must not make megabytes of blanks."""
_MOST_BLANK_LINES = 3


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of characters; coordinates in points, from the page's lower left corner."""

    left: float
    bottom: float
    right: float
    top: float
    text: str


def lay_out(pieces: Sequence[Piece], page_width: float) -> str:
    """Lines from top to bottom, pieces from left to right, blanks between them for distance."""
    pieces = [p for p in pieces if p.text]
    if not pieces:
        return ""
    cell = _cell_width(pieces, page_width)
    lines = _lines(pieces)
    heights = statistics.median(max(p.top - p.bottom, 1.0) for p in pieces)
    margin = min(p.left for p in pieces)
    written: list[str] = []
    above: float | None = None
    for line in lines:
        middle = _middle(line[0])
        if above is not None:
            blank = round((above - middle) / (heights * 1.6)) - 1
            written += [""] * min(max(blank, 0), _MOST_BLANK_LINES)
        above = middle
        written.append(_line_text(line, margin, cell))
    return "\n".join(written)


def _cell_width(pieces: Sequence[Piece], page_width: float) -> float:
    """Points per character, typical of this page."""
    widths = [(p.right - p.left) / len(p.text) for p in pieces if p.right > p.left]
    width = statistics.median(widths) if widths else 5.0
    return max(width, page_width / _WIDEST_LINE, 0.5)


def _middle(piece: Piece) -> float:
    return (piece.top + piece.bottom) / 2


def _lines(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Pieces whose middle lies within another's height stand on one line with it."""
    lines: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda p: (-_middle(p), p.left)):
        if lines and _middle(piece) > min(lines[-1][0].bottom, _middle(lines[-1][0]) - 1):
            lines[-1].append(piece)
        else:
            lines.append([piece])
    return [sorted(line, key=lambda p: p.left) for line in lines]


def _line_text(line: Sequence[Piece], margin: float, cell: float) -> str:
    text = ""
    end: float | None = None
    for piece in line:
        column = min(max(round((piece.left - margin) / cell), 0), _WIDEST_LINE)
        touches = end is not None and piece.left - end < cell * 0.4
        if column > len(text) and not touches:
            text += " " * (column - len(text))
        elif text and not touches and not text.endswith(" "):
            text += " "
        text += piece.text
        end = piece.right
    return text.rstrip()
