"""Who goes to the store for many at once: together where that can be, each by itself where one spoils it, and never home too early."""

from __future__ import annotations

import asyncio
import fcntl
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.clock import SystemClock, VirtualClock, virtual_loop
from mdagent.errors import StoreBusy
from mdagent.market import BarRequest
from mdagent.store.bars import BarStore
from mdagent.store.lock import locked
from mdagent.store.read import key_of
from mdagent.store.write import Laid, Writer
from mdagent.work.clerk import Clerk
from mdagent.work.spans import nothing
from tests.store.batches import utc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mdagent.store.read import Reader

NOW = utc("2024-06-03")


def store_at(folder: Path) -> BarStore:
    return BarStore(folder / "bars.duckdb", "live", SystemClock())


def request(symbol: str) -> BarRequest:
    return BarRequest(symbol, "1d", utc("2024-01-02"), utc("2024-02-01"))  # type: ignore[arg-type]


def laid(symbol: str) -> Laid:
    asked = request(symbol)
    return Laid(key_of(asked, "yahoo"), (nothing(asked, NOW),), NOW)


def covered(store: BarStore) -> list[str]:
    with store.reading() as reader:
        return [row[0] for row in reader.ask("SELECT DISTINCT symbol FROM coverage ORDER BY 1", []).fetchall()]


def trips(store: BarStore) -> int:
    """How often the store was taken for writing."""
    return int(json.loads(store.path.with_name(store.path.name + ".lock").read_text())["taken"])


async def home(clerk: Clerk, *errands: Any) -> list[Any]:
    told = await asyncio.gather(*errands, return_exceptions=True)
    await clerk.finish()
    return told


def test_what_several_bring_is_written_in_one_transaction(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    clerk = Clerk(store, SystemClock())
    asyncio.run(home(clerk, *(clerk.bring(Writer.cover_all, laid(f"S{n}"), f"S{n}") for n in range(10))))
    assert len(covered(store)) == 10
    assert trips(store) == 1


def test_questions_of_one_kind_are_asked_together_after_what_was_brought(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    clerk, asked = Clerk(store, SystemClock()), []

    def is_there(reader: Reader | None, symbols: Sequence[str]) -> list[bool]:
        asked.append(list(symbols))
        return [bool(reader and reader.coverage(request(symbol), "yahoo")) for symbol in symbols]

    told = asyncio.run(home(clerk, clerk.ask(is_there, "A"), clerk.bring(Writer.cover_all, laid("A"), "A"), clerk.ask(is_there, "B")))
    assert told == [True, None, False]
    assert asked == [["A", "B"]]


def test_without_a_store_the_answer_is_made_without_one(tmp_path: Path) -> None:
    clerk = Clerk(store_at(tmp_path), SystemClock())
    assert asyncio.run(home(clerk, clerk.ask(lambda reader, items: [reader is None for _ in items], 1))) == [True]


def test_one_that_spoils_the_transaction_spoils_it_for_itself_alone(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    clerk = Clerk(store, SystemClock())

    def burst(writer: Writer, items: Sequence[str]) -> list[None]:
        raise ValueError(items[0])

    told = asyncio.run(
        home(
            clerk,
            clerk.bring(Writer.cover_all, laid("A"), "A"),
            clerk.bring(burst, "B", "B"),
            clerk.bring(Writer.cover_all, laid("C"), "C"),
        )
    )
    assert told[0] is None
    assert told[2] is None
    assert isinstance(told[1], ValueError)
    assert covered(store) == ["A", "C"]


def test_a_store_that_cannot_be_had_is_told_to_all(tmp_path: Path) -> None:
    store = store_at(tmp_path)._replace(write_wait=0.05)
    store.path.parent.mkdir(exist_ok=True)
    clerk = Clerk(store, SystemClock())
    with locked(store.path, SystemClock(), write=True, wait=1.0, purpose="test"):
        told = asyncio.run(home(clerk, *(clerk.bring(Writer.cover_all, laid(name), name) for name in "AB")))
    assert [type(one) for one in told] == [StoreBusy, StoreBusy]


def test_what_was_brought_is_written_though_nobody_waits_any_more(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    clerk = Clerk(store, SystemClock())

    async def work() -> None:
        brought = asyncio.create_task(clerk.bring(Writer.cover_all, laid("A"), "A"))
        await asyncio.sleep(0)
        brought.cancel()
        with pytest.raises(asyncio.CancelledError):
            await brought
        await clerk.finish()

    asyncio.run(work())
    assert covered(store) == ["A"]


@pytest.mark.parametrize(("wanted", "least", "most"), [(True, 0.6, 0.65), (False, 0.0, 0.1)])
def test_the_clerk_stays_away_twice_as_long_as_he_was_there_where_another_waited(
    tmp_path: Path, wanted: bool, least: float, most: float
) -> None:
    clock = VirtualClock(NOW)
    store = BarStore(tmp_path / "bars.duckdb", "live", clock)
    clerk, came, left = Clerk(store, clock, leisurely=True), list[float](), list[float]()

    def deed(_: Writer, items: Sequence[object]) -> list[None]:
        came.append(clock.monotonic())
        clock.pause(0.3)
        left.append(clock.monotonic())
        if wanted and len(came) == 1:
            fcntl.flock(turnstile, fcntl.LOCK_EX)  # as one does who waits
        return [None] * len(items)

    async def work() -> None:
        await clerk.bring(deed, 1, "A")
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        await clerk.bring(deed, 2, "B")
        await clerk.finish()

    with (tmp_path / "bars.duckdb.turn").open("w") as turnstile, asyncio.Runner(loop_factory=lambda: virtual_loop(clock)) as runner:
        runner.run(work())
    assert least <= came[1] - left[0] <= most


def test_what_was_looked_up_holds_until_somebody_writes(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    clerk = Clerk(store, SystemClock())

    async def work() -> None:
        for name in "AB":
            await clerk.foresee(name)
        assert clerk.foreseen("A") is not None
        await clerk.bring(Writer.cover_all, laid("A"), "A")
        assert clerk.foreseen("A") is None, "it was written about"
        assert clerk.foreseen("B") is not None, "it was not, and the writer was this process"
        with (tmp_path / "other").open("w") as out:
            other = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITE, str(store.path), stdout=out, stderr=out)
            assert await other.wait() == 0, (tmp_path / "other").read_text()
        assert clerk.foreseen("B") is None, "another process has written"
        await clerk.finish()

    asyncio.run(work())


WRITE = """
import sys
from pathlib import Path
from mdagent.clock import SystemClock, VirtualClock, virtual_loop
from mdagent.store.bars import BarStore
with BarStore(Path(sys.argv[1]), "live", SystemClock()).writing("test"):
    pass
"""
