"""Which bars ought to exist: trading sessions, and the stamps expected of them.

exchange_calendars and pandas are loaded by `build` alone: sessions are kept in the store, and reading bars needs only the rest.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mdagent.errors import ConfigError
from mdagent.exchanges import SUFFIXES, US
from mdagent.market import Interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mdagent.market import Instrument, Symbol

RULES = "1"  # raised when the meaning of a built table changes, so that stored ones are built again

ALWAYS, WEEKDAYS, FUND = "24/7", "24/5", "FUND:"

# The typhoons Saola and Haikui, announced on the day: no trading though exchange_calendars lists sessions.
_CLOSURES: dict[str, frozenset[date]] = {"XHKG": frozenset((date(2023, 9, 1), date(2023, 9, 8)))}

_ICE_US = frozenset(("CC=F", "CT=F", "DX=F", "KC=F", "OJ=F", "SB=F"))  # cocoa, cotton, dollar index, coffee, orange juice, sugar


def _table(text: str) -> dict[str, str]:
    return dict(pair.split("=") for pair in text.split())


_INDICES = _table(
    """
    ^GSPC=XNYS ^DJI=XNYS ^IXIC=XNYS ^RUT=XNYS ^VIX=XNYS ^NDX=XNYS ^NYA=XNYS ^XAX=XNYS ^DJT=XNYS ^DJU=XNYS ^OEX=XNYS ^MID=XNYS ^SOX=XNYS
    ^TNX=XNYS ^TYX=XNYS ^FVX=XNYS ^IRX=XNYS ^FCHI=XPAR ^SBF120=XPAR ^GDAXI=XETR ^MDAXI=XETR ^TECDAX=XETR ^SDAXI=XETR ^FTSE=XLON ^FTMC=XLON
    ^FTAS=XLON ^BSESN=XBOM ^NSEI=XBOM ^NSEBANK=XBOM ^AXJO=XASX ^AORD=XASX ^IBEX=XMAD ^N225=XTKS ^HSI=XHKG ^HSCE=XHKG ^AEX=XAMS ^BFX=XBRU
    ^SSMI=XSWX ^OMX=XSTO ^OMXC25=XCSE ^OMXH25=XHEL ^OSEAX=XOSL ^ATX=XWBO ^KS11=XKRX ^KQ11=XKRX ^TWII=XTAI ^STI=XSES ^JKSE=XIDX ^KLSE=XKLS
    ^NZ50=XNZE ^GSPTSE=XTSE ^MXX=XMEX ^BVSP=BVMF ^MERV=XBUE ^IPSA=XSGO ^STOXX50E=XETR
    """
)

# Exchange codes as Yahoo gives them in `exchangeName`.
_CODES = _table(
    """
    NMS=XNYS NYQ=XNYS NGM=XNYS NCM=XNYS NAS=XNYS NIM=XNYS SNP=XNYS DJI=XNYS ASE=XNYS PCX=XNYS BTS=XNYS BATS=XNYS PNK=XNYS OQB=XNYS
    OQX=XNYS OEM=XNYS OBB=XNYS NYS=XNYS WCB=XNYS CBO=XNYS CXI=XNYS CMX=CMES NYM=CMES CBT=CMES CME=CMES GER=XETR DUS=XETR STU=XETR MUN=XETR
    HAM=XETR HAN=XETR BER=XETR FGI=XLON LSE=XLON IOB=XLON TOR=XTSE VAN=XTSE CNQ=XTSE NEO=XTSE JPX=XTKS OSA=XTKS TYO=XTKS NSI=XBOM BSE=XBOM
    KSC=XKRX KOE=XKRX SHH=XSHG SHZ=XSHG TAI=XTAI TWO=XTAI NYB=IEPA FRA=XFRA PAR=XPAR ENX=XPAR MCE=XMAD AMS=XAMS BRU=XBRU LIS=XLIS MIL=XMIL
    EBS=XSWX VIE=XWBO ISE=XDUB OSL=XOSL STO=XSTO CPH=XCSE HEL=XHEL ICE=XICE TAL=XTAL ATH=ASEX WSE=XWAR PRA=XPRA BUD=XBUD IST=XIST TLV=XTAE
    SAU=XSAU JNB=XJSE SET=XBKK SES=XSES KLS=XKLS JKT=XIDX HKG=XHKG ASX=XASX NZE=XNZE MEX=XMEX SAO=BVMF SGO=XSGO BUE=XBUE CCC=24/7 CCY=24/5
    """
)

_ZONES = _table(
    """
    America/New_York=XNYS America/Toronto=XTSE America/Mexico_City=XMEX America/Sao_Paulo=BVMF America/Santiago=XSGO
    America/Buenos_Aires=XBUE America/Argentina/Buenos_Aires=XBUE Europe/London=XLON Europe/Paris=XPAR Europe/Berlin=XETR
    Europe/Madrid=XMAD Europe/Rome=XMIL Europe/Zurich=XSWX Europe/Amsterdam=XAMS Europe/Brussels=XBRU Europe/Lisbon=XLIS Europe/Oslo=XOSL
    Europe/Stockholm=XSTO Europe/Copenhagen=XCSE Europe/Helsinki=XHEL Europe/Vienna=XWBO Europe/Dublin=XDUB Europe/Athens=ASEX
    Europe/Warsaw=XWAR Europe/Prague=XPRA Europe/Budapest=XBUD Europe/Istanbul=XIST Europe/Tallinn=XTAL Atlantic/Reykjavik=XICE
    Asia/Jerusalem=XTAE Asia/Riyadh=XSAU Africa/Johannesburg=XJSE Asia/Kolkata=XBOM Asia/Calcutta=XBOM Asia/Bangkok=XBKK
    Asia/Singapore=XSES Asia/Kuala_Lumpur=XKLS Asia/Jakarta=XIDX Asia/Hong_Kong=XHKG Asia/Shanghai=XSHG Asia/Taipei=XTAI Asia/Seoul=XKRX
    Asia/Tokyo=XTKS Australia/Sydney=XASX Pacific/Auckland=XNZE
    """
)

_BY_MIC = {e.mic: e.calendar for e in (*SUFFIXES.values(), US)}


class Session(NamedTuple):
    """One trading day. Instants are aware UTC; `breaks` is the lunch break.

    A fund's session is the instant of its price: it opens when it closes. Sessions of night markets open on the day before.
    """

    day: date
    opens: datetime
    closes: datetime
    breaks: tuple[datetime, datetime] | None = None


class SessionTable(NamedTuple):
    """The sessions of a calendar with `start <= day < end`: the horizon asked for, cut to what the calendar knows."""

    calendar: str
    start: date
    end: date
    sessions: tuple[Session, ...]
    version: str


def calendar_of(symbol: Symbol, instrument: Instrument | None = None) -> str:
    """The calendar that a symbol trades by: an exchange_calendars code, `24/7`, `24/5`, `FUND:` and a code, or "" when unknown.

    The spelling decides where it can; `instrument`, what a source said, decides the rest.
    """
    kind = instrument.kind.upper() if instrument else ""
    if symbol.kind == "crypto" or kind == "CRYPTOCURRENCY":
        return ALWAYS
    if symbol.kind == "fx" or kind == "CURRENCY":
        return WEEKDAYS
    if symbol.kind == "future":
        return "IEPA" if symbol.ticker in _ICE_US else _known(instrument, by_zone=False) or "CMES"
    base = _INDICES.get(symbol.ticker) or _listed(symbol, instrument)
    is_fund = symbol.kind == "fund" or kind in ("MUTUALFUND", "FUND")
    return FUND + base if base and is_fund and base not in (ALWAYS, WEEKDAYS) else base


def _listed(symbol: Symbol, instrument: Instrument | None) -> str:
    """A suffix names the exchange for certain; a bare ticker is American unless its source knows better."""
    spelled = _BY_MIC.get(symbol.mic or "", "")
    if spelled and symbol.mic != US.mic:
        return spelled
    return _known(instrument) or spelled


def _known(instrument: Instrument | None, *, by_zone: bool = True) -> str:
    if instrument is None:
        return ""
    code = instrument.exchange.upper()
    return _CODES.get(code) or _BY_MIC.get(code) or (_ZONES.get(instrument.zone, "") if by_zone else "")


@lru_cache(maxsize=1)
def _library_version() -> str:
    """Read from the name of the installed metadata: importlib.metadata costs a cached read more than the read itself."""
    from importlib.util import find_spec

    spec = find_spec("exchange_calendars")
    if spec is None or spec.origin is None:
        msg = "the package exchange_calendars is not installed"
        raise ConfigError(msg, "install mdagent again, with its dependencies")
    found = sorted(Path(spec.origin).parent.parent.glob("exchange_calendars-*.dist-info"))
    if found:
        return found[-1].name.removesuffix(".dist-info").partition("-")[2]
    from importlib.metadata import version

    return version("exchange_calendars")


def version_of(calendar: str, closures: Iterable[date] = ()) -> str:
    """What `build` would write into `SessionTable.version`, without building: another one means the table is out of date."""
    import hashlib

    days = sorted(_closed(calendar) | frozenset(closures))
    digest = hashlib.sha256(",".join(d.isoformat() for d in days).encode()).hexdigest()[:12]
    return f"exchange_calendars {_library_version()}, rules {RULES}, closures {digest}"


def _closed(calendar: str) -> frozenset[date]:
    return _CLOSURES.get(calendar.removeprefix(FUND), frozenset())


def build(calendar: str, start: date, end: date, closures: Iterable[date] = ()) -> SessionTable:
    """All sessions with `start <= day < end` but the `closures`. Raises ConfigError for a calendar that nobody knows.

    Give a horizon that reaches past the last week or month of interest, or its end will be taken for that period's end.
    """
    extra = frozenset(closures)
    base = calendar.removeprefix(FUND)
    if base in (ALWAYS, WEEKDAYS):
        found = tuple(_around_the_clock(base, start, end))
    else:
        start, end = _within_bounds(base, start, end)
        found = _from_library(base, start, end)
    if calendar.startswith(FUND):
        found = tuple(Session(s.day, s.closes, s.closes) for s in found)
    closed = _closed(calendar) | extra
    kept = tuple(s for s in found if s.day not in closed)
    return SessionTable(calendar, start, end, kept, version_of(calendar, extra))


def _around_the_clock(calendar: str, start: date, end: date) -> Iterator[Session]:
    """Crypto: UTC days. Spot FX: Monday to Friday, each from 17:00 in New York on the evening before."""
    from zoneinfo import ZoneInfo

    new_york = ZoneInfo("America/New_York")
    for ordinal in range(start.toordinal(), end.toordinal()):
        day = date.fromordinal(ordinal)
        eve = date.fromordinal(ordinal - 1)
        if calendar == ALWAYS:
            opens = datetime.combine(day, time(), UTC)
            yield Session(day, opens, opens + timedelta(days=1))
        elif day.weekday() < 5:
            opens, closes = (datetime.combine(d, time(17), new_york).astimezone(UTC) for d in (eve, day))
            yield Session(day, opens, closes)


def _within_bounds(code: str, start: date, end: date) -> tuple[date, date]:
    """The library refuses days beyond a calendar's knowledge (India: to 2026), so ask for those within."""
    from exchange_calendars.calendar_utils import global_calendar_dispatcher as library

    if code not in library.get_calendar_names():
        msg = f"{code!a} is not a trading calendar"
        raise ConfigError(msg, "use a code of exchange_calendars such as XNYS, or 24/7 or 24/5")
    factory = library._calendar_factories[library.resolve_alias(code)]  # noqa: SLF001 - else the bounds cost building it
    low, high = factory.bound_min(), factory.bound_max()
    start = max(start, low.date()) if low is not None else start
    end = min(end, high.date() + timedelta(days=1)) if high is not None else end
    return start, max(start, end)


