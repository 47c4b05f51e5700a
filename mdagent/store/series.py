"""Which stored series of a symbol can stand together: on one basis, in one unit, as known at one time; and why others cannot."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.basis import Events, Payment, Split, Way, torn, way
from mdagent.exchanges import unit_of
from mdagent.market import FILE, Adjustment, Interval
from mdagent.store.decided import settled
from mdagent.store.literal import literal, naive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mdagent.market import BarRequest

    Ask = Callable[[str, Sequence[Any]], Any]

ACTIONS = "actions"  # in the place of an interval, in the key of what is known of splits (`splits`) and of payments too (`all`)
_CLOSE_BEFORE = timedelta(days=12)  # a dividend is weighed by a close no older than this
_COLUMNS = "symbol, interval, ts, source, adjustment, open, high, low, close, volume, score, fetched_at, currency, lot, raw_volume"
_PREFERRED = (Adjustment.RAW, Adjustment.SPLITS, Adjustment.ALL)


class Held(NamedTuple):
    """What the store has of one source in a window, in the basis and unit that it came in. Times are naive UTC: `first` and `last`
    stamp, `oldest` and `newest` delivery."""

    source: str
    basis: Adjustment
    currency: str | None
    lot: float
    raw_volume: bool
    bars: int
    first: datetime
    last: datetime
    oldest: datetime
    newest: datetime


class Part(NamedTuple):
    """One source's share of a series, and what its rows are to be multiplied by."""

    held: Held
    way: Way
    price: float
    volume: float


class LeftOut(NamedTuple):
    """A source whose bars cannot stand in this series, and why."""

    source: str
    why: str


class Joint(NamedTuple):
    """The parts of one series, all on one basis and in `currency`; who is left out; and what is to be read in the place of `bars`, and
    there in the place of `source`."""

    parts: tuple[Part, ...]
    left: tuple[LeftOut, ...]
    currency: str | None
    table: str = "bars"
    name: str = "source"


class _Told:  # no named tuple: these two are made on every cached read, and defining one costs more than making it
    """What a source told of splits and payments (day, amount, adjusted, currency, when told), and the stretches of time that this is
    all of."""

    __slots__ = ("payments", "spans", "splits")

    def __init__(
        self,
        splits: tuple[Split, ...],
        payments: tuple[tuple[date, float, bool, str | None, datetime], ...] = (),
        spans: dict[str, list[tuple[datetime, datetime]]] | None = None,
    ) -> None:
        self.splits = splits
        self.payments = payments
        self.spans = spans or {}


class _Look:
    """One question to the store: how to ask, what for, as of when; and of which table, in which a row's source is told by `name`."""

    __slots__ = ("as_of", "ask", "name", "request", "table")

    def __init__(self, ask: Ask, request: BarRequest, as_of: datetime | None, *, decided: bool) -> None:
        self.ask = ask
        self.request = request
        self.as_of = as_of
        self.table, self.name = rows_of(request.symbol.ticker, as_of, decided=decided), "mark" if decided else "source"

    @property
    def told_then(self) -> tuple[str, list[Any]]:
        """Actions as they stand, or stood, as a condition and its words. One that was first told later was a fact before."""
        if self.as_of is None:
            return " AND replaced_at IS NULL", []
        first = (
            "NOT EXISTS (SELECT 1 FROM actions e WHERE e.symbol = actions.symbol AND e.source = actions.source AND e.kind = actions.kind"
            " AND e.date = actions.date AND e.fetched_at < actions.fetched_at)"
        )
        condition = f" AND (fetched_at <= ? OR {first}) AND (replaced_at IS NULL OR replaced_at > ?) AND date <= ?"
        return condition, [self.as_of, self.as_of, self.as_of.date()]


def held(look: _Look, sources: Sequence[str]) -> list[Held]:
    """Every series in the window, by source and basis. Among `sources` the word `FILE` stands for all imported files."""
    among = f" AND source IN ({', '.join('?' * len(sources))})" if sources else ""
    if FILE in sources:
        among = f" AND (source IN ({', '.join('?' * len(sources))}) OR starts_with(source, {literal(FILE)}))"
    rows = look.ask(
        "SELECT source, adjustment, currency, lot, raw_volume, count(*), min(ts), max(ts), min(fetched_at), max(fetched_at)"
        f" FROM {look.table} WHERE symbol = ? AND interval = ? AND ts >= ? AND ts < ?{among} GROUP BY ALL ORDER BY ALL",
        [*_window(look.request), *sources],
    ).fetchall()
    return [Held(r[0], Adjustment(r[1]), *r[2:]) for r in rows]


