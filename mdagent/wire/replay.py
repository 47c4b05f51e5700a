"""Recorded exchanges as a transport.

A folder of recordings, or each of its sub-folders, holds `recordings.jsonl`: one JSON object a line with `file`, `kind`,
`provenance`, `request` {host, path, query}, `status`, `headers`, and where known `sha256` of the file and `expected` (facts
of the body, among them `first_in_body` and `last_in_body`, rows whose first element is a time).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import httpx

from mdagent.errors import ConfigError
from mdagent.guard.outcome import FailureKind
from mdagent.wire.bounds import failed, plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INDEX: Final = "recordings.jsonl"
KEY: Final = "<KEY>"

Query = dict[str, tuple[str, ...]]
Span = tuple[datetime, datetime]

_KEY_PARTS: Final = tuple("apikey token crumb secret signature password passwd authorization credential sessionid accesskey".split())
_KEY_WHOLE: Final = frozenset({"key", "sig", "auth", "pwd", "pass", "cookie"})
_PAGING: Final = ("pagetoken", "tokenpage")
_NOISE: Final = frozenset(
    "lang region useyfid includeprepost events corsdomain formatted includeadjustedclose newscount quotescount fields "
    "enablefuzzyquery quotesqueryid multiquotequeryid newsqueryid enablecb enablenavlinks enableenhancedtrivialquery "
    "enablelogourl enableresearchreports enableculturalassets listscount source imgheights imglabels".split()
)
_WINDOW: Final = frozenset({"period1", "period2", "range"})
_MUST_EQUAL: Final = frozenset(
    "interval symbol symbols ticker tickers function q query keywords search resolution exchange mic_code "
    "from_symbol to_symbol from_currency to_currency market figi isin cusip".split()
)
_SYMBOL_NAMES: Final = frozenset({"symbol", "symbols", "ticker", "tickers"})
_SAME_INTERVAL: Final = {"60m": "1h", "60min": "1h"}
_INTRADAY: Final = re.compile(r"\d+(m|min|h|s)")
_NOT_SENT: Final = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie"})
_WHOLE_DAY: Final = timedelta(days=1) - timedelta(microseconds=1)
_LEAST_TRUSTED: Final = "edited"
_MILLISECONDS_FROM: Final = 100_000_000_000
_SHORT_SECOND_LEVEL: Final = frozenset({"co", "com", "org", "net", "ac", "gov", "edu"})


@dataclass(frozen=True, slots=True)
class Recording:
    """One line of an index. `span` is from the first to the last row of the body, `window` what was asked for; UTC, or None."""

    file: Path
    kind: str
    provenance: str
    host: str | None
    path: str | None
    query: Query
    status: int
    headers: tuple[tuple[str, str], ...]
    sha256: str | None
    symbol: str | None
    interval: str | None
    span: Span | None
    window: Span | None
    dated: float  # the answer's Date header, epoch seconds; 0 without one


class ReplayTransport(httpx.AsyncBaseTransport):
    """Answers from a folder of recordings; a request with no recording is `WireFailed` NO_DATA, never sent.

    Matched are path, symbol, interval and every parameter that is neither a key nor noise. Among the recordings that fit, the
    one of the very window asked for wins, else the one whose rows cover most of it, else the newest. Raises
    ConfigError for a damaged folder.
    """

    def __init__(self, folder: Path) -> None:
        self._recordings = read_index(folder)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The best recording of that request."""
        found = best_match(self._recordings, request)
        if found is None:
            raise failed(FailureKind.NO_DATA, f"no recording of {request.method} {_described(request.url)}", sent=False)
        return httpx.Response(found.status, headers=list(found.headers), content=_body(found), request=request)


def looks_like_key(name: str) -> bool:
    """Is that the name of a parameter or field that carries a credential?"""
    bare = re.sub(r"[^a-z0-9]", "", name.lower())
    if any(part in bare for part in _PAGING):
        return False
    return bare in _KEY_WHOLE or any(part in bare for part in _KEY_PARTS)


