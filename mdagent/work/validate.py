"""A file of bars -> what the checks say of it, and its grade. Needs no store."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mdagent.errors import ConfigError, UsageError
from mdagent.market import COLUMNS, Adjustment, BarRequest, BarSet, CorporateAction, Interval, Symbol
from mdagent.quality.checks import Circumstances, judge
from mdagent.quality.grade import Grade, grade
from mdagent.sessions import FUND, WEEKDAYS, calendar_of
from mdagent.sources.reading.rows import Answer, Rows, assemble
from mdagent.work.barfile import BarFile, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

    from mdagent.quality.finding import Verdict
    from mdagent.quality.modes import Mode
    from mdagent.sessions import Session
    from mdagent.work.meta import Meta

SPAN = (datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))  # a bar of another time is none
MARGIN = timedelta(days=40)  # of sessions on both sides of a window
_FUNDS = "XNYS"  # where nothing tells by which exchange a fund is priced
_PAIR = re.compile(r"[A-Za-z]{6}\Z")
_TICKER = re.compile(r"[A-Z0-9^][A-Z0-9.=^-]{0,11}\Z")
_LENGTHS = ((26, Interval.MO1), (5, Interval.W1), (1, Interval.D1))  # days between two bars


class Wish(NamedTuple):
    """What is asked of a judgement, None where it is left to what the bars and their meta tell."""

    mode: Mode
    symbol: str | None = None
    interval: Interval | None = None
    start: datetime | None = None
    end: datetime | None = None
    adjustment: Adjustment | None = None
    source: str | None = None


class Judged(NamedTuple):
    """A series and what is said of it. `name` is the symbol as it was told; `bars` are those that were judged, the bad ones among them;
    `notes` say what had to be assumed; `lacking` names who was not there to be compared with."""

    name: str
    bars: BarSet
    verdict: Verdict
    grade: Grade
    notes: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    place: str = ""


class Desk(NamedTuple):
    """What a judgement needs besides bars: sessions of a calendar with start <= day < end, the time, and a reader of
    files, which may remember them: each of three files of one case is compared with the other two."""

    sessions: Callable[[str, date, date], Sequence[Session]]
    now: datetime
    read: Callable[[Path, str | None], BarFile] = read_file


class FileCase(NamedTuple):
    """One series of a file, read and not yet judged; `now` is when it was delivered, where that is told. `whole`: does the file list all
    splits and payments of its window?"""

    name: str
    bars: BarSet
    request: BarRequest
    sessions: Sequence[Session] | None
    now: datetime
    known: Circumstances
    notes: tuple[str, ...]
    whole: bool


class _Facts(NamedTuple):
    """What holds for a file and all that is compared with it."""

    name: str
    symbol: Symbol
    interval: Interval
    adjustment: Adjustment
    currency: str | None
    calendar: str


class _Told(NamedTuple):
    """What is known besides the rows, what is asked, and what had to be assumed."""

    meta: Meta
    wish: Wish
    notes: list[str]


def judge_file(path: Path, against: Sequence[Path], meta: Meta, wish: Wish, desk: Desk) -> Judged:
    """`against`: other sources' files of the same bars. Raises UsageError, NoBars."""
    case = case_of(desk.read(path, wish.symbol), [desk.read(one, wish.symbol) for one in against], meta, wish, desk)
    return judge_case(case._replace(known=case.known._replace(as_is=True)), path)


def judge_case(case: FileCase, path: Path) -> Judged:
    """What the checks say of it."""
    verdict = judge(case.bars, case.request, case.sessions, case.now, timedelta(0), case.known)
    return Judged(case.name, case.bars, verdict, grade(verdict), case.notes, place=str(path))


def case_of(file: BarFile, against: Sequence[BarFile], meta: Meta, wish: Wish, desk: Desk) -> FileCase:
    """The rows as bars, with all that is known of them. Raises UsageError."""
    told = _Told(meta, wish, [])
    facts = _facts(file, told)
    bars, rows = _bars(file, facts, meta, wish.source or meta.source_of(file.path), (wish.start or SPAN[0], wish.end or SPAN[1]))
    request = _window(file, bars, facts, told)
    others = _others(against, facts, bars.source, told)
    adjusted = None if file.adj_close is None else file.adj_close[rows.places]
    listed, whole = file.dividends is not None, file.dividends is not None and file.splits is not None
    known = Circumstances(mode=wish.mode, listed=meta.actions is not None or listed, adjusted_close=adjusted, others=others)
    sessions = _sessions(file.path, facts.calendar, request, desk)
    now = meta.asof or desk.now
    return FileCase(facts.name, bars, request, sessions, now, known, tuple(told.notes), meta.actions is not None or whole)


