"""Files that a newcomer can read in one sitting, and rooms that say what they are."""

from __future__ import annotations

import ast
import statistics

import pytest

from tests.architecture.source import Module, functions, modules


def test_files_stay_readable() -> None:
    lines = sorted(m.lines for m in modules() if m.lines > 1)
    assert lines[-1] <= 500
    assert statistics.median(lines) <= 150
    assert lines[int(len(lines) * 0.9)] <= 350


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.name or "package")
def test_functions_stay_short(module: Module) -> None:
    for function in functions(module):
        docstring = ast.get_docstring(function, clean=False) or ""
        length = (function.end_lineno or 0) - function.lineno + 1 - docstring.count("\n")
        assert length <= 45, f"{function.name} has {length} lines"


@pytest.mark.parametrize("module", modules(), ids=lambda m: m.name or "package")
def test_every_module_says_what_it_is(module: Module) -> None:
    if module.tree.body:
        assert ast.get_docstring(module.tree), module.name


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"utils", "util", "helpers", "common", "manager", "misc"}
    assert not [m.name for m in modules() if set(m.name.split(".")) & drawers]


def test_only_the_three_fences_catch_everything() -> None:
    """Request, job and flusher; each logs once with its context. What cleans up and raises
    again lets everything through, and is no fence."""
    fences = {
        module.name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_again(node)
    }
    assert fences == {
        "api.fence",  # requests: the server's own, and
        "api.rest.app",  # each door's, which knows how an error looks there
        "api.s3.dispatch",
        "workers.runner",  # jobs
        "analytics.flusher",
    }


def _is_broad(handler: ast.ExceptHandler) -> bool:
    name = handler.type.id if isinstance(handler.type, ast.Name) else None
    return handler.type is None or name in {"Exception", "BaseException"}


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
