"""docker-compose.yml as values: what Compose reads, with and without the variables put in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from tests.program import ROOT

FILE = ROOT / "docker-compose.yml"
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_0-9]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}|\$\$")
NODES = ("api", "worker")
"""The services that are our own program."""


def document() -> dict[str, Any]:
    loaded = yaml.safe_load(FILE.read_text())
    assert isinstance(loaded, dict)
    return loaded


def services() -> dict[str, dict[str, Any]]:
    return dict(document()["services"])


def with_variables(value: Any, variables: Mapping[str, str]) -> Any:
    """Compose specification, "Interpolation": `${NAME:?sentence}`, `${NAME:-default}`, `$$`."""
    if isinstance(value, dict):
        return {key: with_variables(inner, variables) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_variables(inner, variables) for inner in value]
    return VARIABLE.sub(lambda m: _value(m, variables), value) if isinstance(value, str) else value


def _value(match: re.Match[str], variables: Mapping[str, str]) -> str:
    if match[0] == "$$":
        return "$"
    if found := variables.get(match["name"]):
        return found
    assert match["kind"] == "-", f"{match['name']} is not set: {match['rest']}"
    return match["rest"]
