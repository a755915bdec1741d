"""`mediaconvert config show`, `config example` and `config clickhouse`."""

from __future__ import annotations

import argparse

from mediaconvert.cli.masking import MASK, masked_url
from mediaconvert.cli.options import load_configuration
from mediaconvert.config import fields

_URLS = frozenset({"database.url", "redis.url", "analytics.clickhouse_dsn"})
"""Secrets of which only the password is one."""


def run(arguments: argparse.Namespace) -> int:
    match arguments.action:
        case "example":
            text = example()
        case "clickhouse":
            # Its driver takes a while to import.
            from mediaconvert.backends.analytics.clickhouse_schema import document

            text = document()
        case _:
            text = show(arguments)
    print(text, end="")
    return 0


def show(arguments: argparse.Namespace) -> str:
    """A line a setting: name, value, unit, and where the value came from."""
    configuration = load_configuration(arguments)
    width = max(len(o.name) for o in configuration.origins)
    lines = []
    for origin in configuration.origins:
        value = origin.value
        if origin.is_secret and value:
            value = masked_url(str(value)) if origin.name in _URLS else MASK
        shown = "-" if value in ("", None) else str(value)
        if isinstance(value, bool):
            shown = str(value).lower()
        unit = f" {origin.unit}" if origin.unit else ""
        lines.append(f"{origin.name:{width}}  {shown}{unit}  ({origin.source})\n")
    return "".join(lines)


def example() -> str:
    """Every variable with its default, commented out: `config/env.example`."""
    lines = [
        "# Every setting as an environment variable, with its default. Copy to .env and uncomment",
        "# what you change. The same settings stand in a YAML file as section.key; a later source",
        "# wins: file, .env, environment, flags. Written by `make schema`.",
    ]
    section = ""
    for f in fields():
        if f.section != section:
            section = f.section
            lines += ["", f"# --- {section}"]
        unit = f" ({f.metadata['unit']})" if f.metadata["unit"] else ""
        alias = f" Also as {f.metadata['alias']}." if f.metadata["alias"] else ""
        choices = f" One of {', '.join(f.metadata['choices'])}." if f.metadata["choices"] else ""
        default = "" if f.default is None else f.default
        if isinstance(default, bool):
            default = str(default).lower()
        lines += [
            f"# {f.metadata['help']}{unit}{choices}{alias}",
            f"#{f.variable}={default}",
        ]
    return "\n".join(lines) + "\n"
