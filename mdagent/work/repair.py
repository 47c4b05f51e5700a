"""Stored series judged anew, and what could be corrected of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.market import Adjustment, BarRequest
from mdagent.quality.repair import Listed, corrections, swapped_back
from mdagent.store.decided import MARK
from mdagent.store.decisions import ACCEPT, REJECT, Mending, Series, cells, mended, overrides, repair, rule_on
from mdagent.store.holdings import delivered, listed_actions, quarantined
from mdagent.store.read import barset
from mdagent.work.calendar import read_sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from mdagent.market import BarSet, CorporateAction, Interval, Symbol
    from mdagent.quality.repair import Correction
    from mdagent.store.decisions import Mended, Override, Repaired
    from mdagent.store.read import Reader
    from mdagent.store.write import Writer

    Row = tuple[Any, ...]

PROPOSED, NO_EVIDENCE, APPLIED, ACCEPTED = "proposed", "no evidence", "applied", "accepted"


class Proposal(NamedTuple):
    """One bar of one series, what it should say, and where that stands: one of the words above. `number` is of the repair in force."""

    series: Series
    correction: Correction
    status: str
    number: int | None = None


class Proposals(NamedTuple):
    """In order of series and time; and what could not be judged, with the reason."""

    found: tuple[Proposal, ...]
    left: tuple[str, ...]


class Wanted(NamedTuple):
    """What to look at: all sources where none is named. `delay` is how late a source lets a finished bar change."""

    symbol: Symbol
    interval: Interval
    sources: tuple[str, ...]
    delay: Callable[[str], timedelta]
    now: datetime


def propose(reader: Reader, wanted: Wanted) -> Proposals:
    """Judge each stored series by itself and against the others, and say what its findings call for."""
    symbol, interval = wanted.symbol.ticker, wanted.interval.value
    rules = [o for o in overrides(reader.ask, symbol) if o.bar.interval == interval and o.undone_at is None]
    held = [m for m in mended(reader.ask, symbol, interval) if m.holds]
    found: list[Proposal] = []
    left: list[str] = []
    for one in reader.series(symbol, interval):
        if wanted.sources and one.source not in wanted.sources:
            continue
        series = Series(symbol, interval, one.source, one.adjustment)
        window = BarRequest(wanted.symbol, wanted.interval, one.first, one.last + timedelta(microseconds=1), Adjustment(one.adjustment))
        due = _of_series(reader, wanted, window, one.source, rules)
        if isinstance(due, str):
            left.append(f"{one.source} is left out: {due}")
            continue
        stored = {(c.ts, c.from_quarantine): c for c in due}
        found += [_placed(series, c, held, rules) for _, c in sorted(stored.items())]
    return Proposals(tuple(found), tuple(left))


def _of_series(reader: Reader, wanted: Wanted, window: BarRequest, source: str, rules: Sequence[Override]) -> list[Correction] | str:
    """The corrections of one series in the units in which it is stored; or why it cannot be judged."""
    from mdagent.quality.checks import Circumstances, judge

    joint = reader.joint(window, (source,))
    plain = joint._replace(table="bars", name="source", parts=tuple(p for p in joint.parts if p.held.basis is window.adjustment))
    if not plain.parts:
        return next((one.why for one in joint.left), "all its bars were rejected")
    gone = {o.bar.ts for o in rules if _ruled(source, o.bar.ts, rules) == REJECT}
    every: list[Any] = reader.rows(window, plain)
    rows: list[Row] = [r for r in every if r[2].replace(tzinfo=UTC) not in gone]
    if not rows:
        return "all its bars were rejected"
    told = listed_actions(reader.ask, wanted.symbol.ticker)
    own = tuple(a for by, a in told if by == source and window.start.date() <= a.date <= window.end.date())
    bars = replace(barset(window, rows), source=source, actions=own, raw_volume=plain.parts[0].held.raw_volume)
    others = tuple(_others(reader, window, source))
    sessions = read_sessions(reader, window)
    verdict = judge(bars, window, sessions, wanted.now, wanted.delay(source), Circumstances(others=others))
    due = corrections(bars, verdict.findings, others, _splits(told, source))
    series = Series(wanted.symbol.ticker, window.interval.value, source, str(window.adjustment))
    came, shown = delivered(reader.ask, series), {r[2].replace(tzinfo=UTC): r[3:8] for r in rows}
    found = [_as_delivered(c, shown[c.ts], came[c.ts], 1.0 / plain.parts[0].volume) for c in due]
    return found + list(swapped_back(quarantined(reader.ask, series)))


def _as_delivered(told: Correction, shown: Row, came: tuple[float | None, ...], per_lot: float) -> Correction:
    """A correction of a row that was brought to the unit and the splits of now, as one of the row as it was delivered."""
    old = tuple(nan if cell is None else cell for cell in came)
    if told.new is None:
        return replace(told, old=old)
    price = old[3] / shown[3] if shown[3] else 1.0
    volume = old[4] / shown[4] if shown[4] and old[4] else per_lot
    new = tuple(
        was if cell == before else cell * (volume if n == 4 else price)
        for n, (cell, before, was) in enumerate(zip(told.new, told.old, old, strict=True))
    )
    return replace(told, old=old, new=new)


def _splits(told: Iterable[tuple[str, CorporateAction]], source: str) -> list[Listed]:
    """The splits that anybody lists, each once: as the source of the series tells it, else as another does."""
    found: dict[Any, Listed] = {}
    for by, action in sorted(told, key=lambda pair: (pair[0] != source, pair[0])):
        if action.kind == "split":
            found.setdefault(action.date, Listed(by, action.date, action.value))
    return list(found.values())


def _others(reader: Reader, window: BarRequest, source: str) -> list[BarSet]:
    """What other sources say, on the same basis, as decisions and repairs leave it."""
    joint = reader.joint(window)
    by_source: dict[str, list[Row]] = {}
    for row in reader.rows(window, joint, apart=True):
        told: Any = row
        name = told[8].removesuffix(MARK)
        if name != source:
            by_source.setdefault(name, []).append(told)
    return [replace(barset(window, rows), source=name) for name, rows in sorted(by_source.items())]


def _ruled(source: str, ts: datetime, rules: Sequence[Override]) -> str | None:
    rule = rule_on(source, [o for o in rules if o.bar.ts == ts])
    return rule.decision if rule else None


def _placed(series: Series, told: Correction, held: Sequence[Mended], rules: Sequence[Override]) -> Proposal:
    if _ruled(series.source, told.ts, rules) == ACCEPT:
        return Proposal(series, told, ACCEPTED)
    if told.new is None:
        return Proposal(series, told, NO_EVIDENCE)
    same = (m for m in held if (m.ts, m.source, m.adjustment) == (told.ts, series.source, series.adjustment))
    in_force = next((m for m in same if m.new == cells(told.new or ())), None)
    return Proposal(series, told, APPLIED, in_force.number) if in_force else Proposal(series, told, PROPOSED)


def apply(writer: Writer, found: Iterable[Proposal], who: str, run: str, at: datetime) -> list[Repaired]:
    """Write what is proposed and not in force, all of one series and type under one number."""
    groups: dict[tuple[Series, str], list[Correction]] = {}
    for one in found:
        if one.status == PROPOSED:
            groups.setdefault((one.series, one.correction.type), []).append(one.correction)
    made = [repair(writer.ask, Mending(series, kind, tuple(some), who, run, at)) for (series, kind), some in groups.items()]
    return [one for one in made if one is not None]
