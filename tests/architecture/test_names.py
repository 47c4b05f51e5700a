"""Names are those of a trader or an operator."""

from __future__ import annotations

import ast
import re

import pytest

from tests.architecture.trees import ROOMS, TOP, files, nodes, place

EMPTY_WORDS = {
    "manager", "handler", "service", "processor", "orchestrator", "engine", "enhanced", "advanced",
    "util", "utils", "helper", "helpers", "common",
}  # fmt: skip


def words(name: str) -> set[str]:
    """The words of a CamelCase or snake_case name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)}


@pytest.mark.parametrize("name", ["BarManager", "HTTPHandler", "test_utils", "_common", "Engine2"])
def test_an_empty_word_is_seen_in_any_spelling(name: str) -> None:
    assert words(name) & EMPTY_WORDS


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_or_class_has_a_name_that_says_nothing(room: str) -> None:
    modules = [(place(path), part) for path in files(room) for part in path.relative_to(TOP).with_suffix("").parts]
    classes = [(place(path, node.lineno), node.name) for path in files(room) for node in nodes(path, ast.ClassDef)]
    guilty = {f"{where} {name}" for where, name in modules + classes if words(name) & EMPTY_WORDS}
    assert guilty == set()
