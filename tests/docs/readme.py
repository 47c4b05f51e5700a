"""The README taken apart: its code blocks, its command lines, its tables; and a shell small enough for its examples."""

from __future__ import annotations

import io
import re
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from mdagent.cli import app, main
from mdagent.cli.hoist import hoist
from mdagent.cli.terminal import Terminal
from mdagent.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).resolve().parents[2]
README = (TOP / "README.md").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)  # after a session
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_VARIABLE = re.compile(r"([A-Z_]+)=(.*)\Z", re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    text: str


@dataclass
class Command:
    """One command line that calls mdagent: its variables and words, and where a shell would send its stdout."""

    text: str
    words: list[str] = field(default_factory=list)
    environ: dict[str, str] = field(default_factory=dict)
    data_to: str | None = None


def blocks(*languages: str) -> list[Block]:
    return [b for b in (Block(*m.groups()) for m in _FENCE.finditer(README)) if b.language in languages]


def prose() -> str:
    return _FENCE.sub("", README)


def read_command(text: str) -> Command | None:
    """The first call of mdagent in a line of shell; None where there is none."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    command: Command | None = None
    environ: dict[str, str] = {}
    tokens = iter(lexer)
    for token in tokens:
        variable = _VARIABLE.match(token)
        if command is None and token.rpartition("/")[2] == "mdagent":
            command = Command(text, environ=environ)
        elif command is None:
            environ = environ | {variable[1]: variable[2]} if variable else {}
        elif set(token) <= set("|&;"):
            break
        elif token == "<":
            next(tokens)
        elif token == ">":
            command.data_to = next(tokens)
        else:
            command.words.append(token)
    return command


def commands() -> Iterator[Command]:
    """Every command line of the README: those in blocks, and those in the prose that begin with `mdagent`."""
    for block in blocks("sh", "console", "crontab"):
        for line in block.text.splitlines():
            if (block.language != "console" or line.startswith("$ ")) and (found := read_command(line.removeprefix("$ "))):
                yield found
    for inline in _INLINE.findall(prose()):
        if inline.startswith("mdagent ") and (found := read_command(inline)) and found.words:
            yield found


def parse(words: list[str], terminal: object) -> Any:
    """Parse the words as the command line does, down to the command that would run, and run nothing."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("mdagent", hoist(words), obj=terminal)
    while hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]  # noqa: SLF001  the words that are left for the command
        if not rest:
            return context
        name, command, left = command.resolve_command(context, rest)
        context = command.make_context(name, left, parent=context)
    return context


class Step(NamedTuple):
    """A line typed at the prompt, and what it printed."""

    typed: str
    printed: list[str]


def steps() -> list[Step]:
    """The console blocks, one after another: they share one home."""
    made: list[Step] = []
    for block in blocks("console"):
        for line in block.text.splitlines():
            if line.startswith("$ "):
                made.append(Step(line.removeprefix("$ "), []))
            else:
                made[-1].printed.append(line.rstrip())
    return made


@dataclass
class Shell:
    """Runs lines of the README in this process, in a folder of its own, on the sandbox."""

    folder: Path
    code: int = 0

    def terminal(self, out: io.StringIO, err: io.StringIO, **more: str) -> Terminal:
        environ = {"HOME": str(self.folder), "MDAGENT_HOME": str(self.folder / "home"), "MDAGENT_SANDBOX": "1", **more}
        return Terminal(environ, self.folder, out=out, err=err, given_clock=SystemClock.starting_at(NOW))

    def type(self, text: str) -> list[str]:
        """What a person would see, line by line."""
        if text == "echo $?":
            return [str(self.code)]
        command = read_command(text)
        assert command is not None, text
        seen = io.StringIO()
        out = seen if command.data_to is None else io.StringIO()
        self.code = main(command.words, self.terminal(out, seen, **command.environ))
        return [line.rstrip() for line in seen.getvalue().splitlines()]


def blank_times(line: str) -> str:
    return re.sub(r"\b\d+ ms\b", "N ms", line)


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose heading row is `heading`, without heading and rule."""
    lines = README.splitlines()
    start = lines.index(heading)
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
