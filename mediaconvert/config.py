"""Fills the settings: file < .env < environment < flags, the later one winning.

Every mistake in all four is collected and reported at once, each with its place and, for a
name that is nearly right, the right one. Pure but for reading the two files; called by the
command line before anything else starts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from mediaconvert.errors import ConfigError, suggestion
from mediaconvert.settings import Settings

CONFIG_FILES = (Path("mediaconvert.yaml"), Path("/etc/mediaconvert/mediaconvert.yaml"))
PREFIX = "MEDIACONVERT_"
# Variables with our prefix that are not settings.
OTHER_VARIABLES = frozenset({"MEDIACONVERT_DATA_DIR", "MEDIACONVERT_MASTER_KEY"})


@dataclass(frozen=True, slots=True)
class Origin:
    """One setting's name, its value, and where the value came from."""

    name: str
    """`section.key`."""
    value: object
    source: str
    """`default`, a file with its name, an environment variable's name, or a flag."""
    is_secret: bool
    help: str
    unit: str


@dataclass(frozen=True, slots=True)
class Configuration:
    settings: Settings
    origins: tuple[Origin, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Field:
    section: str
    key: str
    type: Any
    default: object
    metadata: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.section.upper()}__{self.key.upper()}"


def fields() -> Iterator[_Field]:
    """Every setting, in the order of `settings.py`."""
    for section in dataclasses.fields(Settings):
        section_type = get_type_hints(Settings)[section.name]
        hints = get_type_hints(section_type)
        for f in dataclasses.fields(section_type):
            yield _Field(section.name, f.name, hints[f.name], f.default, f.metadata)


def load(
    *,
    environment: Mapping[str, str],
    flags: Mapping[str, object],
    config_file: Path | None = None,
    folder: Path | None = None,
) -> Configuration:
    """`flags` maps `section.key` to values given on the command line; `folder` is where
    `mediaconvert.yaml` and `.env` are looked for (default: the current one).

    Raises ConfigError with every problem."""
    folder = folder or Path()
    known = {f.name: f for f in fields()}
    problems: list[str] = []
    found: dict[str, tuple[object, str]] = {}
    file = config_file or next((p for c in CONFIG_FILES if (p := folder / c).is_file()), None)
    if file is not None:
        _take_file(file, known, found, problems)
    _take_variables(_read_dotenv(folder / ".env", problems), known, found, problems, " in .env")
    _take_variables(environment, known, found, problems, "")
    for name, value in flags.items():
        found[name] = (value, f"--{name.rpartition('.')[2].replace('_', '-')}")

    values: dict[str, dict[str, object]] = {}
    origins = []
    for name, f in known.items():
        raw, source = found.get(name, (f.default, "default"))
        try:
            value = raw if source == "default" else convert(raw, f.type, f.metadata)
        except ValueError as error:
            shown = "the value given" if f.metadata["secret"] else repr(raw)
            problems.append(f"{name} (from {source}): {shown} {error}")
            value = f.default
        values.setdefault(f.section, {})[f.key] = value
        origins.append(
            Origin(
                name, value, source, f.metadata["secret"], f.metadata["help"], f.metadata["unit"]
            )
        )
    if problems:
        raise ConfigError("\n".join(problems))
    return Configuration(_build(values), tuple(origins))


def _build(values: Mapping[str, Mapping[str, object]]) -> Settings:
    hints = get_type_hints(Settings)
    return Settings(**{s: hints[s](**section) for s, section in values.items()})


def _take_file(
    file: Path,
    known: Mapping[str, _Field],
    found: dict[str, tuple[object, str]],
    problems: list[str],
) -> None:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(f"the configuration file {file} does not exist")
        return
    except OSError as error:
        problems.append(f"the configuration file {file} cannot be read: {error.strerror}")
        return
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"the configuration file {file} is not valid YAML: {error}")
        return
    if document is None:
        return
    if not isinstance(document, dict):
        problems.append(f"{file}: the top level must be sections such as 'server:'")
        return
    sections = {f.section for f in known.values()}
    for section, content in document.items():
        if section not in sections:
            problems.append(
                f"{file}: unknown section '{section}'{suggestion(str(section), sections)}"
            )
        elif not isinstance(content, dict):
            problems.append(f"{file}: section '{section}' must hold settings, 'key: value'")
        else:
            _take_section(file, section, content, known, found, problems)


