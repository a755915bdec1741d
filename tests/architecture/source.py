"""Reads the package's own source for the tests of its structure: modules, imports, sizes."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "mediaconvert"


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    """Dotted, below the package: `api.s3.dispatch`; empty for the package itself."""
    path: Path
    tree: ast.Module
    lines: int

    @property
    def room(self) -> str:
        return self.name.partition(".")[0]

    def imports(self) -> set[str]:
        """Every module named in an import statement, wherever it stands."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return found

    def rooms_imported(self) -> set[str]:
        """Rooms of this package that the module imports."""
        ours = {i for i in self.imports() if i.startswith("mediaconvert.")}
        return {i.split(".")[1] for i in ours}


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        name = name.removesuffix("__init__").removesuffix(".")
        found.append(Module(name, path, ast.parse(text), text.count("\n")))
    return tuple(found)


def functions(module: Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [
        n for n in ast.walk(module.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
