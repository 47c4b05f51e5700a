"""A process of its own that asks a provider on this machine through a gate, or is that provider, or holds what it is killed with; run as
`python -m tests.processes.crowd ROLE ...`.

Each but the provider waits for a line on its standard input before it sets out, so that many can begin together; it prints one line for
each thing done, once it is done. An error of any kind ends it with a traceback.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mdagent.clock import SystemClock, VirtualClock
from mdagent.guard.limits import Grant, Window
from mdagent.market import Priority
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import Reservation, Rules
from tests.processes.program import TOP, clean_environ

if TYPE_CHECKING:
    import httpx

    from mdagent.sources.base import Conversation
    from mdagent.store.quota import Db

SOURCE = "parrot"
WARM = b"GET /warm "  # opens a connection, and is not counted
MANY = (Window(1000, 60.0),)
RULES = Rules(lease=20.0)
WHAT = Reservation("bars", "127.0.0.1", "run-killed", "AAPL", priority=Priority.HIGH)


def start(role: str, *words: object) -> subprocess.Popen[str]:
    """One process of the crowd."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.processes.crowd", role, *map(str, words)],
        cwd=TOP,
        env=clean_environ(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def tell(process: subprocess.Popen[str], line: str = "go") -> None:
    """A line to it."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str], word: str) -> list[str]:
    """The words of its next line that begins with `word`; those before it are passed over."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line.split()
    raise AssertionError(process.communicate()[1] or f"it ended without the word {word}")


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def listen() -> str:
    """The next line told to this process."""
    return sys.stdin.readline()


async def serve(limit: int, per: float) -> None:
    """The provider: `at PLACE`; and when its standard input ends, what it counted: when each request came, and how many it refused."""
    clock, arrived, refused = SystemClock(), list[float](), 0
    recent: deque[float] = deque()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal refused
        while head := await head_of(reader):
            now = clock.monotonic()
            if head.startswith(WARM):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                continue
            while recent and recent[0] <= now - per:
                recent.popleft()
            full = len(recent) >= limit
            if full:
                refused += 1
            else:
                recent.append(now)
                arrived.append(now)
            status = b"429 Too Many Requests" if full else b"200 OK"
            writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\n\r\nword")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    say(f"at 127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await asyncio.to_thread(sys.stdin.read)
    say(f"counted {json.dumps([arrived, refused], separators=(',', ':'))}")


async def head_of(reader: asyncio.StreamReader) -> bytes:
    """The head of the next request; none where the other side is gone, or was killed."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def ask(place: str, ledger: Path, window: Window, times: int) -> None:
    """So many requests one after another: `done` after each, `waiting` whenever it waits for quota, `failed` where one fails; `over`."""
    import httpx

    from mdagent.wire import Limits, WireOptions, open_wire
    from mdagent.work.gate import Call, Gate, Policy
    from tests.work.played import SPEC, Parrot

    def talk() -> Conversation[str]:
        reply: httpx.Response = yield httpx.Request("GET", f"http://{place}/x")
        return reply.text

    clock = SystemClock()
    wire = open_wire("live", clock, options=WireOptions(loopback=frozenset({place})))
    policy = Policy((window,), Limits(), 1, SPEC.cooldown, (f"http://{place}",))
    with open_ledger(ledger, clock) as opened:
        gate = Gate(opened, wire, clock, random.Random(), f"run-{os.getpid()}", lambda _: policy, lambda _: say("waiting"), "live")
        await wire.send(httpx.Request("GET", f"http://{place}/warm"), Limits())
        say("ready")
        await asyncio.to_thread(listen)
        for _ in range(times):
            call = Call("bars", "AAPL", clock.monotonic() + 10.0, patience=600.0, priority=Priority.HIGH)
            result = await gate.converse(Parrot(), talk, call)
            say(f"failed {result.failure.kind} {result.failure.detail}" if result.failure else "done")
    await wire.aclose()
    say("over")


def probe(path: Path, now: str) -> None:
    """Ask for the one request that may test the source: `probing`; and hold on to it."""
    with open_ledger(path, VirtualClock(datetime.fromisoformat(now))) as ledger:
        say("ready")
        listen()
        grant = ledger.reserve(SOURCE, MANY, what=WHAT, rules=RULES)
        say("probing" if isinstance(grant, Grant) and grant.probe else f"no {grant}")
        listen()


def hold(path: Path) -> None:
    """Begin a decision, and write: `holding`; and do not come to its end."""

    def never(db: Db, _: datetime) -> None:
        db.execute("INSERT INTO marks VALUES ('half a decision', 0)")
        say("holding")
        listen()

    with open_ledger(path, SystemClock()) as ledger:
        say("ready")
        listen()
        ledger.decide(never)


def main(role: str, *words: str) -> None:
    """`serve LIMIT PER`, `ask PLACE LEDGER LIMIT PER TIMES`, `probe LEDGER NOW` or `hold LEDGER`."""
    match role, words:
        case "serve", (limit, per):
            asyncio.run(serve(int(limit), float(per)))
        case "ask", (place, path, limit, per, times):
            asyncio.run(ask(place, Path(path), Window(int(limit), float(per)), int(times)))
        case "probe", (path, now):
            probe(Path(path), now)
        case "hold", (path,):
            hold(Path(path))
        case _:
            raise SystemExit(main.__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
