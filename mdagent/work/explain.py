"""Why one bar is what it is, or why there is none: gathered from the store, told in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.market import FILE
from mdagent.sessions import build, period_of
from mdagent.store.decided import MARK
from mdagent.store.decisions import ACCEPT, REJECT, rule_on
from mdagent.store.dossier import Dossier, dossier, first_trade, stamp_in
from mdagent.work.calendar import calendar_for, read_sessions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdagent.market import BarRequest, Interval
    from mdagent.sessions import Session
    from mdagent.store.decisions import Mended, Override
    from mdagent.store.dossier import Told
    from mdagent.store.read import Reader
    from mdagent.store.series import Joint, Part

_ABSENT = {
    "complete": "was asked at {at}, and its answer had no such bar",
    "pending": "was asked at {at}, before that bar was final",
    "no data": "was asked at {at}, and had no bars there at all",
    "not yet listed": "has bars from later on only: not yet listed",
    "not traded": "has none, as when nobody traded",
    "provider gap": "was asked at {at}, and has a gap there",
    "null bar at source": "has a row without values there",
    "row rejected": "has a row there that was rejected",
}


class Voice(NamedTuple):
    """What one source says: as delivered, and brought to the basis asked for (None where it cannot be, or may not stand), by which
    factors, and how it stands."""

    told: Told
    brought: tuple[float | None, ...] | None
    score: float
    price_factor: float | None
    volume_factor: float | None
    standing: str


class Served(NamedTuple):
    """The row that comes out, and why that one."""

    source: str
    cells: tuple[float | None, ...]
    currency: str | None
    score: float
    provisional: bool
    why: str


class Explanation(NamedTuple):
    """Everything about one bar. `served` is None where none comes out; then `absent` says why, and `due` whether there ought to be one."""

    request: BarRequest
    ts: datetime
    voices: tuple[Voice, ...]
    served: Served | None
    absent: tuple[str, ...]
    due: bool
    file: Dossier
    commands: tuple[str, ...]


def stamp_of(reader: Reader | None, symbol: str, interval: Interval, moment: datetime) -> datetime:
    """The stamp of the bar that holds a moment: a day, a week's Monday, a month's 1st; intraday that of a stored one, if any does."""
    if not interval.intraday:
        day = period_of(interval, moment)[0]
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (stamp_in(reader.ask, symbol, interval.value, moment, interval.seconds) if reader else None) or moment


def explain(reader: Reader, request: BarRequest, now: datetime) -> Explanation:
    """The bar at the start of the request's window, which holds no other."""
    symbol, ts = request.symbol.ticker, request.start
    file = dossier(reader.ask, symbol, request.interval.value, ts)
    joint = reader.joint(request)
    apart: list[Any] = reader.rows(request, joint, apart=True)
    voices = tuple(_voice(told, joint, apart, file) for told in file.told)
    best: list[Any] = reader.rows(request, joint)
    served = _served(best[0], apart, file) if best else None
    closed = () if served else tuple(_calendar(reader, request, now))
    absent = () if served else tuple(_absent(reader, request, file, closed))
    return Explanation(request, ts, voices, served, absent, not closed, file, tuple(_commands(request, file)))


def _voice(told: Told, joint: Joint, apart: Sequence[tuple[Any, ...]], file: Dossier) -> Voice:
    part = next((p for p in joint.parts if (p.held.source, p.held.basis) == (told.source, told.adjustment)), None)
    row = next((r for r in apart if part is not None and r[8].removesuffix(MARK) == told.source), None)
    ruled = rule_on(told.source, file.overrides)
    if row is None or part is None:
        return Voice(told, None, told.score, None, None, _left(told, joint, ruled))
    factors = _factors(part, told)
    mended = row[8] != told.source
    words = [f"repaired ({_holding(told, file).number})"] if mended else []
    words += [f"accepted by {ruled.who} (override {ruled.number})"] if ruled and ruled.decision == ACCEPT else []
    return Voice(told, tuple(row[3:8]), row[11], *factors, ", ".join(words) or "stands")


def _holding(told: Told, file: Dossier) -> Mended:
    return next(m for m in file.repairs if m.holds and (m.source, m.adjustment) == (told.source, told.adjustment))


def _left(told: Told, joint: Joint, ruled: Override | None) -> str:
    if ruled and ruled.decision == REJECT:
        return f"rejected by {ruled.who} (override {ruled.number})"
    why = next((one.why for one in joint.left if one.source == told.source), None)
    return f"left out: {why}" if why else "left out: another basis of this source serves"


def _factors(part: Part, told: Told) -> tuple[float, float]:
    """What the row was multiplied by: by its day, by its delivery, and by its unit."""
    price, volume = part.price, part.volume
    for steps, moment in ((part.way.by_stamp, part.held.first), (part.way.by_delivery, told.fetched_at.replace(tzinfo=None))):
        step = next((s for s in steps if moment < s.at), None)
        if step:
            price, volume = price * step.price, volume * step.volume
    return price, volume


def _served(row: Sequence[Any], apart: Sequence[Sequence[Any]], file: Dossier) -> Served:
    others = [r for r in apart if r[8] != row[8]]
    return Served(row[8], tuple(row[3:8]), row[10], row[11], row[12], "; ".join(_why(row, others, file)))


