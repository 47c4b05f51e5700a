"""The bad answers that every provider might give, each with what it must come to; how they are written is each format's matter.

Ten daily bars of AAPL are asked for on 2024-01-17 at 00:00 UTC, unless a case says otherwise. `needs` names what a format must be
able to say; one that `lacks` it is excused with its own reason. What happens below the body is in `tests/bad_inputs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple

from mdagent.cli.exits import ExitCode
from mdagent.market import COLUMNS
from tests.sources import canonical as c
from tests.sources.canonical import LATER, NOW, Instant, Odd, Raw, Told, Twice, opening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.sources.canonical import Change, Format

E = ExitCode
OPEN_SESSION = datetime(2024, 1, 17, 15, tzinfo=UTC)
ELSEWHERE = "https://evil.example/steal"


class Outcome(NamedTuple):
    """`kind` is a failure class, OK, SUSPECT, or BAD_VALUES where rows were put aside; `grade` is the best letter that the window may
    get; no `exit` where the code follows from more than the answer."""

    kind: str
    stored: int = 0
    quarantined: int = 0
    exit: ExitCode | None = E.NO_SOURCE
    grade: str | None = None


@dataclass(frozen=True)
class Case:
    """One bad answer, or several in turn."""

    id: str
    title: str
    said: Callable[[Format], Sequence[Told]]
    due: Outcome
    needs: str = ""
    now: datetime = NOW
    end: datetime = datetime(2024, 1, 17, tzinfo=UTC)
    flagged: bool = False  # asked in the basis that the answer will not have
    requests: int = 1

    def __str__(self) -> str:
        return self.id

    def why_not(self, form: Format) -> str:
        """The reason why that format cannot say this; "" where it can."""
        return form.excused.get(self.id) or next((form.lacks[need] for need in self.needs.split() if need in form.lacks), "")


def ten(*changes: Change) -> Callable[[Format], Sequence[Told]]:
    """The ten bars, changed."""
    return lambda form: [Told(200, form.write(*changes))]


def raw(made: Callable[[bytes], bytes]) -> Callable[[Format], Sequence[Told]]:
    """The body of the ten bars, tampered with."""
    return lambda form: [Told(200, made(form.write()))]


def body(content: bytes, status: int = 200) -> Callable[[Format], Sequence[Told]]:
    """The same bytes from every provider."""
    return lambda _: [Told(status, content)]


def words(name: str) -> Callable[[Format], Sequence[Told]]:
    """What the provider says for that."""
    return lambda form: [form.says[name]]


def malformed(case: str, title: str, said: Callable[[Format], Sequence[Told]], needs: str = "") -> Case:
    return Case(case, title, said, Outcome("MALFORMED"), needs)


def schema(case: str, title: str, said: Callable[[Format], Sequence[Told]], needs: str = "") -> Case:
    return Case(case, title, said, Outcome("SCHEMA"), needs)


def mismatch(case: str, title: str, said: Callable[[Format], Sequence[Told]], needs: str = "", *, flagged: bool = False) -> Case:
    return Case(case, title, said, Outcome("MISMATCH"), needs, flagged=flagged)


def good(case: str, title: str, said: Callable[[Format], Sequence[Told]], needs: str = "", grade: str | None = "A") -> Case:
    return Case(case, title, said, Outcome("OK", 10, 0, E.OK, grade), needs)


def spoils(case: str, title: str, *changes: Change, stored: int = 9, quarantined: int = 1, needs: str = "") -> Case:
    """Some rows cannot be right: they are put aside, the rest is kept."""
    return Case(case, title, ten(*changes), Outcome("BAD_VALUES", stored, quarantined, E.PARTIAL, "B"), needs)


def named(text: str) -> Callable[[Format], Sequence[Told]]:
    return ten(c.about(name=text))


def hours(form: Format) -> Sequence[Told]:
    """Ten rows an hour apart."""
    first = opening(c.DAYS[0])
    return [Told(200, form.write(c.by_the_hour, *(c.cell("stamp", row, Instant(first + 3600 * row, hour=True)) for row in range(10))))]


def seconds(form: Format) -> Callable[[object], object]:
    """Stamps in the unit that the format does not use."""
    return lambda stamp: form.other_unit(form.stamp(stamp)) if form.other_unit else stamp  # type: ignore[arg-type]


def odd_rows(form: Format) -> Sequence[Change]:
    return [c.cell("stamp", row, seconds(form)(c.DAYS[row])) for row in range(1, 10, 2)]


def page(*rows: int, after: str) -> Callable[[Format], Sequence[Told]]:
    return lambda form: [Told(200, form.write(c.only(*rows), c.following(after)))]


def pages_without_end(form: Format) -> Sequence[Told]:
    return [Told(200, form.write(c.only(), c.following(f"cursor:{n}"))) for n in range(300)]


BODY = (
    malformed("PB01", "JSON cut in the middle", raw(lambda b: b[: len(b) // 2])),
    malformed("PB03", "an HTML page with status 200", body(b"<!DOCTYPE html><title>Just a moment...</title>")),
    malformed("PB06", "an empty body", body(b"")),
    schema("PB07", "null", body(b"null")),
    schema("PB08", "a bare string", body(b'"Thank you for using our service"')),
    good("PB09", "a byte-order mark first", raw(lambda b: b"\xef\xbb\xbf" + b)),
    malformed("PB10", "a byte that is no UTF-8", raw(lambda b: b.replace(b'"', b'"\xff', 1))),
    malformed("PB11", "garbage behind the JSON", raw(lambda b: b + b"}}garbage")),
    malformed("PB12", "two documents", raw(lambda b: b + b)),
    malformed("PB13", "a volume of 5000 digits", ten(c.cell("volume", 3, Raw("1" * 5000)))),
    malformed("PB14", "100000 opening brackets", body(b"[" * 100_000)),
    malformed("PB15", "objects nested 20000 deep", body(b'{"a":' * 20_000 + b"1" + b"}" * 20_000)),
    spoils("PB16", "a key twice, its values differing in one bar", c.cell("close", 3, Twice(187.1, 1.0))),
    good("PB17", "JSON served as text/plain", lambda form: [Told(200, form.write())]),
    malformed("PB19", "JSON in a function call", raw(lambda b: b"callback(" + b + b");")),
)

VALUES = (
    spoils("PV01", "NaN as a close", c.cell("close", 3, Odd("NaN"))),
    spoils("PV02", "-Infinity as a low", c.cell("low", 3, Odd("-Infinity"))),
    spoils("PV03", "1e400 as a high", c.cell("high", 3, Odd("1e400"))),
    good("PV04", "all numbers as plain decimal texts", ten(), "texts"),
    schema("PV04/numbers", "all numbers as texts where numbers are due", ten(*(c.every(name, str) for name in COLUMNS)), "numbers"),
    spoils("PV05", "a thousands comma", c.cell("close", 3, "1,234.50")),
    spoils("PV06", "a decimal comma", c.cell("close", 3, "187,15")),
    Case("PV07", "N/A, a dash and nothing as closes", ten(*(c.cell("close", 2 + n, text) for n, text in enumerate(("N/A", "-", "")))),
         Outcome("BAD_VALUES", exit=E.BELOW_GRADE)),
    spoils("PV08", "null as a close", c.cell("close", 3, None)),
    schema("PV09", "columns of unequal length", lambda form: [Told(200, _shortened(form.write()))], "columns"),
    spoils("PV10", "negative prices", c.times(3, -1.0)),
    spoils("PV11", "a low of 0", c.cell("low", 3, 0)),
    spoils("PV12", "a high below the low", c.swapped),
    spoils("PV13", "a volume of -5", c.cell("volume", 3, -5)),
    spoils("PV14", "true as a volume", c.cell("volume", 3, True)),
    spoils("PV15", "1e-320 as a low", c.cell("low", 3, Odd("1e-320"))),
    spoils("PV16", "a high past 2**53", c.cell("high", 3, 9007199254740993)),
    Case("PV17", "one bar a hundred times too high", ten(c.times(3, 100.0)), Outcome("SUSPECT", 10, 0, E.OK, "C")),
    mismatch("PV18", "pence for a stock that trades in dollars", ten(c.about(currency="GBX")), "currency"),
)  # fmt: skip

TIME = (
    good("PT01", "rows out of order", ten(c.shuffled)),
    good("PT02", "a bar twice", ten(c.more(c.DAYS[3], like=3))),
    spoils("PT03", "a stamp twice with different closes", c.more(c.DAYS[3], like=3, higher=1.0), quarantined=2),
    schema("PT04", "all stamps in another unit", lambda form: [Told(200, form.write(c.every("stamp", seconds(form))))], "unit"),
    schema("PT05", "some stamps in another unit", lambda form: [Told(200, form.write(*odd_rows(form)))], "unit"),
    spoils("PT06", "the stamp 0", c.cell("stamp", 0, Instant(0))),
    spoils("PT07", "a stamp of 1969", c.cell("stamp", 0, Instant(-86400))),
    spoils("PT08", "a stamp of 2264", c.cell("stamp", 9, Instant(9_300_000_000))),
    spoils("PT09", "the stamp 1e20", c.cell("stamp", 9, Instant(1e20))),
    spoils("PT10", "a bar two days ahead", c.more(date(2024, 1, 19)), stored=10),
    spoils("PT11", "a bar on a Saturday", c.more(date(2024, 1, 6)), stored=10),
    good("PT12", "dates without a zone", ten(), "words"),
    schema("PT12/instants", "dates as words where instants are due", ten(c.every("stamp", c.iso)), "instants"),
    schema("PT13", "dates as 03/04/2024", ten(c.every("stamp", lambda day: f"{day:%d/%m/%Y}"))),
    good("PT14", "twenty sessions more than asked for", ten(*(c.more(day) for day in LATER))),
    mismatch("PT15", "hours for days", hours),
    Case("PT16", "the last bar's session is still open", ten(c.more(date(2024, 1, 17))), Outcome("OK", 11, 0, E.OK),
         now=OPEN_SESSION, end=datetime(2024, 1, 18, tzinfo=UTC)),
)  # fmt: skip

SEMANTICS = (
    Case("PS01", "no bar in a range with sessions", ten(c.only()), Outcome("NO_DATA", exit=E.NO_DATA)),
    Case("PS02", "the provider says that it has none", words("no data"), Outcome("NO_DATA", exit=E.NO_DATA)),
    mismatch("PS03", "another symbol", ten(c.about(symbol="MSFT")), "symbol"),
    good("PS04", "no symbol in the answer", ten(c.about(symbol=None)), "symbol", "B"),
    Case("PS05", "an unknown symbol", words("unknown symbol"), Outcome("UNKNOWN_SYMBOL", exit=E.UNKNOWN_SYMBOL)),
    Case("PS06", "a word on frequency", words("throttle"), Outcome("RATE_LIMITED", exit=E.QUOTA)),
    Case("PS07", "a key that is not accepted", words("bad key"), Outcome("AUTH", exit=E.KEY)),
    Case("PS08", "a key that nobody knows", words("unknown key"), Outcome("AUTH", exit=E.KEY)),
    good("PS09", "delayed, and good bars", ten(c.late), "late", "B"),
    mismatch("PS10", "another basis than asked for", ten(c.unadjusted), "basis", flagged=True),
)

PAGING = (
    Case("PP01", "a next page that is this one", page(*range(10), after="self"), Outcome("SCHEMA", 10, exit=None), "pages", requests=2),
    Case("PP02", "a next page at a stranger's", page(*range(10), after=ELSEWHERE), Outcome("SECURITY_BLOCK", 10, exit=None), "pages"),
    Case("PP03", "empty pages without end", pages_without_end, Outcome("SCHEMA", exit=None), "pages", requests=200),
    Case("PP04", "a page, then 500", lambda form: [*page(*range(5), after="cursor:1")(form), Told(500, b"")],
         Outcome("SERVER_ERROR", 5, exit=None), "pages", requests=2),
)  # fmt: skip

STRINGS = (
    good("ST01", "terminal commands in the name", named("\x1b[31mEvil\x1b]52;c;aGk=\x07"), "name"),
    good("ST02", "a forged log line in the name", named("X\n2024-01-01 ERROR forged"), "name"),
    good("ST03", "a spreadsheet formula as the name", named("=cmd|'/c calc'!A1"), "name"),
    good("ST04", "a terminal library's markup in the name", named("[link=http://evil]click[/link]"), "name"),
    good("ST05", "SQL as the name", named("x'); DROP TABLE bars;--"), "name"),
    Case("ST06", "our key in the provider's words", body(b'{"error":"key SECRET123KEY is not allowed"}', 403), Outcome("AUTH", exit=E.KEY)),
    Case("ST07", "ten megabytes of words", body(b"E" * 10_000_000, 400), Outcome("BAD_REQUEST")),
)  # fmt: skip

STATUSES = (
    Case("LS01", "429", body(b"", 429), Outcome("RATE_LIMITED", exit=E.QUOTA)),
    Case("LS07", "503", body(b"", 503), Outcome("SERVER_ERROR")),
    Case("LS09", "401", body(b"", 401), Outcome("AUTH", exit=E.KEY)),
    Case(
        "LS10", "403 for lack of a plan", body(b'{"message":"Your plan does not include this data timeframe"}', 403), Outcome("PLAN_LIMIT")
    ),
    Case("LS10/own", "the provider's own words for lack of a plan", words("plan"), Outcome("PLAN_LIMIT"), "plan"),
    Case("LS11", "402", body(b"", 402), Outcome("PLAN_LIMIT")),
    Case("LS13", "the status 999", body(b"", 999), Outcome("UNEXPECTED_STATUS")),
)

CASES: tuple[Case, ...] = (*BODY, *VALUES, *TIME, *SEMANTICS, *PAGING, *STRINGS, *STATUSES)
BELOW_THE_BODY = {
    "PB02": "the wire finds it: tests/bad_inputs",
    "PB04": "the wire finds it: tests/bad_inputs",
    "PB05": "the wire finds it: tests/bad_inputs",
    "PB18": "no source asks for CSV",
}
"""Cases of the common list that concern no translation."""


def _shortened(content: bytes) -> bytes:
    """A column `close`, or `c`, without its last cell."""
    import re

    made, count = re.subn(rb'("c(?:lose)?":\[[^\]]*),[^,\]]*\]', rb"\1]", content, count=1)
    assert count
    return made
