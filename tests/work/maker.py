"""A provider that makes its answers of a few prices that are true, on the basis and with the knowledge of the moment; asked through the
real gate, over a wire that is played."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind, kind_of_status
from mdagent.market import Adjustment, BarRequest, BarSet, CorporateAction, Delivery, Interval, Symbol
from mdagent.sessions import Session, build, expected
from mdagent.sources.base import Adapter
from mdagent.store.bars import BarStore
from mdagent.work.clerk import Clerk
from mdagent.work.fetch import Tools, fetch
from mdagent.work.fit import Wish, wish_for
from mdagent.work.foresee import Foresight
from mdagent.work.rank import Form
from mdagent.work.rehearse import Means, Rehearsal
from tests.work.clerks import clerk
from tests.work.played import Stage, says

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import httpx

    from mdagent.sources.base import Conversation, Plan, SourceSpec
    from mdagent.work.report import Line

RAW, SPLITS, ALL = Adjustment.RAW, Adjustment.SPLITS, Adjustment.ALL
DAY = timedelta(days=1)


@cache
def sessions() -> tuple[Session, ...]:
    return build("XNYS", date(2023, 11, 1), date(2024, 4, 1)).sessions


def facts(
    name: str = "maker", *bases: Adjustment, offers: frozenset[str] = frozenset(("actions", "batch")), lacks: frozenset[str] = frozenset()
) -> SourceSpec:
    """A sheet of facts: daily bars on `bases`, hourly ones raw."""
    spec = clerk(name, offers=offers).spec
    depths = replace(spec.intervals[Interval.D1], delivers=bases or (RAW, SPLITS))
    hours = replace(depths, delivers=(RAW,))
    return replace(spec, intervals={Interval.D1: depths, Interval.H1: hours}, plans=(replace(spec.plans[0], lacks=lacks),))


@dataclass
class Truth:
    """What happened: `close` every day as traded in the shares of January, and the actions, each told from `told` on."""

    close: float = 1000.0
    actions: list[CorporateAction] = field(default_factory=list)
    told: datetime | None = None  # when the actions are told; None: from their day on
    unknown: frozenset[str] = frozenset()

    def splits(self, ts: date, now: datetime) -> float:
        """What a split-adjusted price of that day is divided by at that time."""
        return prod(a.value for a in self.actions if a.kind == "split" and ts < a.date <= now.date())

    def raw(self, ts: date) -> float:
        return self.close / prod(a.value for a in self.actions if a.kind == "split" and a.date <= ts)


class Maker(Adapter):
    """Each conversation is one request; its path tells what was asked."""

    def __init__(self, spec: SourceSpec, truth: Truth, desk: Desk) -> None:
        self.spec = spec  # type: ignore[misc]
        plan: Plan = spec.plans[0]
        super().__init__(plan)
        self.truth, self.desk = truth, desk

    def bars(self, request: BarRequest) -> Conversation[BarSet]:
        yield self.get(f"/bars/{request.symbol}/{request.interval}/{request.adjustment}/{request.start:%m-%d}/{request.end:%m-%d}")
        return self._made(request)

    def batch_requests(self, requests: Sequence[BarRequest]) -> int | None:
        return 1 if requests else None

    def batch(self, requests: Sequence[BarRequest]) -> Conversation[list[BarSet | Failure]]:
        yield self.get(f"/batch/{'+'.join(r.symbol.ticker for r in requests)}/{requests[0].start:%m-%d}/{requests[0].end:%m-%d}")
        made: list[BarSet | Failure] = []
        for request in requests:
            try:
                made.append(self._made(request))
            except ConversationFailed as error:
                made.append(error.failure)
        return made

    def actions(
        self, symbol: Symbol, start: datetime, end: datetime, *, payments: bool = True
    ) -> Conversation[tuple[CorporateAction, ...]]:
        for kind in ("splits", "dividends") if payments else ("splits",):
            yield self.get(f"/{kind}/{symbol}/{start:%m-%d}/{end:%m-%d}")
        now = self.desk.now
        if self.truth.told is not None and now < self.truth.told:
            return ()
        return tuple(
            a
            for a in self.truth.actions
            if start.date() <= a.date < end.date() and a.date <= now.date() and (payments or a.kind == "split")
        )

    def _made(self, request: BarRequest) -> BarSet:
        if request.symbol.ticker in self.truth.unknown:
            raise ConversationFailed(Failure(FailureKind.UNKNOWN_SYMBOL, f"there is no {request.symbol}"))
        now = self.desk.now
        stamps = [t for t in expected(sessions(), request.interval, request.start, request.end) if t < now]
        if not stamps:
            raise ConversationFailed(Failure(FailureKind.NO_DATA, "nothing"))
        raw = [self.truth.raw(t.date()) for t in stamps]
        divided = [1.0 if request.adjustment is RAW else self.truth.splits(t.date(), now) for t in stamps]
        prices = np.array(raw) / np.array(divided)
        events = "actions with bars" in self.spec.offers
        told = [a for a in self.truth.actions if events and request.start.date() <= a.date <= min(now, request.end).date()]
        return BarSet(
            request.symbol, request.interval, self.spec.name, request.adjustment, "USD",
            np.array([t.replace(tzinfo=None) for t in stamps], dtype="datetime64[us]"), prices, prices, prices, prices,
            np.full(len(stamps), 100.0) * np.array(divided), actions=tuple(told), delivery=Delivery(rows=len(stamps), events=events),
        )  # fmt: skip

    def error_in(self, reply: httpx.Response) -> Failure | None:
        kind = kind_of_status(reply.status_code, reply.text)
        return Failure(kind, f"HTTP {reply.status_code}: {reply.text}", reply.status_code) if kind else None


@dataclass
class Desk:
    """Fetches from makers, one store and one clock for all."""

    stage: Stage
    store: BarStore
    makers: list[Maker] = field(default_factory=list)
    patience: int = 40  # answers that the wire has ready

    @property
    def now(self) -> datetime:
        return self.stage.clock.now()

    def at(self, moment: str) -> None:
        self.stage.clock.set(datetime.fromisoformat(moment).replace(tzinfo=UTC))

    def maker(self, truth: Truth, *bases: Adjustment, name: str = "maker", **more: Any) -> Maker:
        self.makers.append(Maker(facts(name, *bases, **more), truth, self))
        return self.makers[-1]

    def tools(self) -> Tools:
        clerk, clock = Clerk(self.store, self.stage.clock), self.stage.clock
        return Tools(clerk, self.stage.ledger, self.stage.gate(), clock, lambda _: sessions(), 60.0, 0.0, bounded_depth=True)

    def wish(self, request: BarRequest, *, refresh: bool = False) -> Wish:
        return wish_for(request, self.makers, refresh=refresh, world="live", today=self.now.date())

    def fetch(self, request: BarRequest, *, refresh: bool = False) -> Line:
        if not self.stage.answers:
            self.stage.answers += [says() for _ in range(self.patience)]
        return self.stage.run(fetch(self.wish(request, refresh=refresh), self.tools()))

    def dry(self, request: BarRequest) -> Line:
        return planned(self.stage, self.store, self.wish(request))

    def asked(self) -> list[str]:
        """The paths asked for since this was last looked at."""
        paths = [address.partition("/")[2] for _, address in self.stage.asked]
        self.stage.asked.clear()
        return paths

    def closes(self, request: BarRequest, as_of: datetime | None = None) -> dict[str, float]:
        with self.store.reading() as reader:
            rows: list[Any] = reader.bars([request], as_of=as_of)
        return {f"{r[2]:%m-%d}": round(r[6], 6) for r in rows}


def planned(stage: Stage, store: BarStore, *wishes: Wish) -> Line:
    """What a plan says of the last of these wishes."""
    foresight = Foresight(stage.ledger, stage.policy, stage.clock.now())
    form = Form(stage.ledger, stage.clock, stage.policy, look=foresight.look)
    means = Means(store, form, {}, bounded_depth=True, patience=60.0)
    return Rehearsal(means, form, foresight, lambda _reader, _request: sessions()).lines(wishes)[-1]


def desk_of(stage: Stage, folder: Path) -> Desk:
    desk = Desk(stage, BarStore(folder / "bars.duckdb", "live", stage.clock))
    desk.at("2024-01-17T22:00")
    return desk


def split(day: str, ratio: float = 10.0) -> CorporateAction:
    return CorporateAction("split", date.fromisoformat(day), ratio)


def dividend(day: str, amount: float) -> CorporateAction:
    return CorporateAction("dividend", date.fromisoformat(day), amount)


def ask(
    adjust: str = "splits", start: str = "2024-01-02", end: str = "2024-01-12", *, symbol: str = "AAPL", interval: str = "1d"
) -> BarRequest:
    return BarRequest(symbol, interval, start, end, adjust)  # type: ignore[arg-type]


def midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), UTC)
