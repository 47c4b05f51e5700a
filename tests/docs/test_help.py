"""The help pages: each shows what to type before it lists what there is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
import typer

from mdagent.cli import app, main
from mdagent.cli.table import print_table
from tests.docs.readme import Shell, parse, read_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GROUPS = ("sources", "config", "sandbox", "store", "chaos")


def _pages(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    context = typer.Context(command)
    for word in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from _pages(command.get_command(context, word), f"{name} {word}".strip())
    if name not in ("", *GROUPS):
        yield name, command


PAGES = dict(_pages(typer.main.get_command(app)))


def _help_of(name: str, folder: Path) -> list[str]:
    out, err = io.StringIO(), io.StringIO()
    context = typer.Context(PAGES[name], info_name=f"mdagent {name}")
    out.write(PAGES[name].get_help(context))
    assert main([*name.split(), "--help"], Shell(folder).terminal(io.StringIO(), err)) == 0
    assert err.getvalue() == ""
    return out.getvalue().splitlines()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_examples_before_options(name: str, tmp_path: Path) -> None:
    lines = [line.strip() for line in _help_of(name, tmp_path)]
    assert lines[0].startswith(f"Usage: mdagent {name}")
    assert "{" not in lines[0], "a usage line can be typed as it stands"
    assert lines.index("Examples:") < lines.index("Options:")


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_parse_and_begin_with_its_command(name: str, tmp_path: Path) -> None:
    lines = _help_of(name, tmp_path)
    start = lines.index("  Examples:") + 1
    examples = lines[start : lines.index("", start)]
    assert examples
    called = []
    for example in examples:
        command = read_command(example.strip().partition("   ")[0])
        assert command is not None, example
        called.append(parse(command.words, Shell(tmp_path).terminal(io.StringIO(), io.StringIO())).command.name)
    assert called[0] == name.rpartition(" ")[2]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_without_a_command_tells_its_commands_on_stderr(group: str, tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    assert main([group], Shell(tmp_path).terminal(out, err)) == 2
    assert out.getvalue() == ""
    assert err.getvalue().startswith(f"Usage: mdagent {group}")
    assert "Commands:" in err.getvalue()


def test_a_table_too_wide_for_the_screen_becomes_cards_and_cuts_no_number(tmp_path: Path) -> None:
    columns = ["symbol", *(f"volume_{i}" for i in range(20))]
    row = ["AAPL", *(1_234_567_890.0 + i for i in range(20))]
    out = io.StringIO()
    print_table(columns, [row], out, Shell(tmp_path).terminal(out, out))
    lines = out.getvalue().splitlines()
    assert lines[0] == "AAPL"
    assert [line.split() for line in lines[1:]] == [[c, f"{v:,.0f}"] for c, v in zip(columns[1:], row[1:], strict=True)]