def rows_of(symbol: str, as_of: datetime | None = None, *, decided: bool) -> str:
    """The table of bars as it is, or as it was; where anything was `decided` about the symbol, its bars after that."""
    if as_of is not None:
        then = literal(as_of)
        columns = f"{_COLUMNS}, " + ("batch, " if decided else "")
        whose = f"symbol = {literal(symbol)} AND fetched_at <= {then}"
        was = f"(SELECT {columns}provisional FROM bars WHERE {whose} UNION ALL"
        was += f" SELECT {columns}false AS provisional FROM revisions WHERE {whose} AND replaced_at > {then})"
        return settled(was, as_of) if decided else was
    return settled(f"(SELECT * FROM bars WHERE symbol = {literal(symbol)})") if decided else "bars"


def _window(request: BarRequest) -> list[Any]:
    return [request.symbol.ticker, request.interval.value, naive(request.start), naive(request.end)]


def join(ask: Ask, request: BarRequest, sources: Sequence[str] = (), as_of: datetime | None = None, *, decided: bool = True) -> Joint:
    """The series of a request: each source's best basis that can be brought to the one asked for, all in one unit. `as_of` (naive
    UTC): what was known then. `decided`: may people have decided anything about the symbol?"""
    look = _Look(ask, request, as_of, decided=decided)
    found = held(look, sources)
    splits = _all_splits(look) if found else {}
    parts: list[Part] = []
    refused: dict[str, str] = {}
    for one in sorted(found, key=lambda h: (h.basis is not request.adjustment, -h.bars, _PREFERRED.index(h.basis))):
        if any(_holds(part.held, one) for part in parts):
            continue
        told = _told(look, one.source, splits.get(one.source, ()), _needs(one, request))
        made = _convert(look, one, told, splits)
        if isinstance(made, Part):
            parts.append(made)
        else:
            refused.setdefault(one.source, made)
    served = {part.held.source for part in parts}
    joint = _in_one_unit(request, parts, {s: why for s, why in refused.items() if s not in served})
    return joint._replace(table=look.table, name=look.name)


def _holds(part: Held, one: Held) -> bool:
    """Does this basis of a source make another basis of it needless?"""
    wider = part.first <= one.first and part.last >= one.last and part.bars >= one.bars
    return part.source == one.source and part.basis is not one.basis and wider


def _needs(one: Held, request: BarRequest) -> str:
    """What has to be known for these rows: `all`, `splits`, or nothing."""
    wanted = request.adjustment
    if one.basis is wanted:
        several = one.oldest.date() != one.newest.date()
        return "" if wanted is Adjustment.RAW or not several else "all" if wanted is Adjustment.ALL else "splits"
    return "all" if Adjustment.ALL in (one.basis, wanted) else "splits"


def _all_splits(look: _Look) -> dict[str, tuple[Split, ...]]:
    """The splits of the symbol that each source tells."""
    then, words = look.told_then
    rows = look.ask(
        f"SELECT source, date, value, min(fetched_at) FROM actions WHERE symbol = ? AND kind = 'split'{then} GROUP BY ALL ORDER BY 1, 2",
        [look.request.symbol.ticker, *words],
    ).fetchall()
    found: dict[str, list[Split]] = {}
    for source, day, ratio, told in rows:
        known = min(told, datetime.combine(day, time()) + timedelta(days=1))
        if look.as_of is not None and known > look.as_of:
            continue  # nothing that was delivered by then had it in its prices
        found.setdefault(source, []).append(Split(day, ratio, known))
    return {source: tuple(splits) for source, splits in found.items()}


def _told(look: _Look, source: str, splits: tuple[Split, ...], needed: str) -> _Told:
    if not needed:
        return _Told(splits)
    symbol = look.request.symbol.ticker
    rows = look.ask(
        "SELECT adjustment, start_ts, end_ts FROM coverage WHERE symbol = ? AND interval = ? AND source = ? ORDER BY start_ts",
        [symbol, ACTIONS, source],
    ).fetchall()
    spans = {"splits": [(a, b) for _, a, b in rows], "all": [(a, b) for kinds, a, b in rows if kinds == "all"]}
    if needed != "all":
        return _Told(splits, (), spans)
    then, words = look.told_then
    paid = look.ask(
        "SELECT date, value, adjusted, currency, fetched_at FROM actions"
        f" WHERE symbol = ? AND source = ? AND kind <> 'split'{then} ORDER BY date",
        [symbol, source, *words],
    ).fetchall()
    return _Told(splits, tuple(paid), spans)


