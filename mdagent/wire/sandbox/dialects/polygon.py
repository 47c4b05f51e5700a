"""Polygon's (Massive's) wire format: an envelope round everything, milliseconds and nanoseconds, pages by `next_url`, refusals by plan."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import numpy as np

from mdagent.wire.sandbox.dialects import Allowance, Dialect, Reply, as_json
from mdagent.wire.sandbox.tickers import familiar, listing
from mdagent.wire.sandbox.view import midnights

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdagent.wire.sandbox.dialects import Ask, Why
    from mdagent.wire.sandbox.tickers import Ticker

HOSTS = ("api.polygon.io", "api.massive.com")
NEW_YORK = "America/New_York"
DAY = 86400
PRICING = "https://massive.com/pricing"
INDICES = {"^GSPC": "I:SPX", "^DJI": "I:DJI", "^IXIC": "I:COMP", "^NDX": "I:NDX", "^VIX": "I:VIX", "^RUT": "I:RUT"}
_YEARS = {"basic": 2, "starter": 5, "developer": 10}
_LATE = {"starter": 900, "developer": 900}
_UNLIMITED = (Allowance(100, 1.0, of="requests"),)


class Refusal(Exception):
    """A request that is answered with an error body: `status` the word in it, text under `error` or `message` as that word has it."""

    def __init__(self, code: int, status: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Question:
    """A request with its query as it is meant: that of the cursor, where there is one. `now` is the latest moment that the plan tells
    of, `clock` what the time really is."""

    path: str
    query: Mapping[str, str]
    origin: str
    plan: str
    clock: int
    now: int
    names: tuple[str, ...] = field(default=())

    def following(self, path: str, query: Mapping[str, str]) -> str:
        """The address of a next page: at the new host, even for who asked at the old one; the key is not in it."""
        cursor = urlsafe_b64encode(urlencode(query).encode()).decode().rstrip("=")
        return f"{self.origin.replace(*HOSTS)}{path}?cursor={cursor}"


def key_in(ask: Ask) -> str:
    """`Authorization: Bearer KEY`, or `apiKey` in the query."""
    scheme, _, key = ask.headers.get("authorization", "").partition(" ")
    return key if scheme == "Bearer" else ask.query.get("apiKey", "")


def refuse(ask: Ask, why: Why) -> Reply:
    """What it says to who has no key, or asks too often: wait to the next minute, but not in a header."""
    if isinstance(why, Allowance):
        text = f"You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue. {PRICING}"
        return _refused(ask, Refusal(429, "ERROR", text))
    if why == "no plan":
        return _refused(ask, Refusal(403, "NOT_AUTHORIZED", f"You are not entitled to this data. Please upgrade your plan at {PRICING}"))
    return _refused(ask, Refusal(401, "ERROR", "API Key was not provided" if why == "no key" else "Unknown API Key"))


def answer(ask: Ask) -> Reply:
    """The reply to any path."""
    from mdagent.wire.sandbox.dialects import polygon_aggs, polygon_lists

    routes = {
        r"/v2/aggs/ticker/([^/]+)/range/(\d+)/(\w+)/([^/]+)/([^/]+)": polygon_aggs.aggregates,
        r"/v2/aggs/grouped/locale/us/market/stocks/([^/]+)": polygon_aggs.grouped,
        r"/v2/snapshot/locale/us/markets/stocks/tickers/([^/]+)": polygon_lists.snapshot,
        r"/v3/reference/tickers": polygon_lists.tickers,
        r"/stocks/v1/(splits)": polygon_lists.splits,
        r"/stocks/v1/(dividends)": polygon_lists.dividends,
        r"/v3/reference/(splits)": polygon_lists.splits,
        r"/v3/reference/(dividends)": polygon_lists.dividends,
        r"/v1/marketstatus/now": polygon_lists.status,
    }
    for pattern, route in routes.items():
        found = re.fullmatch(pattern, ask.path)
        if found:
            try:
                made = route(_question(ask, found.groups()))
            except Refusal as refusal:
                return _refused(ask, refusal)
            return as_json(made if ask.path.startswith("/v1/") else made | {"request_id": _request_id(ask)})
    return Reply(404, b"404 page not found\n", "text/plain")


def _question(ask: Ask, names: tuple[str, ...]) -> Question:
    query, cursor = dict(ask.query), ask.query.get("cursor")
    if cursor:
        try:
            query = dict(parse_qsl(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()))
        except ValueError:
            raise Refusal(400, "ERROR", "cursor: could not be decoded") from None
    now = ask.now - _LATE.get(ask.plan, 0)
    if ask.plan == "basic":
        now = midnight_before(ask.now, NEW_YORK)
    return Question(ask.path, query, ask.origin, ask.plan, ask.now, now, names)


def _refused(ask: Ask, refusal: Refusal) -> Reply:
    where = "message" if refusal.status.startswith("NOT_") else "error"
    return as_json({"status": refusal.status, "request_id": _request_id(ask), where: refusal.text}, refusal.code)


def _request_id(ask: Ask) -> str:
    return blake2b(f"{ask.path} {sorted(ask.query.items())} {ask.now}".encode(), digest_size=16).hexdigest()


def midnight_before(now: int, zone: str) -> int:
    """Epoch seconds at which the day of `now` began there."""
    days = np.datetime64(now, "s").astype("datetime64[D]") + np.arange(-1, 2)
    begins = midnights(zone, days)
    return int(begins[begins <= now][-1])


def check_entitled(question: Question, start: int, end: int, zone: str) -> None:
    """Raises Refusal for a window that begins before the plan's history, or today where the plan tells no day before its end."""
    years = _YEARS.get(question.plan)
    if years and end > start and start < question.clock - (years * 366 + 8) * DAY:
        raise Refusal(403, "NOT_AUTHORIZED", f"Your plan doesn't include this data timeframe. Please upgrade your plan at {PRICING}")
    if question.plan == "basic" and midnight_before(question.clock, zone) <= start <= question.clock:
        text = f"Attempted to request today's data before end of day. Please upgrade your plan at {PRICING}"
        raise Refusal(403, "NOT_AUTHORIZED", text)