@lru_cache(maxsize=4)  # a first build takes half a second, and a process with several stores asks again
def _from_library(code: str, start: date, end: date) -> tuple[Session, ...]:
    import exchange_calendars as xc
    from exchange_calendars.errors import CalendarError

    if start >= end:
        return ()
    # The library refuses windows without a session, or of one day: ask for two months more and cut them off.
    low, high = _within_bounds(code, start - timedelta(days=30), end + timedelta(days=30))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the library's own quarrel with newer pandas
        try:
            table = xc.get_calendar(code, start=low.isoformat(), end=(high - timedelta(days=1)).isoformat()).schedule
        except (NotImplementedError, ValueError, CalendarError) as error:  # Athens and Tel Aviv, with pandas 3
            msg = f"the calendar {code} cannot be built by exchange_calendars {_library_version()}: {str(error)[:80]}"
            raise ConfigError(msg, "install the versions that mdagent's lock names") from error
    days = table.index.to_numpy().astype("datetime64[D]").tolist()
    opens, closes, pauses, resumes = (
        [moment and moment.replace(tzinfo=UTC) for moment in table[name].dt.tz_convert(None).to_numpy().astype("datetime64[us]").tolist()]
        for name in ("open", "close", "break_start", "break_end")
    )
    return tuple(
        Session(day, first, last, (pause, resume) if pause and resume else None)
        for day, first, last, pause, resume in zip(days, opens, closes, pauses, resumes, strict=True)
        if start <= day < end
    )


