"""The bad answers of one provider, each with the outcome it must have; words, settings files and stores are in others.py.

Ten daily bars of AAPL for the sessions 2024-01-02 to 2024-01-16 are asked for on 2024-01-17 at 00:00 UTC, unless a case says
otherwise.
"""

# long because: one row for each case, and the table is the specification
from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from mdagent.cli.exits import ExitCode
from mdagent.guard.outcome import Blame
from tests.bad_inputs import chart as c
from tests.bad_inputs.chart import ten
from tests.bad_inputs.stage import NOW, said
from tests.sources.canonical import DAYS, Raw
from tests.wire.nasty import Pause, Reset, answer, chunked, head

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tests.wire.nasty import Step

E = ExitCode


@dataclass(frozen=True)
class Case:
    """One bad answer. `kind` is the failure class, OK or SUSPECT; `requests` those that the provider sees, so two are one retry;
    `grade` is the best letter (without sign) that the window may get; `scripts` are played in turn, the last for ever."""

    id: str
    title: str
    scripts: Sequence[Iterable[Step]]
    kind: str
    exit: ExitCode = E.NO_SOURCE
    stored: int = 0
    quarantined: int = 0
    requests: int = 1
    blame: Blame = Blame.NONE
    refunded: bool = False
    grade: str | None = None
    words: tuple[str, ...] = ()
    now: datetime = NOW
    environ: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.id


def malformed(case: str, title: str, script: Iterable[Step], kind: str = "MALFORMED") -> Case:
    """Nobody can read it: nothing is kept, and it is asked for once more."""
    return Case(case, title, [script], kind, requests=2, blame=Blame.COUNT)


def schema(case: str, title: str, body: bytes) -> Case:
    """Readable, but not what the provider's profile says: refused whole, and not asked for again."""
    return Case(case, title, [said(body)], "SCHEMA", blame=Blame.COUNT_ENDPOINT)


def mismatch(case: str, title: str, body: bytes, *words: str) -> Case:
    """An answer to another question."""
    return Case(case, title, [said(body)], "MISMATCH", blame=Blame.COUNT_DOUBLE, words=words)


def good(case: str, title: str, script: Iterable[Step], grade: str | None = "A", stored: int = 10, **more: object) -> Case:
    """Odd, and still right: all of it is kept."""
    return Case(case, title, [script], "OK", E.OK, stored=stored, grade=grade, **more)  # type: ignore[arg-type]


def spoilt(case: str, title: str, body: bytes, *, stored: int = 9, quarantined: int = 1) -> Case:
    """Some rows cannot be right: they go into quarantine, the rest is kept."""
    return Case(case, title, [said(body)], "BAD_VALUES", E.PARTIAL, stored, quarantined, blame=Blame.QUALITY, grade="B")


def told(case: str, title: str, outcome: tuple[str, ExitCode], script: Iterable[Step], blame: Blame = Blame.NONE) -> Case:
    """The provider says what is wrong, by its status or in the body."""
    return Case(case, title, [script], *outcome, blame=blame)


def blocked(case: str, title: str, kind: str, script: Iterable[Step], *, requests: int = 1) -> Case:
    """Refused for the sake of safety."""
    return Case(case, title, [script], kind, blame=Blame.COUNT_DOUBLE, requests=requests)


class Endless:
    """A chunked body that has no end."""

    def __iter__(self) -> Iterator[Step]:
        yield head("Content-Type: application/json", "Transfer-Encoding: chunked")
        while True:
            yield chunked(b" " * 65536)


class Dripping:
    """A byte every twentieth of a second, always within the time for one read."""

    def __iter__(self) -> Iterator[Step]:
        yield head("Content-Type: application/json", "Content-Length: 1000")
        while True:
            yield b"["
            yield Pause(0.05)


