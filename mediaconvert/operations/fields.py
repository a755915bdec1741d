"""The kinds of parameters: how a value of a pipeline's text becomes a typed one.

Each kind is an annotation, `Annotated[int, Whole(1, 51)]`: it reads kindly (`"23"` is 23,
`"128k"` is 128000, `HEVC` is h265), refuses with a sentence that says what would be right, and
knows its own JSON Schema. Pure. Used by the `Params` of the operations.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NoReturn

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from mediaconvert.errors import suggestion
from mediaconvert.operations import timestamps
from mediaconvert.operations.timestamps import Moment

JsonSchema = dict[str, object]

_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]{1,12})?")
_BITRATE = re.compile(
    r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(k|m|g)?(?:bps|bit/s|bits/s|b/s|b)?", re.IGNORECASE
)
_COLOUR = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")
_COLOUR_NAMES = {"black": "#000000", "white": "#ffffff", "grey": "#808080", "gray": "#808080"}


def refuse(message: str) -> NoReturn:
    """End the reading of one value with a sentence for the user."""
    raise PydanticCustomError("refused", "{message}", {"message": message})


def shown(value: object) -> str:
    """A value of the text as messages quote it: short, and in the text's own words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"'{value[:60]}…'" if len(value) > 60 else f"'{value}'"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = f"{value}"
    return f"{text[:60]}…" if len(text) > 60 else text


class Kind(ABC):
    """One kind of value; subclasses read it and describe it."""

    @abstractmethod
    def read(self, value: object) -> object:
        """The typed value; refuses anything else."""

    @abstractmethod
    def json_schema(self) -> JsonSchema:
        """What an editor may know of it."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchema:
        return self.json_schema()


@dataclass(frozen=True, slots=True)
class Whole(Kind):
    """A whole number; `"320"` and `320.0` count as one."""

    minimum: int
    maximum: int

    def read(self, value: object) -> int:
        number: int | None = None
        if isinstance(value, int) and not isinstance(value, bool):
            number = value
        elif (isinstance(value, float) and value.is_integer() and abs(value) < 1e15) or (
            isinstance(value, str) and _WHOLE.fullmatch(value.strip())
        ):
            number = int(value)
        if number is None or not self.minimum <= number <= self.maximum:
            refuse(
                f"must be a whole number from {self.minimum} to {self.maximum}, not {shown(value)}"
            )
        return number

    def json_schema(self) -> JsonSchema:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Flag(Kind):
    """True or false; YAML's yes/no/on/off count, also in quotes."""

    def read(self, value: object) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in {"true", "yes", "on"}:
            return True
        if isinstance(value, str) and value.lower() in {"false", "no", "off"}:
            return False
        refuse(f"must be true or false, not {shown(value)}")

    def json_schema(self) -> JsonSchema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of a few words, in any case, or another name of one of them."""

    values: tuple[str, ...]
    aliases: Mapping[str, str] = field(default_factory=dict, hash=False)

    def read(self, value: object) -> str:
        listed = ", ".join(self.values)
        if not isinstance(value, str):
            # An unquoted `no` or `off` is a boolean to YAML; say so where it may be the cause.
            refuse(f"must be one of {listed}, not {shown(value)}")
        word = value.strip().lower()
        word = self.aliases.get(word, word)
        if word not in self.values:
            hint = suggestion(word, (*self.values, *self.aliases))
            refuse(f"must be one of {listed}, not {shown(value)}{hint}")
        return word

    def json_schema(self) -> JsonSchema:
        # Editors offer the enum; the pattern lets the other names and capitals pass.
        words = "|".join(_any_case(word) for word in (*self.values, *self.aliases))
        return {"anyOf": [{"enum": [*self.values]}, {"type": "string", "pattern": f"^({words})$"}]}


def _any_case(word: str) -> str:
    """A pattern for a word in any case; JSON Schema's patterns know no flags."""
    return "".join(
        f"[{char}{char.upper()}]" if char.isalpha() else re.escape(char) for char in word
    )


@dataclass(frozen=True, slots=True)
class Bitrate(Kind):
    """Bits per second: `128k`, `2.5M`, 128000. A bare number below 10,000 means kbit/s, for
    nobody asks for a stream of 320 bit/s."""

    minimum: int
    maximum: int

    def read(self, value: object) -> int:
        text = "" if isinstance(value, bool) else f"{value}"
        match = _BITRATE.fullmatch(text.strip()) if isinstance(value, (int, float, str)) else None
        if match is None:
            refuse(f"must be a bit rate such as '128k' or '2.5M', not {shown(value)}")
        number, unit = float(match.group(1)), (match.group(2) or "").lower()
        factor = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}.get(unit)
        if factor is None:
            factor = 1_000 if number < 10_000 else 1
        rate = round(number * factor)
        if not self.minimum <= rate <= self.maximum:
            refuse(
                f"must be from {rate_text(self.minimum)} to {rate_text(self.maximum)}, "
                f"not {shown(value)}"
            )
        return rate

    def json_schema(self) -> JsonSchema:
        pattern = r"^\s*[0-9]+(\.[0-9]+)?\s*[kKmMgG]?(bps|bit/s|bits/s|b/s|b)?\s*$"
        return {"anyOf": [{"type": "string", "pattern": pattern}, {"type": "number"}]}


