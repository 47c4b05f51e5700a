"""Alpha Vantage's wire format: one path, texts for numbers, newest first, and every refusal with status 200.

A free key sees finished days; an entitled one sees shares fifteen minutes late. Currencies and crypto are up to the minute."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from mdagent.wire.sandbox.dialects import Allowance, Dialect, Reply, as_json
from mdagent.wire.sandbox.tickers import familiar, listing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mdagent.wire.sandbox.dialects import Ask, Why
    from mdagent.wire.sandbox.tickers import Ticker

_SITE = "https://www.alphavantage.co"
_SUBSCRIBE = f"You may subscribe to any of the premium plans at {_SITE}/premium/ to instantly unlock all premium"
_EASTERN = ZoneInfo("America/New_York")
_PLANS: dict[str, tuple[Allowance, ...]] = {
    "free": (Allowance(1, 1.0, of="requests"), Allowance(25, "day", "America/New_York", of="requests")),
    **{f"premium{n}": (Allowance(n, 60.0, of="requests"),) for n in (75, 150, 300, 600, 1200)},
}
_SHARES = ("EQUITY", "ETF", "MUTUALFUND")
_PLACES = {
    ".LON": ".L",
    ".DEX": ".DE",
    ".PAR": ".PA",
    ".AMS": ".AS",
    ".BSE": ".BO",
    ".TRT": ".TO",
    ".TRV": ".V",
    ".SHH": ".SS",
    ".SHZ": ".SZ",
}


class Refused(Exception):
    """An answer that is a message; `key` is what it stands under."""

    def __init__(self, key: str, words: str) -> None:
        super().__init__(words)
        self.key = key
        self.words = words


def invalid(function: str) -> Refused:
    """A bad symbol and a bad parameter are one to them."""
    return Refused("Error Message", f"Invalid API call. Please retry or visit the documentation ({_SITE}/documentation/) for {function}.")


def premium(words: str) -> Refused:
    """What the plan does not include."""
    return Refused("Information", f"Thank you for using Alpha Vantage! {words} {_SUBSCRIBE} endpoints")


def refuse(ask: Ask, why: Why) -> Reply:
    """What is said to a client without a key, with a bad one, or over a limit; the daily one repeats the key."""
    key = ask.query.get("apikey", "")
    if key == "demo":
        words = f"The **demo** API key is for demo purposes only. Please claim your free API key at ({_SITE}/support/#api-key)."
        return as_json({"Information": words})
    if why == "no plan":
        return as_json({"Information": premium("This is a premium endpoint.").words})
    if isinstance(why, str):
        words = f"the parameter apikey is invalid or missing. Please claim your free API key on ({_SITE}/support/#api-key)."
        return as_json({"Error Message": words})
    if why.per == "day":
        words = (
            f"We have detected your API key as {key} and our standard API rate limit is {why.limit} requests per day. Please subscribe "
            f"to any of the premium plans at {_SITE}/premium/ to instantly remove all daily rate limits."
        )
    elif why.per == 1.0:
        words = (
            "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly "
            f"({why.limit} request per second). You may subscribe to any of the premium plans at {_SITE}/premium/ to lift the free key "
            "rate limit (25 requests per day), raise the per-second burst limit, and instantly unlock all premium endpoints"
        )
    else:
        words = f"Thank you for using Alpha Vantage! Your plan allows {why.limit} requests per minute. See {_SITE}/premium/."
    return as_json({"Information": words})


def answer(ask: Ask) -> Reply:
    """The reply to any function."""
    if ask.path != "/query":
        return Reply(404, b"<h1>Not Found</h1>", "text/html")
    function = ask.query.get("function", "").upper()
    answered = _FUNCTIONS.get(function)
    if answered is None:
        return as_json({"Error Message": f"This API function ({function[:40]}) does not exist."})
    try:
        return as_json(answered(ask, function))
    except Refused as refused:
        return as_json({refused.key: refused.words})


def pays(ask: Ask) -> bool:
    """Is the key of a premium plan?"""
    return ask.plan != "free"


def now_of(ask: Ask) -> int:
    """What time it is for shares: late where entitled, else the end of the last extended session."""
    wish = ask.query.get("entitlement")
    if wish and not pays(ask):
        msg = f"The entitlement={wish[:20]} parameter value is a premium feature."
        raise premium(msg)
    if wish == "realtime":
        return ask.now
    if wish == "delayed":
        return ask.now - 900
    return last_evening(ask)


def last_evening(ask: Ask) -> int:
    """20:00 in New York, when it last was."""
    local = datetime.fromtimestamp(ask.now, _EASTERN)
    evening = local.replace(hour=20, minute=0, second=0, microsecond=0)
    return int((evening if evening <= local else evening - timedelta(days=1)).timestamp())


def _share(ask: Ask) -> Ticker | None:
    """The share of their spelling: BRK-B or BRK.B, BAC-P-L, VOD.LON."""
    symbol = ask.query.get("symbol", "").upper()
    stem, dot, suffix = symbol.rpartition(".")
    if dot + suffix in _PLACES:
        symbol = stem + _PLACES[dot + suffix]
    else:
        symbol = re.sub(r"\A([A-Z]{1,5})[-.]([A-K])\Z", r"\1.\2", re.sub(r"-P-([A-Z])\Z", r"-P\1", symbol))
        if re.search(r"\.([L-Z]|..+)\Z", symbol):
            return None
    found = listing(symbol)
    return found if found is not None and found.type in _SHARES else None


def known(ask: Ask, function: str) -> Ticker:
    """The share asked for. Raises Refused."""
    found = _share(ask)
    if found is None:
        raise invalid(function)
    return found


def _spelled(ticker: Ticker) -> str | None:
    """Their spelling of a listing, None where they have it not."""
    if ticker.type not in _SHARES:
        return None
    stem, dot, suffix = ticker.symbol.rpartition(".")
    if not dot or (ticker.currency == "USD" and len(suffix) == 1):
        return ticker.symbol.replace(".", "-")
    code = next((theirs for theirs, ours in _PLACES.items() if ours == dot + suffix), None)
    return stem + code if code else None


def places_of(ticker: Ticker) -> int:
    """Decimals of its prices."""
    return max(4, ticker.price_hint + 2)


def _quote(ask: Ask, function: str) -> dict[str, Any]:
    from mdagent.wire.sandbox import series

    del function
    now, ticker = now_of(ask), _share(ask)
    title = "Global Quote" + (" - DATA DELAYED BY 15 MINUTES" if ask.query.get("entitlement") == "delayed" else "")
    bars = series.daily(series.at(ticker, now), "raw").traded if ticker else None
    if ticker is None or bars is None or len(bars) < 2:
        return {title: {}}
    p = places_of(ticker)
    last, before = float(bars.close[-1]), float(bars.close[-2])
    fields = {
        "symbol": ask.query["symbol"],
        **{name: f"{getattr(bars, name)[-1]:.{p}f}" for name in ("open", "high", "low")},
        "price": f"{last:.{p}f}",
        "volume": f"{bars.volume[-1]:.0f}",
        "latest trading day": str(bars.day[-1]),
        "previous close": f"{before:.{p}f}",
        "change": f"{last - before:.{p}f}",
        "change percent": f"{100 * (last / before - 1) if before else 0.0:.4f}%",
    }
    return {title: _numbered(fields, 2)}


def _rate(ask: Ask, function: str) -> dict[str, Any]:
    from mdagent.wire.sandbox import series

    base, against = (ask.query.get(name, "").upper() for name in ("from_currency", "to_currency"))
    ticker = listing(f"{base}{against}=X") or listing(f"{base}-{against}")
    if ticker is None:
        raise invalid(function)
    price = series.at(ticker, ask.now).price
    fields = {
        "From_Currency Code": base,
        "From_Currency Name": base,
        "To_Currency Code": against,
        "To_Currency Name": against,
        "Exchange Rate": f"{price:.8f}",
        "Last Refreshed": f"{datetime.fromtimestamp(ask.now, UTC):%Y-%m-%d %H:%M:%S}",
        "Time Zone": "UTC",
        "Bid Price": f"{price * 0.99999:.8f}",
        "Ask Price": f"{price * 1.00001:.8f}",
    }
    return {"Realtime Currency Exchange Rate": _numbered(fields)}


def _numbered(fields: Mapping[str, str], width: int = 1) -> dict[str, str]:
    return {f"{i:0{width}}. {name}": value for i, (name, value) in enumerate(fields.items(), 1)}


_REGIONS = {"L": "United Kingdom", "DE": "XETRA", "PA": "Paris", "AS": "Amsterdam", "TO": "Toronto"}
_TYPES = {"EQUITY": "Equity", "ETF": "ETF", "MUTUALFUND": "Mutual Fund"}


def _search(ask: Ask, function: str) -> dict[str, Any]:
    words = ask.query.get("keywords", "").strip().upper()
    if not words:
        raise invalid(function)
    hits = [(score, t, name) for t in familiar() if (name := _spelled(t)) and (score := _score(words, t, name))]
    hits.sort(key=lambda hit: (-hit[0], hit[2]))
    return {"bestMatches": [_match(*hit) for hit in hits[:10]]}


def _score(words: str, ticker: Ticker, name: str) -> float:
    if words in (name, ticker.symbol):
        return 1.0
    if name.startswith(words):
        return 0.8
    title = ticker.name.upper()
    return 0.7 if title.startswith(words) else 0.5 if words in title else 0.0


def _match(score: float, ticker: Ticker, name: str) -> dict[str, str]:
    fields = {
        "symbol": name,
        "name": ticker.name,
        "type": _TYPES[ticker.type],
        "region": _REGIONS.get(ticker.symbol.rpartition(".")[2], "United States"),
        "marketOpen": "09:30",
        "marketClose": "16:00",
        "timezone": "UTC-05",
        "currency": "GBX" if ticker.currency == "GBp" else ticker.currency,
        "matchScore": f"{score:.4f}",
    }
    return _numbered(fields)


_MARKETS = (  # region, exchanges, calendar, opening, close
    ("United States", "NASDAQ, NYSE, AMEX, BATS", "XNYS", "09:30", "16:15"),
    ("Canada", "Toronto, Toronto Ventures", "XTSE", "09:30", "16:00"),
    ("United Kingdom", "London", "XLON", "08:00", "16:30"),
    ("France", "Paris", "XPAR", "09:00", "17:30"),
)


def _markets(ask: Ask, function: str) -> dict[str, Any]:
    from mdagent.wire.sandbox.market import hours

    del function
    rows = []
    for region, exchanges, calendar, opening, close in _MARKETS:
        table = hours(calendar)
        is_open = bool(((table.opens <= ask.now) & (ask.now < table.closes)).any())
        rows.append(_market("Equity", region, exchanges, (opening, close), is_open=is_open))
    rows.append(_market("Cryptocurrency", "Global", "Global", ("00:00", "23:59"), is_open=True))
    return {"endpoint": "Global Market Open & Close Status", "markets": rows}


def _market(kind: str, region: str, exchanges: str, times: tuple[str, str], *, is_open: bool) -> dict[str, str]:
    return {
        "market_type": kind,
        "region": region,
        "primary_exchanges": exchanges,
        "local_open": times[0],
        "local_close": times[1],
        "current_status": "open" if is_open else "closed",
        "notes": "",
    }


def _actions(ask: Ask, function: str) -> dict[str, Any]:
    from mdagent.wire.sandbox import series

    ticker = _share(ask)
    if ticker is None:
        return {}
    told = [a for a in series.actions(series.at(ticker, last_evening(ask))) if (a.kind == "split") == (function == "SPLITS")]
    if function == "SPLITS":
        rows = [{"effective_date": str(a.day), "split_factor": f"{a.new / a.old:.10g}"} for a in told]
    else:
        undated = dict.fromkeys(("declaration_date", "record_date", "payment_date"), "None")
        rows = [{"ex_dividend_date": str(a.day)} | undated | {"amount": f"{a.amount:.10g}"} for a in told]
    return {"symbol": ask.query["symbol"], "data": rows[::-1]}


def _series(name: str) -> Callable[[Ask, str], dict[str, Any]]:
    """A function of `alphavantage_series`, loaded when it is asked for."""

    def answered(ask: Ask, function: str) -> dict[str, Any]:
        from mdagent.wire.sandbox.dialects import alphavantage_series

        made: dict[str, Any] = getattr(alphavantage_series, name)(ask, function)
        return made

    return answered


_FUNCTIONS: dict[str, Callable[[Ask, str], dict[str, Any]]] = {
    "TIME_SERIES_INTRADAY": _series("intraday"),
    "TIME_SERIES_DAILY": _series("daily"),
    "TIME_SERIES_DAILY_ADJUSTED": _series("daily"),
    **{f"TIME_SERIES_{word}{end}": _series("periods") for word in ("WEEKLY", "MONTHLY") for end in ("", "_ADJUSTED")},
    **{f"{who}_{word}": _series("pair_series") for who in ("FX", "DIGITAL_CURRENCY") for word in ("DAILY", "WEEKLY", "MONTHLY")},
    "FX_INTRADAY": _series("pair_intraday"),
    "CRYPTO_INTRADAY": _series("pair_intraday"),
    "GLOBAL_QUOTE": _quote,
    "CURRENCY_EXCHANGE_RATE": _rate,
    "SYMBOL_SEARCH": _search,
    "MARKET_STATUS": _markets,
    "SPLITS": _actions,
    "DIVIDENDS": _actions,
}

DIALECT = Dialect("alphavantage", ("www.alphavantage.co",), _PLANS, answer, refuse, key_in=lambda ask: ask.query.get("apikey", ""))