def known_to(spans: Iterable[tuple[datetime, datetime]], start: datetime) -> datetime | None:
    """How far everything is known from `start` on without a hole; None where it is not even there."""
    reached = start
    for first, after in sorted(spans):
        if first <= reached:
            reached = max(reached, after)
    return reached if reached > start else None


def _convert(look: _Look, one: Held, told: _Told, others: dict[str, tuple[Split, ...]]) -> Part | str:
    """How these rows are brought to the basis asked for; or why they cannot be."""
    request = look.request
    needed, wanted = _needs(one, request), request.adjustment
    name = "its splits" if needed == "splits" else "its splits and dividends"
    since = one.first if one.basis is not wanted else datetime.combine(one.oldest.date(), time())
    limit = one.oldest if one.basis is not Adjustment.RAW else None  # what was told after a delivery is not in its prices
    if needed:
        limit = known_to(told.spans.get(needed, ()), since)
        if limit is None and one.basis is wanted and _came_at_once(look, one):
            limit = one.newest
        if limit is None:
            return f"it has {one.basis} prices, and {name} since {since:%Y-%m-%d} are not known"
        if limit.date() < one.newest.date():
            return f"it has {one.basis} prices, and {name} are known only to {limit:%Y-%m-%d}"
    late = [] if limit is None else _unheard(limit, told.splits, others)
    if late:
        return f"a split of {late[0]} is not among what it told by {limit:%Y-%m-%d}"
    broken = torn(request.interval, told.splits, one.first.date(), (one.last + _length(request.interval)).date())
    if broken and one.basis is not wanted:
        return f"the split of {broken} falls within one of its {request.interval} bars"
    payments = _weighed(look, one, told) if needed == "all" else ()
    light = next((p.day for p in payments if p.left is None and p.day > one.first.date()), None)
    if light:
        return f"its dividend of {light} cannot be weighed: no close before it is stored, or it is in another currency"
    events = Events(told.splits, payments, request.symbol.mic)
    found = way(one.basis, wanted, events, request.interval, raw_volume=one.raw_volume)
    late_steps = tuple(step for step in found.by_delivery if step.at > one.oldest)  # what every row has in its price needs no factor
    return Part(one, found._replace(by_delivery=late_steps), 1.0, one.lot)


def _came_at_once(look: _Look, one: Held) -> bool:
    """Was the whole window delivered on one day, though rows that had not changed bear the time when they first came?"""
    symbol, interval, start, end = _window(look.request)
    rows = look.ask(
        "SELECT start_ts, end_ts, as_of FROM coverage WHERE symbol = ? AND interval = ? AND source = ? AND adjustment = ?"
        " AND end_ts > ? AND start_ts < ?",
        [symbol, interval, one.source, one.basis.value, start, end],
    ).fetchall()
    reached = known_to([(a, b) for a, b, _ in rows], one.first)
    if reached is None or reached <= one.last or (look.as_of is not None and any(came > look.as_of for _, _, came in rows)):
        return False
    return len({came.date() for _, _, came in rows}) == 1


def _unheard(limit: datetime, own: Sequence[Split], others: dict[str, tuple[Split, ...]]) -> list[date]:
    """Splits since the day of `limit` that other sources tell and this one does not."""
    known = {s.day for s in own}
    return sorted({s.day for splits in others.values() for s in splits if s.day >= limit.date() and s.day not in known})


def _length(interval: Interval) -> timedelta:
    return timedelta(days={Interval.W1: 7, Interval.MO1: 31}.get(interval, 1))


def _weighed(look: _Look, one: Held, told: _Told) -> tuple[Payment, ...]:
    """Each payment with the share of the price that it left, by the last daily close of the same source before it."""
    due = [p for p in told.payments if p[0] > one.first.date()]
    if not due:
        return ()
    days = ", ".join(f"(DATE '{day}')" for day in sorted({p[0] for p in due}))
    rows = look.ask(
        f"SELECT p.day, b.ts, b.close, b.adjustment, b.fetched_at, b.currency FROM (VALUES {days}) p(day) ASOF JOIN"
        f" (SELECT * FROM {look.table}"
        " WHERE symbol = ? AND interval = '1d' AND source = ? AND adjustment = ? AND NOT provisional) b ON p.day > b.ts",
        [look.request.symbol.ticker, one.source, _daily_basis(look, one)],
    ).fetchall()
    closes = {row[0]: row for row in rows if datetime.combine(row[0], time()) - row[1] <= _CLOSE_BEFORE}
    return tuple(Payment(day, _left(closes.get(day), [p for p in due if p[0] == day], told.splits)) for day in sorted({p[0] for p in due}))


