"""What the commands about single stored bars share: which bar is meant, and is anything of it there?"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from mdagent.errors import NoBars, UsageError
from mdagent.market import Adjustment, BarRequest, Interval, Symbol, parse_instant
from mdagent.sessions import period_of

if TYPE_CHECKING:
    from datetime import datetime

    from mdagent.cli.terminal import Terminal
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader


class Meant(NamedTuple):
    """A bar as it was typed."""

    symbol: Symbol
    interval: Interval
    moment: datetime
    adjustment: Adjustment


def read_stamp(symbol: str, date: str, interval: str, adjust: str = "splits") -> Meant:
    """Raises UsageError."""
    return Meant(Symbol.parse(symbol), Interval.parse(interval), parse_instant(date), Adjustment.parse(adjust))


def request_of(reader: Reader, meant: Meant) -> BarRequest:
    """A request whose window holds that bar and no other."""
    from mdagent.work.explain import stamp_of

    ts = stamp_of(reader, meant.symbol.ticker, meant.interval, meant.moment)
    length = period_of(meant.interval, ts)
    try:
        end = ts + (timedelta(seconds=meant.interval.seconds) if meant.interval.intraday else length[1] - length[0])
        return BarRequest(meant.symbol, meant.interval, ts, end, meant.adjustment)
    except OverflowError:
        msg = f"{ts:%Y-%m-%d} is beyond all bars"
        raise UsageError(msg, "name a day that has been") from None


def need_store(store: BarStore) -> None:
    """Raises NoBars."""
    if not store.exists():
        msg = f"nothing is stored: there is no store at {store.path}"
        raise NoBars(msg, "fetch something first: mdagent fetch AAPL")


def unknown(reader: Reader, symbol: str) -> str:
    """What to say where the store has nothing of a symbol; "" where it has."""
    held = reader.symbols()
    if symbol in held or reader.is_mentioned(symbol):
        return ""
    import difflib

    near = difflib.get_close_matches(symbol, held, 1)
    return f"the store has nothing of {symbol}" + (f": did you mean {near[0]}?" if near else f" (mdagent fetch {symbol} would ask for it)")


def who_decides(told: str | None, terminal: Terminal) -> str:
    """The name that a decision is kept under. Raises UsageError for an empty one."""
    import os
    import pwd

    name = told if told is not None else terminal.environ.get("USER") or terminal.environ.get("LOGNAME")
    if name is None:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = f"user {os.getuid()}"
    name = " ".join(name.split())[:80]
    if not name:
        msg = "--by names nobody"
        raise UsageError(msg, "write who decides, or leave it out")
    return name