def _take_section(
    file: Path,
    section: str,
    content: Mapping[object, object],
    known: Mapping[str, _Field],
    found: dict[str, tuple[object, str]],
    problems: list[str],
) -> None:
    keys = [f.key for f in known.values() if f.section == section]
    for key, value in content.items():
        if key not in keys:
            hint = suggestion(str(key), keys)
            problems.append(f"{file}: unknown setting '{section}.{key}'{hint}")
        else:
            found[f"{section}.{key}"] = (value, str(file))


def _read_dotenv(file: Path, problems: list[str]) -> dict[str, str]:
    """`NAME=value` lines; `#` comments, `export`, and one pair of quotes are understood."""
    variables: dict[str, str] = {}
    if not file.is_file():
        return variables
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{file} cannot be read: {error}")
        return variables
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.partition("=")
        if not separator or not name.strip().isidentifier():
            problems.append(f"{file} line {number}: {line.strip()!r} is not NAME=value")
            continue
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        else:
            value = value.partition(" #")[0].rstrip()
        variables[name.strip()] = value
    return variables


def _take_variables(
    variables: Mapping[str, str],
    known: Mapping[str, _Field],
    found: dict[str, tuple[object, str]],
    problems: list[str],
    where: str,
) -> None:
    """The original's names first, so that ours win where both are set; an empty value counts
    as unset."""
    aliases = {f.metadata["alias"]: f for f in known.values() if f.metadata["alias"]}
    ours = {f.variable: f for f in known.values()}
    for name, f in aliases.items():
        if variables.get(name):
            found[f.name] = (variables[name], name + where)
    for name, f in ours.items():
        if variables.get(name):
            found[f.name] = (variables[name], name + where)
    for name in sorted(variables):
        if name.startswith(PREFIX) and name not in ours and name not in OTHER_VARIABLES:
            original = name.removeprefix(PREFIX)
            near = (
                f"; did you mean '{original}'?"
                if original in aliases
                else suggestion(name, (*ours, *OTHER_VARIABLES), prefix=PREFIX)
            )
            problems.append(f"unknown variable {name}{where}{near}")


def convert(raw: object, wanted: Any, metadata: Mapping[str, Any]) -> object:
    """Text or a YAML value as the setting's type. Raises ValueError with what would be right
    (`is not a whole number`)."""
    if get_origin(wanted) is UnionType:
        options = [t for t in get_args(wanted) if t is not NoneType]
        if raw is None or raw == "":
            return None
        return convert(raw, options[0], metadata)
    if wanted is bool:
        return _boolean(raw)
    if wanted is Path:
        if not isinstance(raw, str) or not raw:
            raise ValueError("is not a path")
        return Path(raw).expanduser()
    if wanted in (int, float):
        return _number(raw, wanted, metadata)
    if not isinstance(raw, str):
        if isinstance(raw, (int, float)) and not isinstance(raw, bool):
            raw = str(raw)
        else:
            raise ValueError("is not a text; put it in quotes")
    choices = metadata["choices"]
    if choices and raw not in choices:
        raise ValueError(f"is not one of {', '.join(choices)}{suggestion(raw, choices)}")
    return raw


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    words = {"true": True, "yes": True, "on": True, "1": True}
    words |= {"false": False, "no": False, "off": False, "0": False}
    try:
        return words[str(raw).lower()]
    except KeyError:
        raise ValueError("is neither true nor false") from None


def _number(raw: object, wanted: type, metadata: Mapping[str, Any]) -> int | float:
    if isinstance(raw, bool):
        raise ValueError("is not a number")
    try:
        if isinstance(raw, float) and wanted is int and raw != int(raw):
            raise ValueError
        value: int | float = wanted(raw)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"is not a {'whole ' if wanted is int else ''}number") from None
    minimum, maximum = metadata["minimum"], metadata["maximum"]
    if not math.isfinite(value):
        raise ValueError("is not a number")
    if minimum is not None and value < minimum:
        raise ValueError(f"is too small; the least is {minimum:g}")
    if maximum is not None and value > maximum:
        raise ValueError(f"is too large; the most is {maximum:g}")
    return value