def read_index(folder: Path) -> tuple[Recording, ...]:
    """Every recording of a folder, or of its sub-folders. Raises ConfigError naming file and line."""
    indexes = [folder / INDEX] if (folder / INDEX).is_file() else sorted(folder.glob(f"*/{INDEX}"))
    if not indexes:
        msg = f"replay folder {folder}: it holds no {INDEX}, nor does a folder in it"
        raise ConfigError(msg, "name a folder of recordings")
    return tuple(recording for index in indexes for recording in _lines(index))


def best_match(recordings: Iterable[Recording], request: httpx.Request) -> Recording | None:
    """The recording that answers a request, or None."""
    asked = _query_of(request.url)
    window = _window_of(asked)
    path = request.url.path
    ranked: list[tuple[tuple[bool, bool, float, int, float, str], Recording]] = []
    for recording in recordings:
        if recording.path is None or recording.kind == "other" or not _same_host(recording.host, request.url.host):
            continue
        if not _same_path(recording.path, path):
            continue
        loose = _loose_ends(recording, asked)
        cover = _cover(recording, asked, window)
        if loose is None or cover is None:
            continue
        exact, seconds = cover
        rank = (recording.provenance == _LEAST_TRUSTED, not exact, -seconds, loose, -recording.dated, recording.file.name)
        ranked.append((rank, recording))
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _lines(index: Path) -> list[Recording]:
    try:
        text = index.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{index}: cannot be read ({type(error).__name__})"
        raise ConfigError(msg, "name a folder of recordings") from error
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(_parsed(index.parent, json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            msg = f"{index} line {number}: not a recording ({plain(f'{type(error).__name__}: {error}', 80)})"
            raise ConfigError(msg, "mend or remove that line") from error
    return found


def _parsed(folder: Path, line: dict[str, Any]) -> Recording:
    asked, facts, headers = line["request"], line.get("expected") or {}, line.get("headers") or {}
    name, digest = _text(line["file"]), _text_or_none(line.get("sha256"))
    if "/" in name or "\\" in name or name.startswith("."):
        msg = f"file {name!r} is not a plain name"
        raise ValueError(msg)
    status = line["status"]
    if not isinstance(status, int) or not 100 <= status <= 999:
        msg = f"status {status!r}"
        raise ValueError(msg)
    given = asked.get("query") or {}
    query: Query = {key: tuple(map(_text, value if isinstance(value, list) else [value])) for key, value in given.items()}
    return Recording(
        file=folder / name,
        kind=_text(line["kind"]),
        provenance=str(line.get("provenance") or ""),
        host=_text_or_none(asked.get("host")),
        path=_text_or_none(asked.get("path")),
        query=query,
        status=status,
        headers=tuple((key, _text(value)) for key, value in headers.items() if key.lower() not in _NOT_SENT),
        sha256=digest,
        symbol=_fact(facts, "symbol"),
        interval=_fact(facts, "dataGranularity", "interval"),
        span=_rows(facts),
        window=_window_of(query),
        dated=_dated(headers),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"{value!r} where a text is due"
        raise TypeError(msg)
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _fact(facts: dict[str, Any], *names: str) -> str | None:
    return next((value for name in names if isinstance(value := facts.get(name), str)), None)


def _rows(facts: dict[str, Any]) -> Span | None:
    ends = [facts.get("first_in_body"), facts.get("last_in_body")]
    stamps = [_instant(row[0]) for row in ends if isinstance(row, list) and row]
    known = sorted((stamp for stamp in stamps if stamp is not None), key=lambda pair: pair[0])
    return (known[0][0], known[-1][1]) if known else None


def _instant(value: object) -> Span | None:
    """The first and the last moment that a stamp can mean: a bare date is a whole day."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            moment = datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS_FROM else value, UTC)
            return moment, moment
        moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    whole_day = ":" not in str(value) and moment.time() == time(0)
    return moment, moment + _WHOLE_DAY if whole_day else moment


def _dated(headers: dict[str, str]) -> float:
    text = next((value for name, value in headers.items() if name.lower() == "date"), "")
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _query_of(url: httpx.URL) -> Query:
    return {name: tuple(url.params.get_list(name)) for name in url.params}


def _window_of(query: Query) -> Span | None:
    """[period1, period2) when both are epoch seconds."""
    try:
        start, end = (datetime.fromtimestamp(int(query[name][0]), UTC) for name in ("period1", "period2"))
    except (KeyError, IndexError, ValueError, OverflowError, OSError):
        return None
    return start, end


def _same_host(recorded: str | None, asked: str) -> bool:
    return recorded is None or recorded.lower() == asked.lower() or _domain(recorded) == _domain(asked)


def _domain(host: str) -> tuple[str, ...]:
    labels = host.lower().rstrip(".").split(".")
    country_second_level = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SHORT_SECOND_LEVEL
    return tuple(labels[-3:] if country_second_level or labels[-1].isdigit() else labels[-2:])


def _same_path(recorded: str, asked: str) -> bool:
    mine, theirs = unquote(recorded).split("/"), asked.split("/")
    return len(mine) == len(theirs) and all(part in (other, KEY) for part, other in zip(mine, theirs, strict=True))


def _loose_ends(recording: Recording, asked: Query) -> int | None:
    """How many parameters stand on one side only, or None when one that must agree does not."""
    loose = 0
    for name in {**asked, **recording.query}:
        if looks_like_key(name) or name.lower() in _NOISE or name in _WINDOW:
            continue
        mine, theirs = _meant(name, recording.query.get(name)), _meant(name, asked.get(name))
        if mine is None and name in _MUST_EQUAL:
            mine = _meant(name, _from_facts(recording, name))
        if mine == theirs:
            continue
        if name in _MUST_EQUAL or (mine is not None and theirs is not None):
            return None
        loose += 1
    return loose


def _meant(name: str, values: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if values is None or name != "interval":
        return values
    return tuple(_SAME_INTERVAL.get(value, value) for value in values)


def _from_facts(recording: Recording, name: str) -> tuple[str, ...] | None:
    fact = recording.interval if name == "interval" else recording.symbol if name in _SYMBOL_NAMES else None
    return None if fact is None else (fact,)


def _cover(recording: Recording, asked: Query, window: Span | None) -> tuple[bool, float] | None:
    """(the very window asked for, seconds of it that the recording covers), or None when it is of another time."""
    wanted_range, had_range = asked.get("range"), recording.query.get("range")
    if window is None:
        if wanted_range == had_range:
            return recording.window is None, 0.0
        return (False, 0.0) if had_range is None and recording.window is None else None
    if recording.window == window:
        return True, (window[1] - window[0]).total_seconds()
    held = recording.span or recording.window
    if held is None:
        return (False, 0.0) if had_range is None else None
    if held[0] >= window[1] or held[1] < window[0]:
        return None
    if not _INTRADAY.fullmatch(recording.interval or "".join(asked.get("interval", ""))):  # a daily bar stands for its whole day
        held = _midnight(held[0]), _midnight(held[1]) + timedelta(days=1)
    return False, (min(held[1], window[1]) - max(held[0], window[0])).total_seconds()


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _described(url: httpx.URL) -> str:
    shown = []
    for name, values in _query_of(url).items():
        if name.lower() not in _NOISE:
            shown += [f"{name}={KEY if looks_like_key(name) else value}" for value in values]
    return f"{url.host}{url.path}" + (f"?{'&'.join(shown)}" if shown else "")


def _body(recording: Recording) -> bytes:
    try:
        content = recording.file.read_bytes()
    except OSError as error:
        msg = f"recording {recording.file}: cannot be read ({error.strerror})"
        raise ConfigError(msg, f"mend the folder, or remove its line from {INDEX}") from error
    if recording.sha256 is not None and hashlib.sha256(content).hexdigest() != recording.sha256:
        msg = f"recording {recording.file}: its content is not the one that {INDEX} describes (sha256)"
        raise ConfigError(msg, f"mend the folder, or remove its line from {INDEX}")
    return content
