"""A place to run a case in: a home of its own, a provider on loopback, a clock that leaps instead of waiting."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.cli import main
from mdagent.cli.terminal import Terminal
from mdagent.clock import SystemClock
from tests.wire.nasty import NastyServer, Step, answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

NOW = datetime(2024, 1, 17, tzinfo=UTC)
CANARY = "SECRET123KEY"
FETCH = ("fetch", "AAPL", "--start", "2024-01-02", "--end", "2024-01-17")


class LeapingClock(SystemClock):
    """Runs on with the machine's clock; whoever waits finds the time gone at once."""

    def __init__(self, start: datetime = NOW) -> None:
        self._real = SystemClock()
        super().__init__(start - self._real.now())
        self.leapt = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.leapt)

    def monotonic(self) -> float:
        return super().monotonic() + self.leapt

    async def sleep(self, seconds: float) -> None:
        self.leapt += max(0.0, seconds)
        await asyncio.sleep(0)

    def pause(self, seconds: float) -> None:
        self.leapt += max(0.0, seconds)


class Turns:
    """One script for each connection in turn; the last for all that follow."""

    def __init__(self, scripts: Sequence[Iterable[Step]]) -> None:
        self._scripts = scripts
        self._begun = 0

    def __iter__(self) -> Iterator[Step]:
        script = self._scripts[min(self._begun, len(self._scripts) - 1)]
        self._begun += 1
        return iter(script)


def said(body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json", length: int | None = None) -> list[Step]:
    """A whole answer, after which the connection is closed."""
    return [answer(body, f"Content-Type: {kind}", "Connection: close", *headers, status=status, length=length)]


class Ran(NamedTuple):
    """What one command did: its exit code and its two streams."""

    code: int
    out: str
    err: str


class Sent(NamedTuple):
    """One request as the ledger has it."""

    state: str
    kind: str | None
    detail: str | None


@dataclass
class Stage:
    """`home` is MDAGENT_HOME, `cwd` the working folder; every stream is kept, to be searched for the canary at the end."""

    home: Path
    cwd: Path
    ca_file: Path | None
    clock: LeapingClock = field(default_factory=LeapingClock)
    more: dict[str, str] = field(default_factory=dict)
    streams: list[str] = field(default_factory=list)

    def environ(self, server: NastyServer | None = None) -> dict[str, str]:
        """The variables of a run."""
        made = {"MDAGENT_HOME": str(self.home), "MDAGENT_YAHOO_API_KEY": CANARY, "TERM": "dumb", "HOME": str(self.cwd)}
        if server is not None:
            made["MDAGENT_SOURCES__YAHOO__BASE_URL"] = f"{'https' if server.tls else 'http'}://{server.place}"
        if self.ca_file is not None:
            made["MDAGENT_WIRE__CA_FILE"] = str(self.ca_file)
        return made | self.more

    def run(self, *words: str, server: NastyServer | None = None) -> Ran:
        """The real command line, in this process."""
        out, err = io.StringIO(), io.StringIO()
        code = main(words, Terminal(self.environ(server), self.cwd, out=out, err=err, given_clock=self.clock))
        self.streams += [out.getvalue(), err.getvalue()]
        return Ran(code, out.getvalue(), err.getvalue())

    def fetch(self, server: NastyServer, *words: str) -> tuple[Ran, dict[str, Any]]:
        """The ten sessions of AAPL (or `words`), and the one line of the report; {} where no report was written."""
        path = self.cwd / "report.json"
        path.unlink(missing_ok=True)
        ran = self.run(*(words or FETCH), "--report", str(path), server=server)
        return ran, json.loads(path.read_text("utf-8"))["symbols"][0] if path.exists() else {}

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of the store by `mdagent query`."""
        ran = self.run("query", sql, "--json")
        assert ran.code == 0, ran.err
        rows: list[dict[str, Any]] = json.loads(ran.out)
        return rows

    def rows(self) -> tuple[list[str], list[str]]:
        """Every bar in order of time, and every row in quarantine, as text."""
        both = "SELECT 'bar' AS what, b::VARCHAR AS row FROM bars b UNION ALL SELECT 'bad', q::VARCHAR FROM quarantine q"
        found = [(row["what"], row["row"]) for row in self.query(both)]
        return tuple(sorted(row for what, row in found if what == name) for name in ("bar", "bad"))  # type: ignore[return-value]

    def bars(self) -> list[dict[str, Any]]:
        """Every stored bar, whole, in order of time."""
        return self.query("SELECT * FROM bars ORDER BY ALL")

    def quarantined(self) -> list[dict[str, Any]]:
        """Every row in quarantine."""
        return self.query("SELECT * FROM quarantine ORDER BY ALL")

    def sent(self) -> list[Sent]:
        """The attempts of the ledger, in order."""
        return [Sent(*row) for row in self.ledger("SELECT state, kind, detail FROM attempts ORDER BY id")]

    def block(self) -> float | None:
        """Seconds that the source is blocked from the answer on, or None."""
        rows = self.ledger("SELECT until - since FROM blocks")
        return rows[0][0] / 1e6 if rows else None

    def ledger(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the ledger; none where there is no ledger."""
        path = self.home / "ledger.db"
        if not path.exists():
            return []
        db = sqlite3.connect(path)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def leaks(self) -> list[str]:
        """The files and streams in which the canary stands."""
        secret = CANARY.encode()
        found = [
            str(path) for folder in (self.home, self.cwd) for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()
        ]
        return found + [text for text in self.streams if CANARY in text]


def copied(home: Path, to: Path) -> Path:
    """A home like that one."""
    shutil.copytree(home, to)
    return to
