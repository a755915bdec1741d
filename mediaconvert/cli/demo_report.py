"""The demo's report.html: frames before and after, what came out, how long it took. Pure."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .9rem .3rem 0;text-align:left;
border-bottom:1px solid #ddd}td.n{text-align:right}figure{margin:0;flex:1}img{width:100%}
.pair{display:flex;gap:1rem;margin:1rem 0}figcaption{color:#666}
"""


@dataclass(frozen=True, slots=True)
class ReportFile:
    name: str
    size: int
    description: str
    """`h264 1280x720, aac, 5.3 s`."""


@dataclass(frozen=True, slots=True)
class FramePair:
    """The same moment of the source and of the result, as JPEG bytes."""

    seconds: float
    before: bytes
    after: bytes


def render(
    source: ReportFile,
    results: Sequence[ReportFile],
    frames: Sequence[FramePair],
    timings: Sequence[tuple[str, float]],
    thumbnail: bytes | None,
) -> str:
    """One HTML page that needs no other file."""
    rows = "".join(_row(f) for f in (source, *results))
    times = "".join(
        f"<tr><td>{html.escape(what)}</td><td class=n>{seconds:.2f} s</td></tr>"
        for what, seconds in timings
    )
    pairs = "".join(
        f"<div class=pair>{_figure(f.before, f'before, at {f.seconds:g} s')}"
        f"{_figure(f.after, f'after, at {f.seconds:g} s')}</div>"
        for f in frames
    )
    poster = f"<h2>Thumbnail</h2><p><img src='{_data(thumbnail)}' style='width:auto'></p>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>MediaConvert demo</title>"
        f"<style>{STYLE}</style><h1>MediaConvert demo</h1>"
        "<h2>Files</h2><table><tr><th>file<th>bytes<th>what it is</tr>"
        f"{rows}</table><h2>Frames</h2>{pairs}{poster if thumbnail else ''}"
        f"<h2>Timings</h2><table>{times}</table>"
        "<p>Film: <i>Big Buck Bunny</i>, © 2008 Blender Foundation, CC BY 3.0.</p></html>\n"
    )


def _row(file: ReportFile) -> str:
    return (
        f"<tr><td>{html.escape(file.name)}</td><td class=n>{file.size:,}</td>"
        f"<td>{html.escape(file.description)}</td></tr>"
    )


def _figure(jpeg: bytes, caption: str) -> str:
    text = html.escape(caption)
    return f"<figure><img src='{_data(jpeg)}' alt='{text}'><figcaption>{text}</figcaption></figure>"


def _data(jpeg: bytes | None) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg or b"").decode()
