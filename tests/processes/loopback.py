"""A provider on loopback that counts what it is asked, and machines whose mdagent asks it."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mdagent.clock import SystemClock
from mdagent.wire.sandbox.provider import Provider
from mdagent.wire.sandbox.server import serve
from tests.processes.program import CLOCK, Program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AMPLE = "[{limit: 100000, per: 1m}]"


@dataclass
class Market:
    """Yahoo on loopback, which counts; and machines whose mdagent asks it."""

    provider: Provider
    address: str
    homes: Path
    count: int = 0
    asked: Counter[str] = field(default_factory=Counter)

    def machine(self, limits: str = AMPLE, at_once: int = 2) -> Program:
        """Another one, with an empty store, which sends so many requests at once."""
        home = self.homes / f"machine{self.count}"
        home.mkdir()
        self.count += 1
        told = {"BASE_URL": self.address, "LIMITS": limits, "CONCURRENCY": str(at_once)}
        return Program(home, {f"MDAGENT_SOURCES__YAHOO__{name}": value for name, value in told.items()})

    def seen(self) -> Counter[str]:
        """How often each symbol was asked for since this was last looked at."""
        now = Counter(seen.path.rpartition("/")[2] for seen in self.provider.log)
        fresh = now - self.asked
        self.asked = now
        return fresh


@contextmanager
def open_market(folder: Path) -> Iterator[Market]:
    """Open while it lasts."""
    provider = Provider(SystemClock.starting_at(datetime.fromisoformat(CLOCK).astimezone(UTC)), only="yahoo", allowances={"yahoo": ()})
    with serve(provider.clock, names=("yahoo",), provider=provider) as running:
        yield Market(provider, running.base_urls["yahoo"], folder)


def universe(count: int) -> list[str]:
    """So many symbols that the sandbox trades."""
    return [f"SYM{n:05}" for n in range(1, 2 * count) if n % 10 != 7][:count]