def expected(sessions: Sequence[Session], interval: Interval, start: datetime, end: datetime) -> list[datetime]:
    """Stamps of the bars that ought to exist in `[start, end)`, ascending: by `sessions`, which are in order of `day`.

    Daily: the session date at 00:00. Weekly: the Monday, monthly: the 1st, of a period that holds a session. Intraday: steps
    from the open, and from the end of the lunch break, while before the close.
    """
    if interval.intraday:
        # A session opens at most a day before its date and closes at most a day after it.
        near = _between(sessions, start.date() - timedelta(days=2), end.date() + timedelta(days=2))
        return [ts for s in near for ts in _stamps(s, interval.seconds) if start <= ts < end]
    return list(dict.fromkeys(_long_stamps(sessions, interval, start, end)))


def any_expected(sessions: Sequence[Session], interval: Interval, start: datetime, end: datetime) -> bool:
    """Ought any bar to exist in `[start, end)`? Told without counting them: the first session that has one is enough."""
    if not interval.intraday:
        return any(True for _ in _long_stamps(sessions, interval, start, end))
    return any(expected((s,), interval, start, end) for s in sessions if s.opens < end and s.closes > start)


def begun_by(sessions: Sequence[Session], now: datetime) -> Sequence[Session]:
    """Those that opened at `now` or before."""
    return sessions[: bisect_right(sessions, now, key=lambda s: s.opens)]


