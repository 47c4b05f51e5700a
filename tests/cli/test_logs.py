"""The log: one event a line, and no secret in it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from mdagent.cli.logs import Line
from tests.cli.shell import JANUARY, strict

if TYPE_CHECKING:
    from tests.cli.shell import Shell


def record(text: str, *words: object, error: Exception | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    return logging.LogRecord("mdagent.test", logging.WARNING, __file__, 1, text, words, info)


def test_an_event_is_one_line_of_text() -> None:
    form = Line((), as_json=False)
    assert form.format(record("asked %s", "AAPL\r\nforged: line\x1b[31m")) == "warning: mdagent.test: asked AAPL forged: line [31m"


def test_an_event_is_one_object_of_json_in_utc() -> None:
    told = record("asked\n%s", "AAPL")
    told.created = 1704205800.0
    assert strict(Line((), as_json=True).format(told)) == {
        "at": "2024-01-02T14:30:00Z",
        "level": "warning",
        "logger": "mdagent.test",
        "event": "asked AAPL",
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_secrets_are_blanked_wherever_they_stand(as_json: bool) -> None:
    form = Line(("CANARY123",), as_json=as_json)
    text = form.format(record("GET /x?key=%s", "CANARY123", error=ValueError("bad CANARY123")))
    assert "CANARY123" not in text
    assert text.count("***") == 2


def test_each_request_is_logged_when_asked_for(shell: Shell) -> None:
    said = shell.good("fetch", "AAPL", *JANUARY, "-v")
    assert "info: mdagent.work.gate: yahoo bars: 200 in 0 ms" in said.err
    assert "info:" not in shell.good("fetch", "MSFT", *JANUARY).err


def test_a_log_file_gets_the_lines_in_the_format_asked_for(shell: Shell) -> None:
    path = shell.cwd / "log.jsonl"
    shell.good("fetch", "AAPL", *JANUARY, "-v", "--log-file", str(path), "--log-format", "json")
    shell.good("sources", "status", "-v")  # a later run lets go of the file
    events = [strict(text) for text in path.read_text("utf-8").splitlines()]
    assert [e["logger"] for e in events] == ["mdagent.work.gate"]


def test_a_log_file_that_cannot_be_written_is_a_matter_of_settings(shell: Shell) -> None:
    said = shell.run("fetch", "AAPL", *JANUARY, "--log-file", str(shell.cwd / "no" / "log.txt"))
    assert (said.code, said.out) == (3, "")
    assert "--log-file" in said.err