def bomb() -> bytes:
    """300 MiB of zeros as 300 KB of gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    piece = b"0" * (1 << 20)
    first = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + (packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)) * 299


def at(seconds: int) -> str:
    """The time of an HTTP header, so many seconds after NOW."""
    return f"{NOW + timedelta(seconds=seconds):%a, %d %b %Y %H:%M:%S GMT}"


TEN = ten()
COLUMNS = ("open", "high", "low", "close", "volume")
PLAIN = b'{"chart":{"result":[{"meta":{"symbol":"AAPL"},"timestamp":[1704205800,17042'
HTML = b"<!DOCTYPE html><html><title>One moment, please...</title><body>captcha</body></html>"
LATER = [d for n in range(1, 40) if (d := date(2024, 1, 16) + timedelta(days=n)).weekday() < 5 and d != date(2024, 2, 19)][:20]


def name(text: str) -> list[Step]:
    """Ten good bars of a company of that name."""
    return said(ten(c.meta(longName=text, shortName=text)))


def to(place: str, status: str = "302 Found") -> list[Step]:
    """A redirect."""
    return said(b"", f"Location: {place}", status=status)


def limited(*headers: str) -> list[Step]:
    """429, as Yahoo words it."""
    return said(b"Too Many Requests\r\n", *headers, status="429 Too Many Requests", kind="text/plain")


BODY = (
    malformed("PB01", "JSON cut in the middle, its length declared to match", said(PLAIN)),
    malformed("PB02", "fewer bytes than declared", said(PLAIN, length=1000), "TRUNCATED"),
    malformed("PB03", "an HTML page with status 200", said(HTML, kind="text/html")),
    malformed("PB04", "plain text declared as gzip", said(b"hello", "Content-Encoding: gzip")),
    malformed("PB05", "packed twice", said(gzip.compress(gzip.compress(TEN)), "Content-Encoding: gzip, gzip")),
    malformed("PB06", "an empty body", said(b"")),
    schema("PB07", "null", b"null"),
    schema("PB08", "a bare string", b'"Thank you for your interest"'),
    good("PB09", "a byte-order mark first", said(b"\xef\xbb\xbf" + TEN)),
    malformed("PB10", "a byte that is no UTF-8", said(ten(c.meta(longName="A?B")).replace(b"A?B", b"A\xffB"))),
    malformed("PB11", "garbage behind the JSON", said(TEN + b"}}garbage")),
    malformed("PB12", "two documents", said(TEN + TEN)),
    malformed("PB13", "a volume of 5000 digits", said(ten(c.cell("volume", 3, Raw("1" * 5000))))),
    malformed("PB14", "100000 opening brackets", said(b"[" * 100_000)),
    malformed("PB15", "objects nested 20000 deep", said(b'{"a":' * 20_000 + b"1" + b"}" * 20_000)),
    spoilt("PB16", "a key twice, its values differing in one bar", ten(c.twice("close", 3, 1.0))),
    good("PB17", "JSON served as text/plain", said(TEN, kind="text/plain")),
    malformed("PB19", "JSON in a function call", said(b"callback(" + TEN + b");")),
)

VALUES = (
    spoilt("PV01", "NaN as a close", ten(c.cell("close", 3, Raw("NaN")))),
    spoilt("PV02", "-Infinity as a low", ten(c.cell("low", 3, Raw("-Infinity")))),
    spoilt("PV03", "1e400 as a high", ten(c.cell("high", 3, Raw("1e400")))),
    spoilt("PV05", "a thousands comma", ten(c.cell("close", 3, "1,234.50"))),
    spoilt("PV06", "a decimal comma", ten(c.cell("close", 3, "187,15"))),
    Case(
        "PV07", "three of ten closes are words: too many to believe the rest",
        [said(ten(c.cell("close", 2, "N/A"), c.cell("close", 3, "-"), c.cell("close", 4, "")))],
        "BAD_VALUES", E.BELOW_GRADE, blame=Blame.COUNT_ENDPOINT,
    ),
    spoilt("PV08", "null as a close", ten(c.cell("close", 3, None))),
    schema("PV09", "a column one shorter than the stamps", ten(c.shorten("close"))),
    spoilt("PV10", "negative prices", ten(c.prices(3, -1.0))),
    spoilt("PV11", "a low of zero", ten(c.cell("low", 3, 0))),
    spoilt("PV12", "high and low changed over", ten(c.cell("high", 3, 180.25), c.cell("low", 3, 182.75))),
    spoilt("PV13", "a negative volume", ten(c.cell("volume", 3, -5))),
    spoilt("PV14", "true as a volume", ten(c.cell("volume", 3, True))),
    spoilt("PV15", "1e-320 as a low", ten(c.cell("low", 3, Raw("1e-320")))),
    spoilt("PV16", "a high past 2**53", ten(c.cell("high", 3, 9007199254740993))),
    Case("PV17", "one bar a hundred times too high", [said(ten(c.prices(3, 100.0)))], "SUSPECT", E.OK, 10, blame=Blame.QUALITY, grade="C"),
    mismatch("PV18", "pence for a stock that trades in dollars", ten(c.meta(currency="GBX"))),
    schema("PV04/yahoo", "numbers as text, which Yahoo never sends", ten(*(c.cell(n, r, "187.15") for n in COLUMNS for r in range(10)))),
)  # fmt: skip

TIME = (
    good("PT01", "rows out of order", said(ten(c.order(9, 8, 3, 1, 0, 2, 7, 6, 5, 4)))),
    good("PT02", "a bar twice", said(ten(c.more(c.opening(DAYS[3]), like=3)))),
    spoilt("PT03", "a stamp twice with different closes", ten(c.more(c.opening(DAYS[3]), like=3, higher=1.0)), quarantined=2),
    schema("PT04", "milliseconds for seconds", ten(c.stamps(lambda _, t: t * 1000))),
    schema("PT05", "milliseconds among seconds", ten(c.stamps(lambda row, t: t * 1000 if row % 2 else t))),
    spoilt("PT06", "the stamp 0", ten(c.stamp(0, 0))),
    spoilt("PT07", "a stamp of 1969", ten(c.stamp(0, -86400))),
    spoilt("PT08", "a stamp of 2264", ten(c.stamp(9, 9_300_000_000))),
    spoilt("PT09", "the stamp 1e20", ten(c.stamp(9, Raw("1e20")))),
    spoilt("PT10", "a bar two days ahead", ten(c.more(int(NOW.timestamp()) + 2 * 86400)), stored=10),
    spoilt("PT11", "a bar on a Saturday", ten(c.more(c.opening(date(2024, 1, 6)))), stored=10),
    schema("PT12/yahoo", "dates as words, which Yahoo never sends", ten(c.stamps(lambda row, _: DAYS[row].isoformat()))),
    schema("PT13", "dates as 03/04/2024", ten(c.stamps(lambda row, _: f"{DAYS[row]:%d/%m/%Y}"))),
    good("PT14", "twenty sessions more than asked for", said(ten(*(c.more(c.opening(d)) for d in LATER)))),
    mismatch("PT15", "hours for days", ten(c.stamps(lambda row, _: c.opening(DAYS[0]) + 3600 * row))),
    good(
        "PT16", "the last bar's session is still open",
        said(ten(c.more(c.opening(date(2024, 1, 17))), c.meta(regularMarketTime=int(NOW.timestamp()) + 15 * 3600))),
        None, stored=11, now=NOW + timedelta(hours=15), words=("fetch", "AAPL", "--start", "2024-01-02", "--end", "2024-01-18"),
    ),
)  # fmt: skip

SEMANTICS = (
    told("PS01", "no bar in a range with sessions", ("NO_DATA", E.NO_DATA), said(ten(c.no_rows)), Blame.SUCCESS),
    told(
        "PS02", "the provider says that it has none", ("NO_DATA", E.NO_DATA),
        said(c.told_error("Bad Request", "Data doesn't exist for startDate = 1704171600, endDate = 1705467600"), status="400 Bad Request"),
        Blame.SUCCESS,
    ),
    mismatch("PS03", "another symbol", ten(c.meta(symbol="MSFT"))),
    good("PS04", "no symbol in the answer", said(ten(c.meta(symbol=None))), "B"),
    told(
        "PS05", "200 with an unknown symbol inside", ("UNKNOWN_SYMBOL", E.UNKNOWN_SYMBOL),
        said(c.told_error("Not Found", "No data found, symbol may be delisted")), Blame.SUCCESS,
    ),
    told("PS06", "200 with a word on frequency inside", ("RATE_LIMITED", E.QUOTA), said(c.told_error("Too Many Requests", "slow down"))),
    told("PS07", "200 with a 401 inside", ("AUTH", E.KEY), said(c.told_error("Unauthorized", "Invalid Crumb")), Blame.FORCE_OPEN),
    told("PS08", "200 with an unknown key inside", ("AUTH", E.KEY), said(c.told_error("ERROR", "Unknown API Key")), Blame.FORCE_OPEN),
    good(
        "PS10/yahoo", "no series that is adjusted for dividends: Yahoo is not asked for one, its dividends are",
        said(ten(c.unadjusted)), words=("fetch", "AAPL", "--start", "2024-01-02", "--end", "2024-01-17", "--adjust", "all"),
    ),
    schema("PS02/yahoo", "another provider's way to say that there is none", b'{"s":"no_data","nextTime":null}'),
)  # fmt: skip

_HEADERS = [f"X-Filler-{n}: {'x' * 1000}" for n in range(5000)]
QUICK = (("MDAGENT_SOURCES__YAHOO__TIMEOUT__TOTAL", "0.4"),)

TRANSPORT = (
    blocked("TS01", "a redirect to a cloud's metadata", "SECURITY_BLOCK", to("http://169.254.169.254/latest/")),
    blocked("TS02", "a redirect to loopback", "SECURITY_BLOCK", to("http://127.0.0.1:8080/")),
    blocked("TS03", "a redirect to a stranger", "SECURITY_BLOCK", to("https://other.example/", "307 Temporary Redirect")),
    blocked("TS04", "1 GiB declared", "TOO_LARGE", said(b" " * 65536, length=1 << 30)),
    blocked("TS05", "300 KB that unpack to 300 MB", "TOO_LARGE", said(bomb(), "Content-Encoding: gzip")),
    blocked("TS06", "a body without end", "TOO_LARGE", Endless()),
    Case("TS07", "a body that drips", [Dripping()], "TIMEOUT_READ", requests=2, blame=Blame.COUNT, environ=QUICK),
    Case("TS08", "5 MB of headers", [said(TEN, *_HEADERS)], "PROTOCOL", blame=Blame.COUNT),
    Case("TS09", "two lengths that differ", [said(b'{"a":1}', "Content-Length: 9")], "PROTOCOL", blame=Blame.COUNT),
    Case("TS12", "a reset after half the body", [[answer(TEN)[:700], Pause(0.02), Reset()]], "TRUNCATED", requests=2, blame=Blame.COUNT),
    good("TS13", "a cookie", said(TEN, "Set-Cookie: track=1")),
)

STRINGS = (
    good("ST01", "terminal commands in the name", name("\x1b[31mEvil\x1b]52;c;aGk=\x07")),
    good("ST02", "a forged log line in the name", name("X\n2024-01-01 ERROR forged")),
    good("ST03", "a spreadsheet formula as the name", name("=cmd|'/c calc'!A1")),
    good("ST04", "the terminal library's markup in the name", name("[link=http://evil]click[/link]")),
    good("ST05", "SQL as the name", name("x'); DROP TABLE bars;--")),
    told(
        "ST06", "our key in the provider's words", ("AUTH", E.KEY),
        said(b'{"error":"key SECRET123KEY is not allowed"}', status="403 Forbidden"), Blame.FORCE_OPEN,
    ),
    told("ST07", "ten megabytes of words", ("BAD_REQUEST", E.NO_SOURCE), said(b"E" * 10_000_000, status="400 Bad", kind="text/plain")),
)  # fmt: skip

SERVER_LIMITS = (
    told("LS01", "429 that says no time", ("RATE_LIMITED", E.QUOTA), limited()),
    told("LS02", "429 for 7 s", ("RATE_LIMITED", E.QUOTA), limited("Retry-After: 7")),
    told("LS03", "429 until a time 90 s ahead", ("RATE_LIMITED", E.QUOTA), limited(f"Retry-After: {at(90)}", f"Date: {at(0)}")),
    told("LS04", "429 for 31 years", ("RATE_LIMITED", E.QUOTA), limited("Retry-After: 999999999")),
    told("LS05", "429 for -5 s", ("RATE_LIMITED", E.QUOTA), limited("Retry-After: -5")),
    told("LS06", "429 for 'soon'", ("RATE_LIMITED", E.QUOTA), limited("Retry-After: soon")),
    told("LS07", "503 for 30 s", ("SERVER_ERROR", E.NO_SOURCE), said(b"", "Retry-After: 30", status="503 Busy"), Blame.COUNT),
    good("LS08", "nothing left of the quota, on a good answer",
         said(TEN, "X-RateLimit-Remaining: 0", f"X-RateLimit-Reset: {int(NOW.timestamp()) + 40}")),
    told("LS09", "401", ("AUTH", E.KEY), said(b"", status="401 Unauthorized"), Blame.FORCE_OPEN),
    told("LS10", "403 for lack of a plan", ("PLAN_LIMIT", E.NO_SOURCE),
         said(b'{"message":"Your plan does not include this data timeframe"}', status="403 Forbidden")),
    told("LS11", "402", ("PLAN_LIMIT", E.NO_SOURCE), said(b"", status="402 Payment Required")),
    Case("LS12", "500, then a good answer", [said(b"", status="500"), said(TEN)], "SERVER_ERROR", E.OK, 10, requests=2, blame=Blame.COUNT),
    told("LS13", "the status 999", ("UNEXPECTED_STATUS", E.NO_SOURCE), said(b"", status="999 Request denied"), Blame.COUNT),
)  # fmt: skip

ANSWERS: tuple[Case, ...] = (*BODY, *VALUES, *TIME, *SEMANTICS, *TRANSPORT, *STRINGS, *SERVER_LIMITS)
TLS = (
    Case("TS10", "a certificate that has expired", [said(TEN)], "TLS_FAIL", requests=0, blame=Blame.COUNT_DOUBLE, refunded=True),
    Case("TS11", "a certificate of another host", [said(TEN)], "TLS_FAIL", requests=0, blame=Blame.COUNT_DOUBLE, refunded=True),
)

NOT_YET = {
    "PB18": "no source answers CSV yet",
    "PV04": "no source sends numbers as text yet; in Yahoo's profile they are a breach of its schema (PV04/yahoo)",
    "PT12": "no source sends dates as words yet; in Yahoo's profile they are a breach of its schema (PT12/yahoo)",
    "PS09": "Yahoo's charts bear no mark of delayed data; Polygon's do, see the contract of sources",
    "PS10": "Yahoo's charts bear no mark of their basis; Polygon's do, see the contract of sources",
    "PP01": "no source answers in pages yet",
    "PP02": "no source answers in pages yet",
    "PP03": "no source answers in pages yet",
    "PP04": "no source answers in pages yet",
    "CS08": "budgets and plans come with the limiter",
    "CA10": "a backfill that is stopped is told by real processes (tests/processes/test_backfill.py)",
    "AP01": "there is no HTTP API yet",
    "AP02": "there is no HTTP API yet",
    "AP03": "there is no HTTP API yet",
    "AP04": "there is no HTTP API yet",
    "AP05": "there is no HTTP API yet",
}