def _daily_basis(look: _Look, one: Held) -> str:
    """The basis in which most daily bars of the source are stored, fully adjusted ones left aside: they weigh nothing."""
    row = look.ask(
        "SELECT adjustment FROM bars WHERE symbol = ? AND interval = '1d' AND source = ? AND adjustment <> 'all'"
        " GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
        [look.request.symbol.ticker, one.source],
    ).fetchone()
    return str(row[0]) if row else "raw"


def _left(row: Any, paid: Sequence[tuple[date, float, bool, str | None, datetime]], splits: Sequence[Split]) -> float | None:  # noqa: ANN401  a row of DuckDB
    """1 - payment / close, both in shares of now; None where it cannot be told."""
    if row is None:
        return None
    day, ts, close, basis, fetched, currency = row
    now = close / prod(s.ratio for s in splits if (s.day > ts.date() if basis == "raw" else s.known > fetched))
    total = 0.0
    for _, amount, adjusted, told_in, told in paid:
        scale = _exchange(told_in or currency, currency)
        if scale is None:
            return None
        total += amount * scale / prod(s.ratio for s in splits if (s.known > told if adjusted else s.day > day))
    left: float = 1.0 - total / now if now > 0 else 0.0
    return left if 0.0 < left < 1.0 else None


def _exchange(given: str | None, wanted: str | None) -> float | None:
    """What an amount is multiplied by to be in another unit of the same currency; None for another currency."""
    if given == wanted or wanted is None or given is None:
        return 1.0
    (one, scale), (other, size) = unit_of(given), unit_of(wanted)
    return size / scale if one == other else None


def _in_one_unit(request: BarRequest, parts: list[Part], refused: dict[str, str]) -> Joint:
    """All in the unit that the exchange quotes in, or that most bars have; what is in another currency is left out, never averaged."""
    weights: dict[str, int] = {}
    for part in parts:
        named = part.held.currency or request.symbol.currency
        if named:
            weights[named] = weights.get(named, 0) + part.held.bars
    usual = request.symbol.currencies
    unit = min(weights, key=lambda c: (usual.index(c) if c in usual else len(usual), -weights[c], c)) if weights else None
    kept: list[Part] = []
    for part in parts:
        named = part.held.currency or request.symbol.currency
        scale = _exchange(named, unit)
        doubtful = unit is not None or (request.symbol.kind != "index" and any(k.held.source != part.held.source for k in kept))
        if named is None and doubtful:
            refused[part.held.source] = f"it tells no currency, and {request.symbol} may be quoted in {'/'.join(usual) or 'any'}"
        elif scale is None:
            refused[part.held.source] = f"it is quoted in {named}, the series is in {unit}"
        else:
            kept.append(part._replace(price=part.price * scale))
    return Joint(tuple(kept), tuple(LeftOut(s, why) for s, why in sorted(refused.items())), unit)


def knows(ask: Ask, symbol: str, source: str, kinds: str, since: datetime) -> datetime | None:
    """How far every split (`splits`), or every payment too (`all`), is known from `since` on; naive UTC."""
    among = "" if kinds == "splits" else " AND adjustment = 'all'"
    query = f"SELECT start_ts, end_ts FROM coverage WHERE symbol = ? AND interval = ? AND source = ?{among} ORDER BY start_ts"
    return known_to(ask(query, [symbol, ACTIONS, source]).fetchall(), since)


def deliveries(ask: Ask, request: BarRequest, source: str) -> tuple[datetime, datetime] | None:
    """When the oldest and the newest row of a stored series came, whatever the window; naive UTC."""
    query = "SELECT min(fetched_at), max(fetched_at) FROM bars WHERE symbol = ? AND interval = ? AND source = ? AND adjustment = ?"
    row = ask(query, [request.symbol.ticker, request.interval.value, source, request.adjustment.value]).fetchone()
    return (row[0], row[1]) if row and row[0] else None
