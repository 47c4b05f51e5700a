"""A provider for benchmarks, in a process of its own: Yahoo's chart of any symbol, after 20 ms, from bodies made beforehand.

    python benchmarks/charts.py [--latency SECONDS] [--end DAY] [--years N]

Prints its port, then serves until it is killed. What it sends are the sandbox's synthetic bars; each of some twenty different series
serves many symbols under their own names.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from datetime import UTC, datetime
from urllib.parse import urlsplit

from mdagent.clock import SystemClock
from mdagent.wire.sandbox.dialects import Ask, dialects
from mdagent.wire.sandbox.provider import Provider

DIFFERENT = 20
STAND_IN = "SYM00000"
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-mdagent-world: sandbox\r\nDate: {date}\r\nContent-Length: {size}\r\n\r\n"


def made(end: datetime, years: int) -> list[bytes]:
    """Bodies in which the symbol is the stand-in."""
    provider = Provider(SystemClock.starting_at(end), only="yahoo", allowances={"yahoo": ()})
    start = end.replace(year=end.year - years)
    query = {"period1": f"{start.timestamp():.0f}", "period2": f"{end.timestamp():.0f}", "interval": "1d", "events": "div,splits"}
    bodies: list[bytes] = []
    number = 0
    while len(bodies) < DIFFERENT:
        number += 1
        symbol = f"SYM{number:05}"
        if symbol.endswith("7"):
            continue  # halted now and then
        ask = Ask(f"/v8/finance/chart/{symbol}", query, {"user-agent": "Mozilla/5.0"}, 0, "http://127.0.0.1")
        reply, _ = provider.answer(dialects()["yahoo"], ask)
        if reply.status == 200 and b"splitRatio" not in reply.body:
            bodies.append(reply.body.replace(symbol.encode(), STAND_IN.encode()))
    return bodies


class Chart(asyncio.Protocol):
    """One connection; answers in the order of the requests."""

    def __init__(self, bodies: list[bytes], latency: float, date: str) -> None:
        self.bodies, self.latency, self.date, self.read = bodies, latency, date, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.read += data
        while b"\r\n\r\n" in self.read:
            request, _, self.read = self.read.partition(b"\r\n\r\n")
            target = urlsplit(request.split(b" ", 2)[1].decode())
            asyncio.get_running_loop().call_later(self.latency, self.answer, target.path)

    def answer(self, path: str) -> None:
        symbol = path.rpartition("/")[2]
        body = b"crumb" if symbol == "getcrumb" else self.of(symbol)
        if not self.transport.is_closing():
            self.transport.write(HEAD.format(date=self.date, size=len(body)).encode() + body)

    def of(self, symbol: str) -> bytes:
        number = int("".join(c for c in symbol if c.isdigit()) or 0)
        return self.bodies[number % len(self.bodies)].replace(STAND_IN.encode(), symbol.encode())


async def serve(bodies: list[bytes], latency: float, end: datetime) -> None:
    date = f"{end:%a, %d %b %Y %H:%M:%S} GMT"
    server = await asyncio.get_running_loop().create_server(lambda: Chart(bodies, latency, date), "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1], "bytes": len(bodies[0])}), flush=True)
    await server.serve_forever()


def main() -> None:
    words = argparse.ArgumentParser(description="Serve charts.")
    words.add_argument("--latency", type=float, default=0.02)
    words.add_argument("--end", default="2026-01-05T12:00:00+00:00")
    words.add_argument("--years", type=int, default=10)
    told = words.parse_args()
    end = datetime.fromisoformat(told.end).astimezone(UTC)
    asyncio.run(serve(made(end, told.years), told.latency, end))


if __name__ == "__main__":
    sys.exit(main())
