"""Time is a parameter: only clock.py may ask for it, or wait."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.trees import TOP, files, nodes, place

CLOCKS = {"now", "utcnow", "today", "localtime", "gmtime", "perf_counter", "perf_counter_ns", "monotonic_ns", "time_ns"}
OWNERS = {"datetime", "date", "dt", "Timestamp", "time", "pd", "asyncio", "threading"}
PERMITTED = {TOP / "mdagent" / "clock.py"}


def wall_time_in(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and word of each place that reads the wall clock or sleeps."""
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [(node.lineno, f"import {n.name}") for n in names if n.name == "time"]
            case ast.ImportFrom(module="time"):
                found.append((node.lineno, "from time import"))
            case ast.ImportFrom(module="asyncio", names=names):
                found += [(node.lineno, "from asyncio import sleep") for n in names if n.name == "sleep"]
            case ast.Attribute(attr=attr, value=ast.Name(id=owner) | ast.Attribute(attr=owner)):
                if owner in OWNERS and (attr in CLOCKS or attr == "sleep"):
                    found.append((node.lineno, f"{owner}.{attr}"))
            case _:
                pass
    return found


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "from time import monotonic",
        "x = datetime.now(UTC)",
        "x = datetime.datetime.utcnow()",
        "x = date.today()",
        "x = pd.Timestamp.now()",
        "await_ = asyncio.sleep(1)",
        "from asyncio import sleep",
        "field(default_factory=datetime.now)",
    ],
)
def test_each_way_to_read_or_pass_time_is_seen(code: str) -> None:
    assert wall_time_in(ast.parse(code))


@pytest.mark.parametrize("code", ["clock.now()", "await_ = clock.sleep(1)", "from datetime import time, datetime", "self._clock.now()"])
def test_a_clock_that_was_handed_in_is_no_wall_time(code: str) -> None:
    assert not wall_time_in(ast.parse(code))


def test_only_the_clock_reads_wall_time_or_sleeps() -> None:
    guilty = [
        f"{place(path, line)} {word}"
        for path in files("mdagent")
        if path not in PERMITTED
        for module in nodes(path, ast.Module)
        for line, word in wall_time_in(module)
    ]
    assert guilty == []