def truth_of(name: str) -> Ticker | None:
    """The listing of its spelling, in which case matters; None for what it does not have: funds, futures, other countries."""
    if name.startswith("SYM"):
        return listing(name) if name == name.upper() else None
    return _by_name().get(name)


def known() -> Iterator[tuple[str, Ticker]]:
    """Spelling and listing of all but the generated names."""
    yield from _by_name().items()


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Ticker]:
    return {name: ticker for ticker in familiar() if (name := spelled(ticker))}


def spelled(ticker: Ticker) -> str:
    """Its name for a listing, "" for what it does not have."""
    if ticker.type == "CURRENCY":
        return f"C:{ticker.symbol.removesuffix('=X')}"
    if ticker.type == "CRYPTOCURRENCY":
        return f"X:{ticker.symbol.replace('-', '')}"
    if ticker.type == "INDEX":
        return INDICES.get(ticker.symbol, "")
    return ticker.symbol if ticker.calendar == "XNYS" and ticker.type in ("EQUITY", "ETF") else ""


def page_of(question: Question, rows: list[dict[str, Any]], default: int, most: int) -> dict[str, Any]:
    """One page of a list, and the address of the next."""
    size, begin = limit_of(question, default, most), int(question.query.get("page_marker", "0"))
    made: dict[str, Any] = {"results": rows[begin : begin + size], "status": "OK", "count": len(rows[begin : begin + size])}
    if begin + size < len(rows):
        made["next_url"] = question.following(question.path, {**question.query, "page_marker": str(begin + size)})
    return made


def limit_of(question: Question, default: int, most: int) -> int:
    """The `limit` of the query. Raises Refusal."""
    told = question.query.get("limit", str(default))
    if not told.isdecimal() or not 0 < int(told) <= most:
        raise Refusal(400, "ERROR", f"The 'limit' must be between 1 and {most}.")
    return int(told)


DIALECT = Dialect(
    "polygon",
    HOSTS,
    {
        "basic": (Allowance(5, "minute", of="requests"),),
        "starter": _UNLIMITED,
        "developer": _UNLIMITED,
        "advanced": _UNLIMITED,
    },
    answer,
    refuse,
    key_in,
)