def _why(row: Sequence[Any], others: Sequence[Sequence[Any]], file: Dossier) -> Iterator[str]:
    name = row[8].removesuffix(MARK)
    if not others:
        yield "it is the only one that can stand here"
    else:
        following = min(others, key=lambda r: (r[12], -r[11], r[8].startswith(FILE), r[8]))
        if following[12] and not row[12]:
            yield "it is final, all others are provisional"
        elif row[11] > following[11]:
            yield f"its score of {row[11]:.1f} is the highest, before {following[8]} with {following[11]:.1f}"
        else:
            rule = (
                "a provider comes before a file"
                if following[8].startswith(FILE) and not name.startswith(FILE)
                else "the first by name is taken"
            )
            yield f"its score of {row[11]:.1f} is as high as that of {following[8]}; of equals {rule}"
    ruled = rule_on(name, file.overrides)
    if ruled and ruled.decision == ACCEPT:
        yield f"{ruled.who} accepted it: {ruled.reason}"
    if row[8] != name:
        yield f"a repair stands in place of what {name} says"


def _absent(reader: Reader, request: BarRequest, file: Dossier, closed: Sequence[str]) -> Iterator[str]:
    """Why there is no bar, the most telling first."""
    ts = request.start
    for told in file.told:
        ruled = rule_on(told.source, file.overrides)
        if ruled and ruled.decision == REJECT:
            words = f"rejected by {ruled.who} on {ruled.decided_at:%Y-%m-%d} (override {ruled.number}): {ruled.reason}"
            yield f"{told.source}'s bar was {words}"
    for row in file.quarantine:
        yield f"{row.source}'s row is in quarantine: {row.reason} ({row.check})"
    yield from closed
    listed = first_trade(reader.ask, request.symbol.ticker)
    if listed and ts.date() < listed[1]:
        yield f"it was not listed yet: {listed[0]} tells {listed[1]} as the first day of trading"
    heard = {told.source for told in file.told} | {row.source for row in file.quarantine}
    for one in file.asked:
        if one.source in heard:
            continue
        words = _ABSENT.get(one.reason, one.reason).format(at=f"{one.as_of:%Y-%m-%d %H:%M}Z")
        yield f"{one.source} {words}"
    if not file.asked and not file.told and not closed:
        yield "no source was asked for it yet"


def _calendar(reader: Reader, request: BarRequest, now: datetime) -> Iterator[str]:
    """What the exchange's calendar says of the period."""
    if request.start > now:
        yield "it lies in the future"
        return
    code, sessions = calendar_for(reader, request.symbol), _sessions(reader, request)
    if sessions is None:
        yield f"whether there was a session is not known: no calendar of {request.symbol}"
        return
    since, until = period_of(request.interval, request.start)
    inside = [s for s in sessions if since <= s.day < until]
    if not inside:
        weekend = until - since == timedelta(days=1) and since.weekday() >= 5
        yield f"{since} is a {since:%A}" + (f": {code} has no session" if weekend else f", but no trading day of {code}: a holiday")
    elif request.interval.intraday and not any(s.opens <= request.start < s.closes for s in inside):
        yield f"outside the session of {since}, which is {inside[0].opens:%H:%M}Z to {inside[-1].closes:%H:%M}Z"
    elif inside[-1].closes > now:
        yield f"its period is not over: it closes at {inside[-1].closes:%Y-%m-%d %H:%M}Z"


def _sessions(reader: Reader, request: BarRequest) -> Sequence[Session] | None:
    """From the store, or built for the days about the bar alone, and not kept."""
    from mdagent.errors import ConfigError

    found, code = read_sessions(reader, request), calendar_for(reader, request.symbol)
    if found is not None or not code:
        return found
    day = request.start.date()
    try:
        return build(code, day - timedelta(days=40), day + timedelta(days=40)).sessions or None
    except (ConfigError, OverflowError):
        return None


def _commands(request: BarRequest, file: Dossier) -> Iterator[str]:
    """What to type to come to the same: each source asked again, what was known then, and the rows themselves."""
    symbol, interval = quote(request.symbol.ticker), request.interval.value
    window = f"--interval {interval} --start {_word(request.start)} --end {_word(request.end)}"
    for told in file.told:
        if told.source.startswith(FILE):  # nobody can be asked again: these are the bars that the file had
            yield f"mdagent export {symbol} {window} --source {quote(told.source)} --adjust {told.adjustment}"
        else:
            yield f"mdagent fetch {symbol} {window} --source {told.source} --adjust {told.adjustment} --refresh"
    if file.told:
        then = max(t.fetched_at for t in file.told)
        yield f"mdagent export {symbol} {window} --adjust {request.adjustment} --as-of {then:%Y-%m-%dT%H:%M:%S.%fZ}"
    else:
        yield f"mdagent fetch {symbol} {window}"
    table = "bars" if file.told or not file.quarantine else "quarantine"
    where = f"symbol = '{request.symbol.ticker}' AND interval = '{interval}' AND ts = TIMESTAMP '{request.start:%Y-%m-%d %H:%M:%S}'"
    yield f'mdagent query "SELECT * FROM {table} WHERE {where}"'  # noqa: S608  a line to be typed, not a statement


def _word(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d}" if instant.time() == instant.min.time() else f"{instant:%Y-%m-%dT%H:%M:%SZ}"
