"""What the image server does with PDF files, by PDFium. Runs only in a forked, sandboxed child.

Pages are counted and measured before any is drawn. Called by `tools.image_server`, never by
the service.
"""

from __future__ import annotations

import codecs
import json
import math
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO

import pypdfium2
import pyvips

from mediaconvert.tools.geometry import Placement, Resize, offset, parse_resize, place
from mediaconvert.tools.image_encode import ALPHA_FORMATS, ink, write_image
from mediaconvert.tools.image_task import Refused, Task, as_flag, as_int, as_text
from mediaconvert.tools.pdf_layout import Piece, lay_out

_POINTS_PER_INCH = 72.0
_DEFAULT_DPI = 150
_ENCODINGS = ("utf-8", "utf-16", "iso8859-1", "ascii", "cp1252")
_ERROR_PASSWORD, _ERROR_SECURITY = 4, 5
# A rectangle of a text page costs a call each; a page with more is not one that people read.
_MAX_PIECES = 200_000


@contextmanager
def _page_readable(number: int) -> Iterator[None]:
    """What PDFium says of a broken page is the file's fault, not ours."""
    try:
        yield
    except pypdfium2.PdfiumError as error:
        raise Refused("broken_file", f"page {number} of the PDF cannot be read: {error}") from error


def probe(task: Task) -> dict[str, object]:
    """Number of pages and size of the first, in points."""
    document = _open(task)
    with _page_readable(1):
        width, height = document.get_page_size(0)
    return {"pages": len(document), "width": _whole(width), "height": _whole(height)}


def render_page(task: Task) -> dict[str, object]:
    """Draw one page at the size that was asked for, and encode it."""
    document = _open(task)
    number = as_int(task.params, "page") or 1
    _check_page(number, len(document))
    with _page_readable(number):
        document.init_forms()
        page = document[number - 1]
        width, height = page.get_size()
    # Less than a thousandth of a point is none.
    if not (min(width, height) >= 0.001 and math.isfinite(width * height)):
        raise Refused("broken_file", f"page {number} of the PDF has no size")
    form = as_text(task.params, "format", "jpeg")
    section = task.section("resize")
    with _page_readable(number):
        if section is None:
            dpi = as_int(task.params, "dpi") or _DEFAULT_DPI
            scale = (dpi / _POINTS_PER_INCH, dpi / _POINTS_PER_INCH)
            image = _draw(task, page, scale)
        else:
            image = _draw_resized(task, page, parse_resize({**section, "upscale": True}), form)
    return write_image(task, image, form) | {"page": number}


def extract_text(task: Task) -> dict[str, object]:
    """The text of the pages, each ended by a form feed, or all of them as JSON."""
    document = _open(task)
    layout = as_flag(task.params, "layout", default=False)
    encoding = _encoding(as_text(task.params, "encoding", "utf-8"))
    characters = 0
    written: list[int] = []
    with os.fdopen(os.dup(task.output_fds[0]), "wb") as output:
        writer = codecs.getwriter(encoding)(output, "replace")
        is_json = as_text(task.params, "format", "text") == "json"
        writer.write('{"pages":[' if is_json else "")
        for number in _wanted(task, len(document)):
            text = _page_text(document, number, layout=layout)
            if is_json:
                entry = json.dumps({"page": number, "text": text}, ensure_ascii=False)
                writer.write(("," if written else "") + entry)
            else:
                writer.write(text + "\n\f" if text else "\f")
            characters += len(text)
            written.append(number)
        writer.write("]}" if is_json else "")
    return {"pages": len(written), "characters": characters}


def _open(task: Task) -> pypdfium2.PdfDocument:
    stream: BinaryIO = os.fdopen(os.dup(task.input_fd), "rb")
    stream.seek(0)
    try:
        document = pypdfium2.PdfDocument(stream, autoclose=True)
        pages = len(document)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) in (_ERROR_PASSWORD, _ERROR_SECURITY):
            raise Refused(
                "encrypted_pdf", "the PDF is encrypted; save it without a password first"
            ) from error
        raise Refused("broken_file", f"the PDF cannot be read: {error}") from error
    if pages < 1:
        raise Refused("broken_file", "the PDF has no pages")
    if pages > task.max_pages:
        raise Refused(
            "too_many_pages", f"the PDF has {pages} pages; at most {task.max_pages} are allowed"
        )
    return document


def _check_page(number: int, pages: int) -> None:
    if not 1 <= number <= pages:
        raise Refused(
            "page_out_of_range",
            f"page {number} was asked for, but the PDF has {pages} page{'s' * (pages != 1)}",
        )


