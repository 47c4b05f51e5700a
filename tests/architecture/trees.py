"""The source files of this repository as syntax trees."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parents[2]
ROOMS = ("mdagent", "tests", "benchmarks")


@cache
def files(room: str) -> tuple[Path, ...]:
    """The Python files of a top folder, sorted."""
    return tuple(sorted((TOP / room).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def place(path: Path, line: int = 0) -> str:
    """`mdagent/market.py:12`, to be clicked on."""
    name = path.relative_to(TOP).as_posix()
    return f"{name}:{line}" if line else name


def nodes(path: Path, *kinds: type[ast.AST]) -> Iterator[Any]:
    """The nodes of those kinds, in no order that matters."""
    return (node for node in ast.walk(tree(path)) if isinstance(node, kinds))


@cache
def metadata() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))