def _facts(file: BarFile, known: _Told) -> _Facts:
    meta, wish, notes = known
    name = wish.symbol or meta.symbol or file.told.get("symbol") or _by_name(file.path, notes)
    calendar = meta.calendar or ""
    symbol = _symbol(name, calendar)
    if wish.symbol:
        Symbol.parse(wish.symbol)  # a wrong word of the command line is told as one
    calendar = calendar if calendar != FUND.rstrip(":") else FUND + ((symbol.mic and calendar_of(symbol).removeprefix(FUND)) or _FUNDS)
    told = file.told
    interval = wish.interval or meta.interval or (Interval.parse(told["interval"]) if told.get("interval") else _by_distance(file, notes))
    adjustment = wish.adjustment or meta.adjustment or (Adjustment.parse(told["adjustment"]) if told.get("adjustment") else None)
    if adjustment is None:
        adjustment = Adjustment.SPLITS
        notes.append("nothing tells the basis of the prices: taken as adjusted for splits (--adjust)")
    currency = meta.currency or told.get("currency") or symbol.currency
    return _Facts(name or "", symbol, interval, adjustment, currency, calendar or calendar_of(symbol))


def _by_name(path: Path, notes: list[str]) -> str | None:
    """A file that is called AAPL.csv is taken for one of AAPL; prices.csv tells nothing."""
    if _TICKER.match(path.stem):
        notes.append(f"nothing but the file's name tells the symbol: taken as {path.stem}")
        return path.stem
    notes.append("nothing tells the symbol, and so the trading calendar: mdagent validate SYMBOL --file FILE")
    return None


def _symbol(name: str | None, calendar: str) -> Symbol:
    """One that does not follow our spelling stands for itself, and tells nothing."""
    text = name or "?"
    if calendar == WEEKDAYS and _PAIR.match(text):
        text = f"{text[:3]}/{text[3:]}"
    try:
        return Symbol.parse(text)
    except UsageError:
        return Symbol(text[:32])


def _by_distance(file: BarFile, notes: list[str]) -> Interval:
    local = file.stamps.local[np.isfinite(file.stamps.local)]
    steps = np.diff(np.unique(local)).astype(np.int64) / 1e6
    usual = float(np.median(steps)) if len(steps) else 86400.0
    if usual < 86400 / 2:
        found = max((i for i in Interval if i.intraday and i.seconds <= usual), key=lambda i: i.seconds, default=Interval.M1)
    else:
        found = next((i for days, i in _LENGTHS if usual >= days * 86400), Interval.D1)
    notes.append(f"nothing tells the length of a bar: taken as {found} by their distance (--interval)")
    return found


def _stamps(file: BarFile, interval: Interval) -> np.ndarray:
    """UTC instants; for daily and longer bars the date as written, a week's Monday, a month's 1st."""
    local, ahead = file.stamps
    if interval.intraday:
        instants: np.ndarray = local - ahead
        return instants
    days = local.astype("datetime64[D]")
    if interval is Interval.W1:
        days = days - ((days.astype(np.int64) + 3) % 7).astype("timedelta64[D]")
    elif interval is Interval.MO1:
        days = days.astype("datetime64[M]").astype("datetime64[D]")
    made: np.ndarray = np.where(np.isnat(local), local, days.astype("datetime64[us]"))
    return made


