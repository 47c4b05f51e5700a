"""What does not fit on a screen or two is split, or says in one line why not."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.trees import ROOMS, files, place

FILE_LINES = 400
FUNCTION_LINES = 40
PLEA = "# long because: "

Function = ast.FunctionDef | ast.AsyncFunctionDef


def pleads(lines: list[str]) -> bool:
    """Does one of the lines give a reason?"""
    return any(line.partition(PLEA)[2].strip() for line in lines)


def is_long(code: str) -> bool:
    """More lines than a file may have, and no reason above its first definition."""
    lines = code.splitlines()
    first = next((n.lineno for n in ast.parse(code).body if isinstance(n, Function | ast.ClassDef)), len(lines))
    return len(lines) > FILE_LINES and not pleads(lines[:first])


def long_functions(code: str) -> list[tuple[int, str]]:
    """Line and name of each function with too many lines besides its docstring, and no reason at its head."""
    lines = code.splitlines()
    guilty = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, Function):
            continue
        docstring = node.body[0] if ast.get_docstring(node) is not None else None
        statements = node.body[1:] if docstring else node.body
        spent = (docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0
        length = (node.end_lineno or 0) - node.lineno + 1 - spent
        head = lines[max(0, node.lineno - 2) : statements[0].lineno if statements else node.end_lineno]
        if length > FUNCTION_LINES and not pleads(head):
            guilty.append((node.lineno, node.name))
    return guilty


BODY = "    x = 1\n" * (FUNCTION_LINES + 1)


@pytest.mark.parametrize(
    "code", [f"def f():\n{BODY}", f'def f():\n    """D."""\n{BODY}', f"class C:\n    def f():\n{BODY.replace('    ', '        ')}"]
)
def test_a_long_function_is_seen(code: str) -> None:
    assert [name for _, name in long_functions(code)] == ["f"]


@pytest.mark.parametrize("code", [f"{PLEA}one table\ndef f():\n{BODY}", f'def f():\n    """D."""\n    {PLEA}one table\n{BODY}'])
def test_a_long_function_with_a_reason_at_its_head_may_pass(code: str) -> None:
    assert long_functions(code) == []


def test_a_reason_further_down_does_not_count() -> None:
    assert long_functions(f"def f():\n{BODY}    {PLEA}it grew\n") != []


def test_a_docstring_makes_no_function_long() -> None:
    assert long_functions('def f():\n    """D.\n' + "\n    word" * FUNCTION_LINES + '\n    """\n    return 1\n') == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_file_has_at_most_400_lines_or_says_why(room: str) -> None:
    assert [place(path) for path in files(room) if is_long(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_function_has_at_most_40_lines_besides_its_docstring_or_says_why(room: str) -> None:
    guilty = [f"{place(path, line)} {name}" for path in files(room) for line, name in long_functions(path.read_text(encoding="utf-8"))]
    assert guilty == []
