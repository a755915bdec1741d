"""S3's XML, both ways: request documents read with every cap on, answers written byte-exact.

No DTD, no entity, no document over its size or depth. Keys survive as they are in both
directions, control characters included where XML or S3 has a way to write them. Knows nothing
of what the documents mean: `documents.py` and the verbs do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree.ElementTree import Element as ParsedElement
from xml.etree.ElementTree import ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_ATTRIBUTES = 8
"""S3's own documents have one or two, `xsi:type` for a grantee."""
MAX_DEPTH = 16
"""Deeper than any document of the S3 API."""
MAX_ELEMENTS = 100_000
"""A complete request of 10,000 parts with ETag, number and all five checksums has 80,001."""
MAX_BODY_BYTES = 8 << 20
"""DeleteObjects: 1,000 keys of 1,024 bytes, each byte written as `&#xNN;`, with their tags;
CompleteMultipartUpload: 10,000 parts with ETag and checksum need about 3 MiB."""

_SCHEMA_ATTRIBUTE = re.compile(r"\{[^}]*\}")
_OUR_NAMESPACES = ("", NAMESPACE, NAMESPACE.rstrip("/"), "http://doc.s3.amazonaws.com/2006-03-01")

# XML 1.0 has no way to write these, as characters or as references; S3's keys have them, and
# clients send them. The parser sees private characters of plane 16 in their place.
_FORBIDDEN = "".join(map(chr, (*range(1, 9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF)))
_STAND_IN_BASE = 0x10_FE00
_TO_STAND_IN = {ord(c): chr(_STAND_IN_BASE + n) for n, c in enumerate(_FORBIDDEN)}
_FROM_STAND_IN = {ord(stand_in): chr(code) for code, stand_in in _TO_STAND_IN.items()}
_STAND_IN = re.compile(f"[{''.join(_TO_STAND_IN.values())}]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,8}));")

# Beside the mark-up: a carriage return would come back as a line feed, and what XML 1.0
# forbids is written as a reference, as AWS does it (lists offer encoding-type=url for it).
_ESCAPE = re.compile('[&<>"\x01-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff\0]|[\ud800-\udfff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


@dataclass(frozen=True, slots=True)
class Element:
    """An element to be written: its name, and its text or its children."""

    name: str
    content: str | Sequence[Element] = ""
    attributes: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """An element as read: names without their namespace."""

    name: str
    text: str
    """As written, white space included; of an element with children usually just that."""
    children: tuple[Node, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()

    def child(self, name: str) -> Node | None:
        return next((c for c in self.children if c.name == name), None)

    def all(self, name: str) -> tuple[Node, ...]:
        return tuple(c for c in self.children if c.name == name)

    def value(self, name: str) -> str | None:
        """The text of the child without surrounding white space; None where there is none.
        Not for keys, in which white space counts: use `child(name).text`."""
        found = self.child(name)
        return None if found is None else found.text.strip()


class MalformedXml(ValueError):
    """Not well-formed, over a cap, or not the document that was wanted. `documents` gives it
    S3's words."""


def parse(body: bytes, *roots: str) -> Node:
    """The document's root element, whose name must be one of `roots`.

    With or without S3's namespace; UTF-8 only. Raises MalformedXml.
    """
    if len(body) > MAX_BODY_BYTES:
        raise MalformedXml(f"it has {len(body)} bytes; the limit is {MAX_BODY_BYTES}")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedXml("it is not UTF-8") from None
    text, has_stand_ins = _with_stand_ins(text)
    builder = _CappedBuilder()
    parser = DefusedXMLParser(target=builder, encoding="utf-8", forbid_dtd=True)
    try:
        parser.feed(text.encode("utf-8"))
        root: ParsedElement = parser.close()
    except DefusedXmlException:
        raise MalformedXml("DTDs and entities are not accepted") from None
    except (ParseError, ValueError, AssertionError) as error:
        raise MalformedXml(str(error)) from None
    node = _to_node(root, has_stand_ins=has_stand_ins)
    if node.name not in roots:
        raise MalformedXml(f"the root element is {node.name}, not {' or '.join(roots)}")
    return node


class _CappedBuilder(TreeBuilder):
    """Refuses depth and number of elements while the document is still being read."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0
        self._elements = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ParsedElement:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"elements are nested more than {MAX_DEPTH} deep")
        if len(attrs) > MAX_ATTRIBUTES:
            raise ValueError(f"an element has more than {MAX_ATTRIBUTES} attributes")
        if self._elements > MAX_ELEMENTS:
            raise ValueError(f"there are more than {MAX_ELEMENTS} elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ParsedElement:
        self._depth -= 1
        return super().end(tag)


def _with_stand_ins(text: str) -> tuple[str, bool]:
    """The text with forbidden control characters replaced, raw and as references; unchanged
    where it has none, or where it uses the stand-ins' own code points."""

    def replace(match: re.Match[str]) -> str:
        hexadecimal, decimal = match.groups()
        code = int(hexadecimal, 16) if hexadecimal else int(decimal)
        return _TO_STAND_IN.get(code, match[0])

    replaced = _REFERENCE.sub(replace, text.translate(_TO_STAND_IN))
    if replaced == text or _STAND_IN.search(text) or _uses_stand_ins_by_reference(text):
        return text, False
    return replaced, True


def _uses_stand_ins_by_reference(text: str) -> bool:
    codes = (int(m[1], 16) if m[1] else int(m[2]) for m in _REFERENCE.finditer(text))
    return any(code in _FROM_STAND_IN for code in codes)


def _to_node(element: ParsedElement, *, has_stand_ins: bool) -> Node:
    namespace, _, name = element.tag.rpartition("}")
    if namespace.lstrip("{") not in _OUR_NAMESPACES:
        raise MalformedXml(f"the namespace {namespace[1:]!r} is not S3's")
    text = element.text or ""
    return Node(
        name,
        text.translate(_FROM_STAND_IN) if has_stand_ins else text,
        tuple(_to_node(child, has_stand_ins=has_stand_ins) for child in element),
        tuple((_SCHEMA_ATTRIBUTE.sub("", k), v) for k, v in element.attrib.items()),
    )


def render(root: Element, *, namespace: str | None = NAMESPACE) -> bytes:
    """The document in UTF-8 with its declaration, the namespace on the root."""
    out = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    attributes = [*([("xmlns", namespace)] if namespace else []), *root.attributes]
    _write(Element(root.name, root.content, attributes), out)
    return "".join(out).encode("utf-8")


def _write(element: Element, out: list[str]) -> None:
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in element.attributes)
    if not element.content:
        out.append(f"<{element.name}{attributes}/>")
        return
    out.append(f"<{element.name}{attributes}>")
    if isinstance(element.content, str):
        out.append(escape(element.content))
    else:
        for child in element.content:
            _write(child, out)
    out.append(f"</{element.name}>")


def escape(text: str) -> str:
    """Text for an element or attribute."""
    return _ESCAPE.sub(_escape_one, text)


def _escape_one(match: re.Match[str]) -> str:
    character = match[0]
    if character in _NAMED:
        return _NAMED[character]
    # NUL, lone surrogates and the two non-characters cannot be written at all.
    if character in "\0\ufffe\uffff" or "\ud800" <= character <= "\udfff":
        return "\ufffd"
    return f"&#x{ord(character):x};"


def printable(text: str) -> str:
    """The text with what XML 1.0 forbids replaced by U+FFFD: for messages and error
    documents, which must be readable by every parser."""
    return re.sub(f"[{_FORBIDDEN}\0\ud800-\udfff]", "\ufffd", text)


def url_encoded(text: str) -> str:
    """A key, prefix, marker or delimiter as `encoding-type=url` writes it: like a form value
    (a space is `+`), with the slash left alone."""
    return quote(text, safe="/*-._ ").replace("~", "%7E").replace(" ", "+")
