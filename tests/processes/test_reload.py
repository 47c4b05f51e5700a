"""Settings published by one process are adopted by another, whole, between two requests; a broken file never is."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from mdagent.clock import SystemClock
from mdagent.wire.sandbox.dialects import Ask, dialects
from mdagent.wire.sandbox.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE = 30.0


class Gatehouse:
    """A sandbox behind HTTP that lets the first request in at once and every later one when `opened` is set."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.opened = threading.Event()
        self.agents: list[str] = []
        self.provider = Provider(SystemClock())


@contextmanager
def gatehouse() -> Iterator[tuple[Gatehouse, str]]:
    house = Gatehouse()

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            house.agents.append(self.headers.get("user-agent", ""))
            house.arrived.set()
            house.opened.wait(_PATIENCE)
            target = urlsplit(self.path)
            ask = Ask(unquote(target.path), dict(parse_qsl(target.query)), {}, 0, "http://127.0.0.1")
            reply, headers = house.provider.answer(dialects()["yahoo"], ask, "test")
            self.send_response_only(reply.status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield house, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        house.opened.set()
        server.shutdown()
        server.server_close()


def settings(url: str, agent: str) -> str:
    return f"sources:\n  yahoo:\n    base_url: {url}\n    user_agent: {agent}\n    concurrency: 1\nfetch:\n  deadline: 60\n"


def mdagent(home: Path, *words: str) -> subprocess.Popen[str]:
    environ: dict[str, Any] = {"MDAGENT_HOME": str(home), "MDAGENT_SANDBOX": "1", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "mdagent", "--config", str(home / "mdagent.yaml"), *words]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home)


_SYMBOLS = ",".join(f"SYM{n:05d}" for n in range(1, 13))


def fetching(home: Path) -> subprocess.Popen[str]:
    return mdagent(home, "fetch", _SYMBOLS, "--start", "2024-01-02", "--end", "2024-01-10", "--csv")


def finished(run: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = run.communicate(timeout=_PATIENCE)
    return run.returncode, out, err


def test_a_running_fetch_adopts_what_another_process_published(tmp_path: Path) -> None:
    with gatehouse() as (house, url):
        (tmp_path / "mdagent.yaml").write_text(settings(url, "before"))
        running = fetching(tmp_path)
        assert house.arrived.wait(_PATIENCE)
        (tmp_path / "mdagent.yaml").write_text(settings(url, "after"))
        code, out, _ = finished(mdagent(tmp_path, "config", "reload"))
        assert code == 0
        assert "sources.yahoo.user_agent" in out
        house.opened.set()
        code, out, err = finished(running)
    assert code == 0, err
    assert "adopted the settings of" in err
    assert len(out.splitlines()) == 1 + 12 * 6
    assert house.agents[0] == "before"
    assert house.agents[-1] == "after"
    assert house.agents == sorted(house.agents, reverse=True)  # once adopted, never mixed


def test_a_broken_file_is_never_adopted_and_its_epoch_never_published(tmp_path: Path) -> None:
    with gatehouse() as (house, url):
        (tmp_path / "mdagent.yaml").write_text(settings(url, "before"))
        running = fetching(tmp_path)
        assert house.arrived.wait(_PATIENCE)
        (tmp_path / "mdagent.yaml").write_text("sources: [\n")
        code, _, err = finished(mdagent(tmp_path, "config", "reload"))
        assert code == 3
        assert "mdagent.yaml" in err
        house.opened.set()
        code, _, err = finished(running)
    assert code == 0, err
    assert set(house.agents) == {"before"}
    assert "adopted the settings of" not in err