def _long_stamps(sessions: Sequence[Session], interval: Interval, start: datetime, end: datetime) -> Iterator[datetime]:
    first, last = period_of(interval, start)[0], period_of(interval, end)[1]
    for session in _between(sessions, first, last):
        stamp = _midnight(_first_day(interval, session.day))
        if start <= stamp < end:
            yield stamp


def _stamps(session: Session, step: int) -> Iterator[datetime]:
    for opens, closes in stretches(session):
        for n in range(-(-int((closes - opens).total_seconds()) // step)):
            yield opens + timedelta(seconds=n * step)


def stretches(session: Session) -> tuple[tuple[datetime, datetime], ...]:
    """The times of trading within a session: one, or two around the lunch break."""
    if session.breaks is None:
        return ((session.opens, session.closes),)
    return (session.opens, session.breaks[0]), (session.breaks[1], session.closes)


def period_end(sessions: Sequence[Session], interval: Interval, ts: datetime) -> datetime:
    """When the bar stamped `ts` is over: the (last) close of its period; `ts` plus the nominal length where no session fits."""
    nominal = ts + timedelta(seconds=interval.seconds)
    if interval.intraday:
        near = _between(sessions, ts.date() - timedelta(days=2), ts.date() + timedelta(days=2))
        ends = (closes for s in near for opens, closes in stretches(s) if opens <= ts < closes)
        return min(nominal, next(ends, nominal))
    within = _between(sessions, *period_of(interval, ts))
    return within[-1].closes if within else nominal


def period_of(interval: Interval, ts: datetime) -> tuple[date, date]:
    """First day, and first day after, of the day, week or month that holds `ts`."""
    first = _first_day(interval, ts.date())
    if interval is Interval.MO1:
        return first, (first + timedelta(days=31)).replace(day=1)
    return first, first + timedelta(days=7 if interval is Interval.W1 else 1)


def _first_day(interval: Interval, day: date) -> date:
    if interval is Interval.MO1:
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if interval is Interval.W1 else day


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _between(sessions: Sequence[Session], first: date, after: date) -> Sequence[Session]:
    low = bisect_left(sessions, first, key=lambda s: s.day)
    return sessions[low : bisect_left(sessions, after, lo=low, key=lambda s: s.day)]


def last_complete(sessions: Sequence[Session], interval: Interval, now: datetime, delay: timedelta) -> datetime | None:
    """The stamp of the last bar whose period ended at or before `now - delay`; None when `sessions` hold no such bar.

    `delay` is how late a source lets a finished bar change (SourceSpec.delay).
    """
    over = now - delay
    at = bisect_right(sessions, over, key=lambda s: s.opens)
    for session in reversed(sessions[:at]):
        first = _midnight(_first_day(interval, session.day))
        stamps = list(_stamps(session, interval.seconds)) if interval.intraday else [first]
        done = [ts for ts in stamps if period_end(sessions, interval, ts) <= over]
        if done:
            return done[-1]
    return None