def rate_text(bits_per_second: int) -> str:
    """`128k`: a bit rate as ffmpeg takes it and messages show it."""
    if bits_per_second % 1_000_000 == 0:
        return f"{bits_per_second // 1_000_000}M"
    if bits_per_second % 1_000 == 0:
        return f"{bits_per_second // 1_000}k"
    return f"{bits_per_second}"


@dataclass(frozen=True, slots=True)
class Seconds(Kind):
    """A length or a point in time: seconds, `00:01:02.5`, `250ms`."""

    minimum: float = 0.0
    maximum: float = timestamps.MAX_SECONDS

    def read(self, value: object) -> float:
        seconds = _seconds(value)
        if seconds is None:
            refuse(f"must be seconds or a time such as '00:00:01', not {shown(value)}")
        if not self.minimum <= seconds <= self.maximum:
            refuse(f"must be from {self.minimum:g} s to {self.maximum:g} s, not {shown(value)}")
        return seconds

    def json_schema(self) -> JsonSchema:
        number: JsonSchema = {"type": "number", "minimum": self.minimum, "maximum": self.maximum}
        return {"anyOf": [number, {"type": "string"}]}


@dataclass(frozen=True, slots=True)
class MomentKind(Kind):
    """A point in time as in `Seconds`, or a share of the length: `50%`."""

    def read(self, value: object) -> Moment:
        moment = (
            timestamps.parse_moment(value)
            if isinstance(value, str)
            else None
            if (seconds := _seconds(value)) is None
            else Moment(seconds=seconds)
        )
        if moment is None or (moment.seconds or 0.0) > timestamps.MAX_SECONDS:
            refuse(
                "must be seconds, a time such as '00:00:01' or a share such as '50%', "
                f"not {shown(value)}"
            )
        return moment

    def json_schema(self) -> JsonSchema:
        return {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}]}


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        # Neither nan nor a number too long for a float passes the comparison.
        return float(value) if 0 <= value <= timestamps.MAX_SECONDS * 10 else None
    return timestamps.parse_seconds(value) if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class FrameRate(Kind):
    """Frames per second: 25, 29.97 or `30000/1001`; NTSC's decimals become their fractions."""

    maximum: int = 240

    def read(self, value: object) -> Fraction:
        rate = _rate(value)
        if rate is None or not 1 <= rate <= self.maximum:
            refuse(
                f"must be frames per second from 1 to {self.maximum}, such as 25, 29.97 or "
                f"'30000/1001', not {shown(value)}"
            )
        return rate

    def json_schema(self) -> JsonSchema:
        number: JsonSchema = {"type": "number", "minimum": 1, "maximum": self.maximum}
        pattern = r"^[0-9]+(\.[0-9]+)?(/[0-9]+)?$"
        return {"anyOf": [number, {"type": "string", "pattern": pattern}]}


def _rate(value: object) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = f"{value}".strip()
    numerator, slash, denominator = text.partition("/")
    if slash:
        if not (
            re.fullmatch(r"[0-9]{1,6}", numerator) and re.fullmatch(r"[0-9]{1,6}", denominator)
        ):
            return None
        return Fraction(int(numerator), int(denominator)) if int(denominator) else None
    if not _NUMBER.fullmatch(text):
        return None
    exact = Fraction(text)
    for base in (24, 30, 48, 60, 120):
        ntsc = Fraction(base * 1000, 1001)
        if exact.denominator != 1 and abs(exact - ntsc) < Fraction(1, 100):
            return ntsc
    # ffmpeg reads a rate as a fraction of two small integers.
    return exact.limit_denominator(1000)


@dataclass(frozen=True, slots=True)
class Colour(Kind):
    """`#rrggbb`, `#rgb` or one of a few names."""

    def read(self, value: object) -> str:
        if isinstance(value, str):
            text = value.strip().lower()
            if text in _COLOUR_NAMES:
                return _COLOUR_NAMES[text]
            if _COLOUR.fullmatch(text):
                return text if len(text) == 7 else "#" + "".join(c * 2 for c in text[1:])
        refuse(f"must be a colour such as '#ffffff', not {shown(value)}")

    def json_schema(self) -> JsonSchema:
        return {
            "anyOf": [
                {"type": "string", "pattern": "^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"},
                {"type": "string", "enum": sorted(_COLOUR_NAMES)},
            ]
        }
