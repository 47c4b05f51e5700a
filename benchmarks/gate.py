"""The gate's own cost: requests through ledger, breaker, quota and the bounded wire, against bare httpx, over loopback.

    python benchmarks/gate.py [--rounds N]

The provider is a process of its own that answers each request with the same 20 kB of JSON, so that none of its cost is counted.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socketserver
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import httpx
from timing import Contest, Cost, call, contest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mdagent.clock import SystemClock
from mdagent.guard.limits import Window
from mdagent.sources.base import Adapter, Plan
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import Rules
from mdagent.wire import WireOptions, open_wire
from mdagent.wire.bounds import Limits
from mdagent.work.gate import Call, Gate, Policy
from tests.work.played import SPEC

if TYPE_CHECKING:
    from mdagent.market import BarRequest, BarSet
    from mdagent.sources.base import Conversation

REQUESTS = 200
BODY = b'{"bars":[' + b",".join(b'{"t":%d,"o":1.5,"h":2.5,"l":0.5,"c":1.25,"v":1000}' % n for n in range(400)) + b"]}"
WINDOWS = (Window(1_000_000, 60.0), Window(10_000_000, "day"))


class Provider(BaseHTTPRequestHandler):
    """Says the same to all."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Nothing."""


class Echo(Adapter):
    """A source that asks for the same address again and again, and reads nothing."""

    spec = SPEC

    def talk(self, url: str, times: int) -> Conversation[int]:
        """The bytes that came."""
        size = 0
        for n in range(times):
            reply = yield httpx.Request("GET", f"{url}?n={n}")
            size += len(reply.content)
        return size

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        raise NotImplementedError

    def error_in(self, reply: httpx.Response) -> None:
        """None: every answer is good."""


async def guarded(url: str, folder: Path) -> None:
    """Through the gate."""
    clock, host = SystemClock(), httpx.URL(url).netloc.decode()
    policy = Policy(WINDOWS, Limits(), 2, 60.0, (), (), Rules("parrot:key"))
    wire = open_wire("live", clock, options=WireOptions(loopback=frozenset({host})))
    with open_ledger(folder / "ledger.db", clock) as ledger:
        gate = Gate(ledger, wire, clock, random.Random(1), "run-1", lambda _: policy, lambda _: None, "live")
        source = Echo(Plan("free", ()))
        result = await gate.converse(source, lambda: source.talk(url, REQUESTS), Call("bars", "AAPL", clock.monotonic() + 60.0))
    await wire.aclose()
    assert result.value == REQUESTS * len(BODY), result.failure


async def bare(url: str) -> None:
    """Without it."""
    async with httpx.AsyncClient() as client:
        size = 0
        for n in range(REQUESTS):
            size += len((await client.get(f"{url}?n={n}")).content)
    assert size == REQUESTS * len(BODY)


def measure(rounds: int) -> Contest:
    """Both sides ask the same provider."""
    words = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as provider, TemporaryDirectory() as folder:
        assert provider.stdout is not None
        url = f"http://127.0.0.1:{provider.stdout.readline().strip()}/bars"

        def ours() -> Cost:
            return call(lambda: asyncio.run(guarded(url, Path(folder))))

        found = contest(
            f"{REQUESTS} requests through the gate / bare httpx",
            ours,
            lambda: call(lambda: asyncio.run(bare(url))),
            rounds=rounds,
            goal=1.5,
        )
        provider.kill()
    return found


def serve() -> None:
    """On a free port, which is printed."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Provider) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def main() -> int:
    words = argparse.ArgumentParser(description="Measure what the gate costs.")
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    told = words.parse_args()
    if told.serve:
        serve()
        return 0
    c = measure(told.rounds)
    ms = f"{1000 * c.ours.cpu:.0f} / {1000 * c.other.cpu:.0f} ms CPU, {1000 * c.ours.wall:.0f} / {1000 * c.other.wall:.0f} wall"
    print(f"{c.name:50} {ms}  ratio {c.ratio.cpu:.2f} CPU, {c.ratio.wall:.2f} wall, goal {c.goal} {c.verdict}")
    return int(c.verdict == "MISSED")


if __name__ == "__main__":
    sys.exit(main())
