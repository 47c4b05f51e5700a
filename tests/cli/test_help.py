"""Help, version, and what is said to a word that is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdagent import __version__
from mdagent.cli import COMMANDS
from mdagent.cli.exits import MEANINGS

if TYPE_CHECKING:
    from tests.cli.shell import Shell


def test_the_version_is_one_line(shell: Shell) -> None:
    assert shell.good("--version").out == f"mdagent {__version__}\n"


def test_without_a_word_the_help_is_shown(shell: Shell) -> None:
    said = shell.good()
    assert said.out.startswith("Usage: mdagent")
    assert said.err == ""


def test_the_help_names_every_command_and_every_exit_code(shell: Shell) -> None:
    text = shell.good().out
    for name, (_, about) in COMMANDS.items():
        assert f"  {name:9} {about}" in text
    for code, meaning in MEANINGS.items():
        assert f"  {int(code):3}  {meaning}" in text


def test_the_help_shows_examples_before_it_lists(shell: Shell) -> None:
    text = shell.good().out
    assert text.index("Examples:") < text.index("Commands:") < text.index("Exit codes:")


OPTIONS = "--config --store --env --sandbox --replay --record -q -v --no-color --log-format --log-file --lock-wait MDAGENT_HOME".split()


@pytest.mark.parametrize("option", OPTIONS)
def test_the_help_names_every_global_option(shell: Shell, option: str) -> None:
    assert option in shell.good().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("feth", "AAPL"), "did you mean fetch?"),
        (("serch", "x"), "did you mean search?"),
        (("doktor",), "did you mean doctor?"),
        (("zzzz",), "mdagent --help lists them"),
        (("fetch", "AAPL", "--perod", "1y"), "--period"),
        (("fetch", "AAPL", "--strat", "2024-01-01"), "--start"),
        (("fetch", "AAPL", "--source", "yaho"), "did you mean yahoo?"),
        (("sources", "stats"), "status"),
        (("config", "shwo"), "show"),
    ],
)
def test_a_word_that_is_nearly_right_is_answered_with_the_right_one(shell: Shell, words: tuple[str, ...], said: str) -> None:
    told = shell.run(*words)
    assert (told.code, told.out) == (2, "")
    assert said in told.err


@pytest.mark.parametrize("line", ["fetch", "query", "fetch AAPL --start", "fetch AAPL --lock-wait soon", "--nothing"])
def test_a_missing_or_wrong_argument_is_one_line_and_a_way_on(shell: Shell, line: str) -> None:
    said = shell.run(*line.split())
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("mdagent: ")
    assert "--help" in said.err
    assert "Traceback" not in said.err


def test_an_unknown_word_is_shown_harmlessly(shell: Shell) -> None:
    said = shell.run("\x1b[31mfetch\u202e")
    assert said.code == 2
    assert "\x1b" not in said.err
    assert "\u202e" not in said.err