def _bars(file: BarFile, facts: _Facts, meta: Meta, source: str, span: tuple[datetime, datetime]) -> tuple[BarSet, Rows]:
    stamps = _stamps(file, facts.interval)
    real = np.isfinite(stamps)
    real[real] = np.abs(stamps[real].astype("datetime64[Y]").astype(np.int64)) < 1000  # years that a datetime has
    rows = assemble(Answer(stamps, real, file.columns), BarRequest(facts.symbol, facts.interval, *span, facts.adjustment))
    actions = _actions(file) if meta.actions is None else meta.actions
    columns = dict(zip(COLUMNS, rows.table, strict=True))
    told = (facts.symbol, facts.interval, source, facts.adjustment, facts.currency, rows.ts)
    return BarSet(*told, **columns, actions=actions, delivery=rows.delivery), rows


def _actions(file: BarFile) -> tuple[CorporateAction, ...]:
    """Those that stand beside the bars. A factor of 0 or 1 is none."""
    days = file.stamps.local.astype("datetime64[D]")
    found: list[CorporateAction] = []
    if file.dividends is not None:
        paid = np.isfinite(file.dividends) & (file.dividends > 0) & ~np.isnat(days)
        found += [CorporateAction("dividend", d, v) for d, v in zip(days[paid].tolist(), file.dividends[paid].tolist(), strict=True)]
    if file.splits is not None:
        split = np.isfinite(file.splits) & (file.splits > 0) & (file.splits != 1) & ~np.isnat(days)
        found += [CorporateAction("split", d, v) for d, v in zip(days[split].tolist(), file.splits[split].tolist(), strict=True)]
    return tuple(found)


def _window(file: BarFile, bars: BarSet, facts: _Facts, told: _Told) -> BarRequest:
    """What was asked for; where that is not told, from the first to the last row."""
    meta, wish, notes = told
    stamps = bars.ts if len(bars) else _stamps(file, facts.interval)
    low, high = (np.datetime64(edge.replace(tzinfo=None), "us") for edge in SPAN)
    stamps = stamps[(stamps >= low) & (stamps < high)]
    if not len(stamps):
        msg = f"{file.path} has no row between {SPAN[0]:%Y} and {SPAN[1]:%Y}"
        raise UsageError(msg, "write dates as 2024-01-31 or 2024-01-31T14:30:00Z")
    first, last = (edge.item().replace(tzinfo=UTC) for edge in (stamps.min(), stamps.max()))
    after = last + timedelta(seconds=1) if facts.interval.intraday else last + timedelta(days=1)
    asked_end = [end for end in (meta.end, meta.asof) if end is not None]
    start, end = wish.start or meta.start, wish.end or (min(asked_end) if asked_end else None)
    if start is None or (end is None and meta.asof is None):
        notes.append("nothing tells the range that was asked for: rows that are lacking at either end cannot be seen (--start, --end)")
    request = BarRequest(
        facts.symbol, facts.interval, start or min(first, (end or after) - timedelta(seconds=1)), end or after, facts.adjustment
    )
    if not facts.interval.intraday or not len(bars):
        return request
    # A day of minutes begins and ends when its source has it begin and end.
    start = first if first.date() <= request.start.date() else request.start
    end = after if last.date() >= (request.end - timedelta(days=1)).date() else request.end
    return request.over(start, end) if start < end else request


def _others(files: Sequence[BarFile], facts: _Facts, ours: str, told: _Told) -> tuple[BarSet, ...]:
    """The others' bars, on one basis and in one currency with ours; each under a name of its own."""
    meta, _, notes = told
    made: dict[str, BarSet] = {}
    for file in files:
        if file.told.get("adjustment", facts.adjustment) != facts.adjustment:
            notes.append(f"{file.path.name} is left out: it has {file.told['adjustment']} prices, these are {facts.adjustment}")
            continue
        if facts.currency and file.told.get("currency", facts.currency) != facts.currency:
            notes.append(f"{file.path.name} is left out: it is quoted in {file.told['currency']}, these bars in {facts.currency}")
            continue
        name = meta.source_of(file.path)
        while name in made or name == ours:
            name += "'"
        made[name] = _bars(file, facts, meta, name, SPAN)[0]
    return tuple(made.values())


def _sessions(path: Path, calendar: str, request: BarRequest, desk: Desk) -> Sequence[Session] | None:
    if not calendar:
        return None
    try:
        return desk.sessions(calendar, (request.start - MARGIN).date(), (request.end + MARGIN).date())
    except ConfigError as error:
        msg = f"{path}: {error.message}"
        raise UsageError(msg, error.hint) from error
