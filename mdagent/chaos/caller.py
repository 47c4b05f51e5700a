"""People who ask a mdagent that is a process of its own, as a shell or cron would: what it printed, and how it ended, is the answer."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mdagent.chaos.load import Person
from mdagent.chaos.probes import Called, Process
from mdagent.chaos.truth import Compared, compare, price_is_right
from mdagent.errors import MdagentError
from mdagent.market import Priority
from mdagent.wire.sandbox.dialects import dialects, sandbox_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mdagent.chaos.host import HostScene, Ran
    from mdagent.market import BarRequest

    Row = tuple[Any, ...]

PARTIAL, DAMAGED = 5, 9
_SAYS = {
    3: "CONFIG",
    4: "NO_SOURCE",
    PARTIAL: "PARTIAL",
    7: "QUOTA",
    8: "STORE_BUSY",
    DAMAGED: "STORE_DAMAGED",
    10: "DISK_FULL",
    12: "NO_DATA",
}
_NAMES = {"disk_full": "DISK_FULL", "few_files": "CONFIG", "damaged_ledger": "STORE_DAMAGED", "damaged_store": "STORE_DAMAGED"}


def _keys() -> tuple[str, ...]:
    """Those of the sandbox, none of which may be told to anybody but its provider."""
    return tuple(sandbox_key(name, plan) for name, told in dialects().items() if told.key_in for plan in told.plans)


@dataclass(eq=False)
class Caller(Person):
    """One habit, of processes."""

    scene: HostScene = field(kw_only=True)

    def _ask(self) -> None:
        habit, began = self.habit, self.desk.clock.monotonic()
        urgent = Priority.BATCH if habit.asks == "backfill" else Priority.HIGH
        requests = [] if habit.asks == "status" else [self._request(symbol, urgent) for symbol in self._symbols()]
        ran = self.scene.run(
            *_words(self, requests), deadline=habit.deadline, doubtful=lambda ran: ran.code == 0 and self._doubts(ran, requests)
        )
        ended = self.desk.clock.monotonic()
        if self.scene.crowd is not None and self.scene.crowd.over and ran.code < 0:
            return  # it was stopped, and is no answer
        for symbol, why, found in _JUDGES[habit.asks](self, ran, requests):
            self.desk.note(self._told(ran, symbol, why, found, began, ended))

    def _doubts(self, ran: Ran, requests: list[BarRequest]) -> bool:
        """Does it tell anything but what was told before, and is right?"""
        return any(
            found.wrong or found.twice or self._short(symbol, found) for symbol, _, found in _JUDGES[self.habit.asks](self, ran, requests)
        )

    def _short(self, symbol: str, found: Compared) -> bool:
        """Does it lack what was told once?"""
        of_it = {stamp for name, interval, stamp in self.desk.served if (name, interval) == (symbol, self.habit.interval)}
        return bool(of_it - set(found.stamps))

    def _told(self, ran: Ran, symbol: str, why: str, found: Compared, began: float, ended: float) -> Called:  # noqa: PLR0913, PLR0917  all of it
        habit = self.habit
        if not why and ended - began > habit.deadline:
            why = "late"
        some, each = (True, True) if habit.asks in ("status", "read") else self.desk.works((), began, ended)
        if ran.under:
            some, each = False, False
        stale = found.stale if symbol and not why else None
        return Called(
            habit.who, habit.asks, symbol, began, ended, why, servable=some, struck=not each, stale=stale, bars=found.bars,
            process=self._process(ran, symbol, found),
        )  # fmt: skip

    def _process(self, ran: Ran, symbol: str, found: Compared) -> Process:
        """What is to be told of the process itself."""
        text, silent, named = ran.out + ran.err, None, None
        if ran.gone is not None:
            odd = bool(found.wrong or found.twice or self._short(symbol, found))
            silent = int(ran.code == 0 and ran.check != DAMAGED and odd)
        if ran.under and ran.code not in (0, PARTIAL):
            named = ran.under == "killed" or _SAYS.get(ran.code) == _NAMES.get(ran.under)
        bug = ran.code == 1 or "Traceback" in ran.err
        return Process(ran.number, ran.under, named, bug=bug, silent=silent, gone=ran.gone, keys=sum(key in text for key in _keys()))


def _words(caller: Caller, requests: list[BarRequest]) -> list[str]:
    """The command line."""
    habit, names = caller.habit, [request.symbol.ticker for request in requests]
    if habit.asks == "status":
        return ["sources", "status", "--json"]
    further = ["--cross-check", str(habit.cross_check)] if habit.cross_check else []
    if habit.asks == "quote":
        return ["quote", *names, "--json", *further]
    window = ["--start", _instant(requests[0].start), "--end", _instant(requests[0].end), "--interval", habit.interval]
    if habit.asks == "backfill":
        return ["backfill", *names, *window, "--report", "-", "--quiet"]
    return ["fetch" if habit.asks == "fetch" else "export", *names, *window, "--csv", *further]


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


Judged = tuple[str, str, Compared]  # symbol, why it is no good answer, and what was found


def _failure(ran: Ran) -> str:
    if ran.code < 0:
        return "killed"
    return _SAYS.get(ran.code, f"exit {ran.code}")


def _status(_: Caller, ran: Ran, __: list[BarRequest]) -> Iterable[Judged]:
    yield "", _failure(ran) if ran.code else "", Compared()


def _quotes(caller: Caller, ran: Ran, requests: list[BarRequest]) -> Iterable[Judged]:
    told = {row["symbol"]: row["last"] for row in _json(ran.out)}
    for request in requests:
        name = request.symbol.ticker
        if name not in told:
            yield name, _failure(ran) if ran.code else "no price", Compared()
        else:
            good = price_is_right(name, float(told[name]), caller.desk.clock.now())
            yield name, "" if good else "wrong price", Compared()


def _json(text: str) -> list[dict[str, Any]]:
    """The rows of an array, none where there is no whole one."""
    try:
        told = json.loads(text)
    except ValueError:
        return []
    return [row for row in told if isinstance(row, dict) and row.get("last") is not None] if isinstance(told, list) else []


def _printed(caller: Caller, ran: Ran, requests: list[BarRequest]) -> Iterable[Judged]:
    """Bars as CSV."""
    rows = _rows(ran.out) if ran.code >= 0 else []
    return _bars(caller, ran, requests, rows, None)


def _backfilled(caller: Caller, ran: Ran, requests: list[BarRequest]) -> Iterable[Judged]:
    """The report tells of each that failed; what came stands in the store."""
    scene = caller.scene
    rows: list[Row] = []
    with scene.turn, scene.agent("reader", scene.market, caller.dice) as agent:
        try:
            if agent.store.exists():
                with agent.store.reading("chaos") as reader:
                    rows = reader.bars(requests)
        except MdagentError as error:
            return [(request.symbol.ticker, type(error).__name__, Compared()) for request in requests]
    return _bars(caller, ran, requests, rows, _reported(ran.out))


def _reported(text: str) -> dict[str, str] | None:
    """By symbol why it failed, as a report has it; None where there is no whole report."""
    try:
        return {one["symbol"]: one["kind"] for one in json.loads(text)["failures"]}
    except (ValueError, KeyError, TypeError):
        return None


def _bars(caller: Caller, ran: Ran, requests: list[BarRequest], rows: list[Row], failures: dict[str, str] | None) -> Iterable[Judged]:
    """`failures` of some; None where it is not known of whom."""
    now, made = caller.desk.clock.now(), []
    for request in requests:
        name = request.symbol.ticker
        found = compare([row for row in rows if row[0] == name and row[1] == request.interval.value], request, now)
        if ran.gone is None:  # what a copy told is no answer of the store
            caller.desk.keep(request, found)
        why = (_failure(ran) if ran.code not in (0, PARTIAL) else "") if failures is None else failures.get(name, "")
        if not why and not found.right:
            why = "wrong bars" if found.wrong else "missing bars"
        if not found.bars:
            why = why or (_failure(ran) if ran.code else "no bars")
        made.append((name, why, found))
    return made


def _rows(text: str) -> list[Row]:
    """Bars in the order of `store.read.STORED`."""
    made: list[Row] = []
    for row in csv.DictReader(io.StringIO(text)):
        at = datetime.fromisoformat(row["ts"])
        prices = [float(row[name]) for name in ("open", "high", "low", "close")]
        score = float(row["score"]) if row["score"] else None
        made.append((row["symbol"], row["interval"], at, *prices, None, row["source"], row["adjustment"], row["currency"], score,
                     row["provisional"] == "true"))  # fmt: skip
    return made


_JUDGES: dict[str, Callable[[Caller, Ran, list[BarRequest]], Iterable[Judged]]] = {
    "status": _status,
    "quote": _quotes,
    "fetch": _printed,
    "read": _printed,
    "backfill": _backfilled,
}
