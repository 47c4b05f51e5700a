"""A key from the environment comes out nowhere: not in files, logs, errors, reports or recordings, in no spelling."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import quote

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
    ("fetch", "AAPL,NOSUCHONE", *WINDOW, "--record", "recorded", "--explain", "--report", "report.json", "--csv"),
    ("fetch", "AAPL", *WINDOW, "--json"),
    ("config", "show", "--origin"),
    ("config", "show", "--json"),
    ("config", "diff"),
    ("config", "reload"),
    ("doctor", "--json"),
    ("sources", "list", "--json"),
    ("sources", "status"),
]


class Telltale(BaseHTTPRequestHandler):
    """A provider that repeats the key in its refusal."""

    def do_GET(self) -> None:
        error = {"code": "Unauthorized", "description": f"the key {CANARY} ({quote(CANARY, safe='')}) is not valid"}
        body = json.dumps({"chart": {"result": None, "error": error}}).encode()
        self.send_response(401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def telltale() -> Iterator[str]:
    """The address of such a provider on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Telltale) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


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
    found = [leak for words in COMMANDS for leak in leaks(program, *words)]
    assert found == []
    assert (tmp_path / "run.log").exists()
    assert (tmp_path / "report.json").exists()
    assert any((tmp_path / "recorded").iterdir())


def test_no_failing_fetch_shows_the_key_not_even_when_the_provider_says_it(tmp_path: Path) -> None:
    live = {"MDAGENT_SANDBOX": "0", "MDAGENT_CLOCK": "", "MDAGENT_FETCH__DEADLINE": "1", "MDAGENT_YAHOO_API_KEY": CANARY}
    with telltale() as told:
        for n, base in enumerate((told, "http://127.0.0.1:9", "https://192.0.2.1")):
            program = Program(tmp_path / str(n), live | {"MDAGENT_SOURCES__YAHOO__BASE_URL": base})
            program.home.mkdir()
            assert list(leaks(program, "fetch", "AAPL", *WINDOW, "--report", "report.json")) == []
            asked = (program.home / "report.json").exists()
            assert asked == base.startswith("http://"), "a private address is refused before anything is asked"
