"""What a provider's faults do to one request: refuse it, change what is asked, change what is answered; each in its own format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mdagent.wire.faults.retry_after import told
from mdagent.wire.sandbox.dialects import Reply
from mdagent.wire.sandbox.reshaping import paging_loop, reformatted, reordered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mdagent.wire.faults.kinds import Fault
    from mdagent.wire.sandbox.dialects import Allowance, Ask, Dialect

RETIRED: Final = "retired"  # a plan whose provider is not there any more: nothing answers at its address


class Gone(Exception):
    """Nobody answers at this address."""


@dataclass(frozen=True, slots=True)
class Hour:
    """The time at which a fault strikes, and how many seconds it has been in force."""

    now: datetime
    since: float


def _shortest(windows: tuple[Allowance, ...]) -> Allowance:
    calendar = {"minute": 60.0, "day": 86400.0, "month": 30 * 86400.0}
    return min(windows, key=lambda w: calendar[w.per] if isinstance(w.per, str) else w.per)


def _rate_limited(fault: Fault, dialect: Dialect, ask: Ask, hour: Hour) -> Reply:
    reply = dialect.refuse(ask, _shortest(next(iter(dialect.plans.values()))))
    return replace(reply, headers={**reply.headers, **told(fault, hour.now)})


_CHALLENGE = (
    b'<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body><h1>Checking if you are human</h1>'
    b'<form id="challenge-form" action="/?__cf_chl_f_tk=x" method="POST"></form></body></html>'
)


def _waf(fault: Fault, _dialect: Dialect, _ask: Ask, _hour: Hour) -> Reply:
    return Reply(int(fault.settings["code"]), _CHALLENGE, "text/html; charset=UTF-8", {"server": "cloudflare"})


def _retirement(fault: Fault, dialect: Dialect, _ask: Ask, _hour: Hour) -> Reply:
    if fault.settings["how"] == "gone":
        raise Gone(dialect.name)
    return Reply(410, b"<!DOCTYPE html><html><body><h1>This service has been retired</h1></body></html>", "text/html")


REFUSALS: Final[Mapping[str, Callable[[Fault, Dialect, Ask, Hour], Reply]]] = {
    "retirement": _retirement,
    "waf": _waf,
    "rate_limited": _rate_limited,
    "key_revoked": lambda _fault, dialect, ask, _hour: dialect.refuse(ask, "bad key"),
    "plan_lost": lambda _fault, dialect, ask, _hour: dialect.refuse(ask, "no plan"),
}


def allowed(fault: Fault, windows: tuple[Allowance, ...]) -> tuple[Allowance, ...]:
    """The allowances that a cut leaves."""
    return tuple(replace(window, limit=int(window.limit * float(fault.settings["to"]))) for window in windows)


_IN_PATH: Final = re.compile(r"(/v8/finance/chart/|/aggs/ticker/|/tiingo/daily/|/iex/|/stock/(?=[A-Z]))[^/]+")
_IN_QUERY: Final = ("symbol", "ticker", "symbols")


_NOBODY: Final = "NOSUCH"
_THIRD: Final = "SPY"


def _subject(ask: Ask) -> str:
    """The symbol that a question is about, in the provider's spelling; "" where it is about none."""
    found = _IN_PATH.search(ask.path)
    return found[0].removeprefix(found[1]) if found else next((ask.query[name] for name in _IN_QUERY if name in ask.query), "")


def renamed(ask: Ask, reply: Reply) -> Reply:
    """An answer about nobody, under the name that was asked for."""
    return replace(reply, body=reply.body.replace(_NOBODY.encode(), (_subject(ask) or _NOBODY).encode()))


def _other(fault: Fault, ask: Ask) -> str:
    """The symbol to be mistaken for; a third one where that is the one asked for."""
    symbol: str = fault.settings["symbol"]
    return symbol if symbol != _subject(ask) else _THIRD


def _about(symbol: str, ask: Ask) -> Ask:
    """The same question about something else."""
    query = {name: symbol if name in _IN_QUERY else value for name, value in ask.query.items()}
    return replace(ask, path=_IN_PATH.sub(rf"\g<1>{symbol}", ask.path), query=query)


ASKS: Final[Mapping[str, Callable[[Fault, Ask, Hour], Ask]]] = {
    "wrong_symbol": lambda fault, ask, _: _about(_other(fault, ask), ask),
    "unknown_symbol": lambda _, ask, __: _about(_NOBODY, ask),
    "stale_feed": lambda _, ask, hour: replace(ask, now=ask.now - int(hour.since)),
    "delayed_feed": lambda fault, ask, _: replace(ask, now=ask.now - int(fault.settings["delay"])),
}

REPLIES: Final[Mapping[str, Callable[[Fault, Dialect, Ask, Any], Any]]] = {
    "format_drift": reformatted,
    "unsorted": reordered,
    "paging_loop": paging_loop,
}


def reshaped(fault: Fault, dialect: Dialect, ask: Ask, reply: Reply) -> Reply:
    """The answer in another form; one that is no JSON, or tells an error, is left as it is."""
    if reply.status != 200 or "json" not in reply.content_type:
        return reply
    made = REPLIES[fault.kind](fault, dialect, ask, json.loads(reply.body))
    return replace(reply, body=json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode())
