"""A key from the environment comes out nowhere: not in files, logs, errors, reports or recordings, in no spelling."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.processes.program import Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Not shaped like anything that mdagent would take for a key by its looks, and with characters that an URL must encode.
CANARY = "CANARY-7f3a/9+Zq=&x%"
WINDOW = ("--start", "2024-01-02", "--end", "2024-02-01")
TALK = ("-vv", "--log-format", "json", "--log-file", "run.log")
SPELLINGS = frozenset(
    {
        CANARY,
        quote(CANARY),
        quote(CANARY, safe=""),
        quote(quote(CANARY, safe=""), safe=""),
        json.dumps(CANARY)[1:-1],
        CANARY.encode().hex(),
        CANARY[:10],
        *(base64.b64encode(b"x" * n + CANARY.encode()).decode()[4 * bool(n) :].rstrip("=")[:-2] for n in range(3)),
    }
)
COMMANDS = [
    ("fetch", "AAPL", *WINDOW, "--csv", "--explain", "--report", "report.json"),
    ("fetch", "AAPL", *WINDOW, "--refresh", "--record", "recorded", "--json"),
    ("fetch", "NOSUCHONE", *WINDOW),
    ("--env", CANARY, "fetch", "AAPL"),
    ("config", "show", "--origin"),
    ("config", "show", "--json"),
    ("config", "diff"),
    ("config", "reload"),
    ("doctor", "--json"),
    ("sources", "list", "--json"),
    ("sources", "status"),
]


def spelled(told: bytes) -> list[str]:
    return [s for s in SPELLINGS if s.encode() in told]


def leaks(program: Program, *words: str) -> Iterator[str]:
    """Where a command shows the key: on its streams, or in a file under the home, which is its working folder too."""
    done = program.run(*TALK, *words)
    for stream, text in (("stdout", done.stdout), ("stderr", done.stderr)):
        yield from (f"{stream} of {words}: {found}" for found in spelled(text.encode()))
    for path in sorted(p for p in program.home.rglob("*") if p.is_file()):
        yield from (f"{path.name} after {words}: {found}" for found in spelled(path.read_bytes()))
        yield from (f"the name of {path}: {found}" for found in spelled(str(path).encode()))


def test_the_spellings_are_looked_for_wherever_they_stand() -> None:
    assert spelled(f'{{"k": "{CANARY}"}}'.encode())
    assert spelled(b"?apikey=" + quote(CANARY, safe="").encode())
    for n in range(4):
        assert spelled(base64.b64encode(b"u" * n + CANARY.encode() + b"!"))
    assert not spelled(b"nothing of the kind")


def test_no_command_shows_the_key(tmp_path: Path) -> None:
    program = Program(tmp_path, {"MDAGENT_YAHOO_API_KEY": CANARY})
    found = [leak for words in COMMANDS if words[0] != "--env" for leak in leaks(program, *words)]
    assert found == []
    assert (tmp_path / "run.log").exists()
    assert (tmp_path / "report.json").exists()
    assert any((tmp_path / "recorded").iterdir())


@pytest.mark.parametrize("base", ["http://127.0.0.1:9", "https://192.0.2.1"])
def test_no_failing_fetch_shows_the_key(tmp_path: Path, base: str) -> None:
    more = {"MDAGENT_YAHOO_API_KEY": CANARY, "MDAGENT_SOURCES__YAHOO__BASE_URL": base, "MDAGENT_SANDBOX": "0", "MDAGENT_CLOCK": ""}
    program = Program(tmp_path, more | {"MDAGENT_SOURCES__YAHOO__TIMEOUT__CONNECT": "0.1", "MDAGENT_FETCH__DEADLINE": "1"})
    assert list(leaks(program, "fetch", "AAPL", *WINDOW, "--report", "report.json")) == []
    assert "AAPL" in (tmp_path / "report.json").read_text()