def _draw(task: Task, page: pypdfium2.PdfPage, scale: tuple[float, float]) -> pyvips.Image:
    """The page on white, as RGB. PDFium scales both ways alike; a stretch is done afterwards."""
    width, height = page.get_size()
    size = (max(math.ceil(width * scale[0]), 1), max(math.ceil(height * scale[1]), 1))
    _check_pixels(task, size)
    bitmap = page.render(
        scale=max(scale),
        fill_color=(255, 255, 255, 255),
        rev_byteorder=True,
        prefer_bgrx=True,
        may_draw_forms=True,
    )
    image = pyvips.Image.new_from_memory(
        bytes(bitmap.buffer), bitmap.stride // 4, bitmap.height, 4, "uchar"
    )
    return image.crop(0, 0, bitmap.width, bitmap.height)[0:3].copy(interpretation="srgb")


def _draw_resized(task: Task, page: pypdfium2.PdfPage, asked: Resize, form: str) -> pyvips.Image:
    """A page has no pixels of its own: it is drawn at the size that is needed."""
    width, height = page.get_size()
    # In millionths, so that a page of a few points keeps its aspect.
    placement: Placement = place(round(width * 1000), round(height * 1000), asked)
    for size in (placement.scaled, placement.canvas):
        _check_pixels(task, size)
    scale = max(placement.scaled[0] / width, placement.scaled[1] / height)
    image = _draw(task, page, (scale, scale))
    image = image.thumbnail_image(
        placement.scaled[0], height=placement.scaled[1], size="force", no_rotate=True
    )
    if placement.scaled == placement.canvas:
        return image
    if placement.is_cut:
        gravity = "centre" if asked.gravity == "smart" else asked.gravity
        x, y = offset(placement.canvas, placement.scaled, gravity)
        return image.crop(x, y, *placement.canvas)
    colour = ink(asked.background, transparent=False)
    if colour[3] < 255 and form in ALPHA_FORMATS:
        image = image.addalpha()
    x, y = offset(placement.scaled, placement.canvas, asked.gravity)
    return image.embed(
        x, y, *placement.canvas,
        extend="background", background=[float(v) for v in colour[: image.bands]],
    )  # fmt: skip


def _check_pixels(task: Task, size: tuple[int, int]) -> None:
    if size[0] * size[1] > task.max_pixels:
        raise Refused(
            "too_many_pixels",
            f"the page would have {size[0]} x {size[1]} pixels; at most {task.max_pixels} are "
            "allowed",
        )


def _wanted(task: Task, pages: int) -> Iterator[int]:
    """Page numbers from 1, in the order asked for."""
    ranges = task.params.get("pages")
    if ranges is None:
        yield from range(1, pages + 1)
        return
    if not isinstance(ranges, list):
        raise ValueError(f"parameter pages is {ranges!r}, not a list of ranges")
    total = 0
    for first, last in ranges:
        last = pages if last is None else last
        _check_page(first, pages)
        _check_page(last, pages)
        total += max(last - first + 1, 0)
        if total > task.max_pages:
            raise Refused("too_many_pages", f"more than {task.max_pages} pages were asked for")
        yield from range(first, last + 1)


def _page_text(document: pypdfium2.PdfDocument, number: int, *, layout: bool) -> str:
    with (
        _page_readable(number),
        closing(document[number - 1]) as page,
        closing(page.get_textpage()) as text_page,
    ):
        if layout:
            return lay_out(_pieces(text_page), page.get_width())
        text = text_page.get_text_bounded()
    return "\n".join(line.rstrip() for line in _clean(text).splitlines()).strip("\n")


def _pieces(text_page: pypdfium2.PdfTextPage) -> list[Piece]:
    count = min(text_page.count_rects(), _MAX_PIECES)
    pieces = []
    for index in range(count):
        left, bottom, right, top = text_page.get_rect(index)
        text = _clean(text_page.get_text_bounded(left, bottom, right, top))
        pieces.append(Piece(left, bottom, right, top, " ".join(text.split())))
    return pieces


def _clean(text: str) -> str:
    """PDFium marks hyphens at line ends with U+FFFE and gives CR LF; NUL and other controls
    come from broken fonts. Lone surrogates cannot be encoded."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("￾", "-")
    text = "".join(c for c in text if c >= " " or c in "\n\t")
    return text.encode("utf-8", "replace").decode("utf-8")


def _encoding(name: str) -> str:
    try:
        known = codecs.lookup(name).name
    except LookupError:
        known = ""
    if known not in _ENCODINGS:
        raise ValueError(f"encoding is '{name}'; it must be one of {', '.join(_ENCODINGS)}")
    return known


def _whole(points: float) -> int:
    return max(round(points), 1) if math.isfinite(points) else 1
