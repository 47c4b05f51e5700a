"""What can be read from the bar store. SQL only; the connection is opened in bars.py."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.sessions import Session
from mdagent.store.decided import DECIDED
from mdagent.store.gradebook import earned
from mdagent.store.literal import aware, literal, naive
from mdagent.store.schema import BEST, KEY, QUARANTINED
from mdagent.store.series import deliveries, join, knows, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from duckdb import DuckDBPyConnection

    from mdagent.market import BarRequest, BarSet, CorporateAction, RejectedRow
    from mdagent.store.literal import Literal
    from mdagent.store.series import Ask, Joint, Part

# Columns of a bar on stdout, in their frozen order; `grade` is made of `score` where it is shown.
STORED = ("symbol", "interval", "ts", "open", "high", "low", "close", "volume", "source", "adjustment", "currency", "score", "provisional")

MARGIN = timedelta(days=40)  # a month's bar reaches this far beyond the window


class Span(NamedTuple):
    """A stretch of time that a source was asked for: what came is final (`expires` None), or to be asked again after `expires`."""

    start: datetime
    end: datetime
    reason: str
    expires: datetime | None
    as_of: datetime | None = None  # when the oldest part of it was fetched; the writer puts it in


class Series(NamedTuple):
    """One source's bars of a symbol on one basis: first and last stamp, how far the source was asked, and since when it is traded."""

    source: str
    adjustment: str
    first: datetime
    last: datetime
    asked_until: datetime | None
    first_trade: date | None


class Standing(NamedTuple):
    """What the store holds of one source in a window: bars, how many are provisional or quarantined, and the last grade."""

    bars: int
    provisional: int
    quarantined: int
    letter: str | None
    score: float | None
    arithmetic: str
    findings: tuple[tuple[str, str, str], ...]  # severity, check, message
    skipped: str
    rejected: int = 0  # bars that a person does not let stand


def key_of(request: BarRequest, source: str) -> list[str]:
    """The words of `KEY`."""
    return [request.symbol.ticker, request.interval.value, source, request.adjustment.value]


class Reader:
    """Questions to an open store."""

    _still = True  # does nothing change while it is open?

    def __init__(self, db: DuckDBPyConnection) -> None:
        self._db = db
        self._decided: frozenset[str] | None = None

    def _ask(self, sql: str, words: Sequence[Literal]) -> DuckDBPyConnection:
        """Run a statement with its `?` written out: given any parameter at all, DuckDB loads numpy and pandas, which would
        cost a cached read more than everything else it does."""
        pieces = sql.split("?")
        if len(pieces) != len(words) + 1:
            msg = f"{len(words)} words for {len(pieces) - 1} places"
            raise ValueError(msg)
        return self._db.execute("".join(p + literal(w) for p, w in zip(pieces, words, strict=False)) + pieces[-1])

    @property
    def ask(self) -> Ask:
        """How the other modules of the store ask: SQL, and a word for each `?` in it."""
        return self._ask

    def coverage(self, request: BarRequest, source: str) -> list[Span]:
        """The spans that overlap the window, in order."""
        rows = self._ask(
            "SELECT start_ts, end_ts, reason, expires FROM coverage WHERE symbol = ? AND interval = ? AND source = ? AND adjustment = ?"
            " AND end_ts > ? AND start_ts < ? ORDER BY start_ts",
            [*key_of(request, source), naive(request.start), naive(request.end)],
        ).fetchall()
        return [Span(aware(a), aware(b), r, aware(e) if e else None) for a, b, r, e in rows]

    def sessions(self, calendar: str, start: date, end: date) -> tuple[Session, ...] | None:
        """The materialised sessions with start <= day < end, and those of a month around; None where the calendar is not built
        that far."""
        rows = self._ask(
            "SELECT day, opens, closes, break_start, break_end FROM calendars LEFT JOIN sessions ON sessions.calendar = calendars.calendar"
            " AND day >= ? AND day < ? WHERE calendars.calendar = ? AND start_day <= ? AND end_day >= ? ORDER BY day",
            [start - MARGIN, end + MARGIN, calendar, start, end],
        ).fetchall()
        if not rows:
            return None
        return tuple(Session(d, aware(o), aware(c), (aware(a), aware(b)) if a and b else None) for d, o, c, a, b in rows if d)

    def calendar_version(self, calendar: str) -> str | None:
        """The version a calendar was materialised from."""
        row = self._ask("SELECT version FROM calendars WHERE calendar = ?", [calendar]).fetchone()
        return str(row[0]) if row else None

    def bars(self, requests: Sequence[BarRequest], sources: Sequence[str] = (), as_of: datetime | None = None) -> list[tuple[object, ...]]:
        """Rows in the order of STORED: for each request its consolidated series in order of `ts`, one row a stamp, the final
        and best graded of `sources` (all, when empty); every row on the basis asked for and in one unit. `as_of`: as known then."""
        rows: list[tuple[object, ...]] = []
        for r in requests:
            rows += self.rows(r, self.joint(r, sources, as_of))
        return rows

    def joint(self, request: BarRequest, sources: Sequence[str] = (), as_of: datetime | None = None) -> Joint:
        """The stored series that can stand together in the request's window, and those that cannot."""
        return join(self._ask, request, sources, naive(as_of) if as_of else None, decided=self._is_decided(request.symbol.ticker))

    def rows(self, request: BarRequest, joint: Joint, *, apart: bool = False) -> list[tuple[object, ...]]:
        """The rows of a joint series in order of `ts`: one a stamp, or with `apart` one a stamp and source."""
        if not joint.parts:
            return []
        sql, words = united(request, joint, apart=apart)
        return list(self._ask(sql, words).fetchall())

    def apart(self, request: BarRequest, joint: Joint) -> dict[str, dict[str, np.ndarray]]:
        """As `rows` with `apart`, by source and column, and as numpy has it: a year of minutes is no Python object."""
        import numpy as np

        made: dict[str, dict[str, np.ndarray]] = {}
        for source in dict.fromkeys(part.held.source for part in joint.parts):
            own = joint._replace(parts=tuple(part for part in joint.parts if part.held.source == source))
            sql, words = united(request, own, apart=True)
            told = self._ask(f"SELECT ts, open, high, low, close, volume, provisional FROM ({sql}) ORDER BY ts", words).fetchnumpy()
            made[source] = {name: np.ma.filled(c, np.nan) if np.ma.isMaskedArray(c) else np.asarray(c) for name, c in told.items()}
        return made

    def series(self, symbol: str, interval: str) -> list[Series]:
        """What is stored of a symbol, by source and basis."""
        rows = self._ask(
            "SELECT b.source, b.adjustment, first_ts, last_ts, until_ts, i.first_trade FROM (SELECT source, adjustment, min(ts) first_ts,"
            " max(ts) last_ts FROM bars WHERE symbol = ? AND interval = ? GROUP BY ALL) b LEFT JOIN (SELECT source, adjustment, max(end_ts)"
            " until_ts FROM coverage WHERE symbol = ? AND interval = ? GROUP BY ALL) c USING (source, adjustment) LEFT JOIN (SELECT source,"
            " max(first_trade) first_trade FROM instruments WHERE symbol = ? GROUP BY ALL) i USING (source)"
            " ORDER BY ALL",
            [symbol, interval, symbol, interval, symbol],
        ).fetchall()
        return [Series(s, b, aware(first), aware(last), aware(until) if until else None, day) for s, b, first, last, until, day in rows]

    def knows(self, request: BarRequest, source: str, kinds: str, since: datetime) -> datetime | None:
        """How far all `splits`, or `all` payments too, of the symbol are known at this source from `since` on."""
        reached = knows(self._ask, request.symbol.ticker, source, kinds, naive(since))
        return aware(reached) if reached else None

    def deliveries(self, request: BarRequest, source: str) -> tuple[datetime, datetime] | None:
        """When the oldest and the newest bar of this series came, whatever the window."""
        found = deliveries(self._ask, request, source)
        return (aware(found[0]), aware(found[1])) if found else None

    def covered(self, request: BarRequest, sources: Sequence[str]) -> list[tuple[str, str, list[Span]]]:
        """Source, basis and the spans that overlap the window, in order, of every series of the symbol and interval that was asked for;
        in the order of `sources`, the basis of the request first."""
        rows = self._ask(
            "SELECT source, adjustment, start_ts, end_ts, reason, expires FROM coverage WHERE symbol = ? AND interval = ?"
            " AND end_ts > ? AND start_ts < ? ORDER BY start_ts",
            [request.symbol.ticker, request.interval.value, naive(request.start), naive(request.end)],
        ).fetchall()
        found: dict[tuple[str, str], list[Span]] = {}
        for source, basis, a, b, reason, expires in rows:
            found.setdefault((source, basis), []).append(Span(aware(a), aware(b), reason, aware(expires) if expires else None))
        wanted, place = request.adjustment.value, {name: i for i, name in enumerate(sources)}
        keys = sorted((k for k in found if k[0] in place), key=lambda k: (place[k[0]], k[1] != wanted, k[1]))
        return [(*key, found[key]) for key in keys]

    def columns(self, request: BarRequest, source: str, *, last: int | None = None) -> dict[str, Any]:
        """The stored bars of one series in the window as they came, in order of `ts`: a NumPy column for each of ts, open, high, low,
        close, volume and score, and for raw_volume, lot and currency one value each, of the newest row. `last`: no more than so many,
        the latest."""
        key, window = key_of(request, source), [naive(request.start), naive(request.end)]
        some = f" ORDER BY ts DESC LIMIT {last}" if last is not None else ""
        rows = f"SELECT ts, open, high, low, close, volume, score FROM bars WHERE {KEY} AND ts >= ? AND ts < ?{some}"
        made: dict[str, Any] = self._ask(f"SELECT * FROM ({rows}) ORDER BY ts", [*key, *window]).fetchnumpy()
        facts = f"SELECT raw_volume, lot, currency FROM bars WHERE {KEY} AND ts >= ? AND ts < ? ORDER BY ts DESC LIMIT 1"
        told = self._ask(facts, [*key, *window]).fetchone() or (False, 1.0, None)
        return made | dict(zip(("raw_volume", "lot", "currency"), told, strict=True))

    def actions_of(self, symbol: str, source: str, start: datetime, end: datetime) -> tuple[CorporateAction, ...]:
        """The splits and payments that a source tells of the days of a window, in order."""
        from mdagent.market import CorporateAction

        rows = self._ask(
            "SELECT kind, date, value, adjusted, currency FROM actions WHERE symbol = ? AND source = ? AND replaced_at IS NULL"
            " AND date >= ? AND date < ? ORDER BY date, kind",
            [symbol, source, naive(start), naive(end)],
        ).fetchall()
        return tuple(CorporateAction(*row) for row in rows)

    def quarantined(self, request: BarRequest, source: str) -> tuple[RejectedRow, ...]:
        """The rows of a series in the window that could not be kept, on whatever basis they came."""
        from mdagent.market import RejectedRow

        rows = self._ask(
            "SELECT ts, check_name, reason, raw FROM quarantine WHERE symbol = ? AND interval = ? AND source = ? AND ts >= ? AND ts < ?"
            " ORDER BY ts",
            [request.symbol.ticker, request.interval.value, source, naive(request.start), naive(request.end)],
        ).fetchall()
        return tuple(RejectedRow(aware(ts), *words) for ts, *words in rows)

    def venue_of(self, request: BarRequest, source: str) -> str:
        """The one market that a source's bars were traded on, "" where it is the whole."""
        row = self._ask(
            "SELECT max(venue) FROM bars WHERE symbol = ? AND interval = ? AND source = ?",
            [request.symbol.ticker, request.interval.value, source],
        ).fetchone()
        return str(row[0]) if row and row[0] else ""

    def first_bar(self, request: BarRequest, source: str) -> datetime | None:
        """The stamp of the first bar of this series in the store, whatever the window."""
        row = self._ask(f"SELECT min(ts) FROM bars WHERE {KEY}", key_of(request, source)).fetchone()
        return aware(row[0]) if row and row[0] else None

    def standing(self, request: BarRequest, source: str) -> Standing:
        """Counts over the window, and the grade of the last fetch that overlaps it."""
        key, window = key_of(request, source), [naive(request.start), naive(request.end)]
        decided = self._is_decided(key[0])
        table = rows_of(key[0], decided=decided)
        held = (  # a row without a time, or in the future, counts for the window that it came with
            f"SELECT count(*) FROM quarantine q JOIN journal j USING (batch) WHERE {QUARANTINED}"
            " AND (q.ts >= ? AND q.ts < ? OR (q.ts IS NULL OR q.ts >= j.end_ts) AND j.end_ts > ? AND j.start_ts < ?)"
        )
        bars, provisional, quarantined = self._ask(
            f"SELECT count(*), count(*) FILTER (provisional), ({held}) FROM {table} t WHERE {KEY} AND ts >= ? AND ts < ?",
            [*key, *window, *window, *key, *window],
        ).fetchone() or (0, 0, 0)
        rejected = self._rejected(key, window) if decided else 0
        last = f"SELECT * FROM grades WHERE {KEY} AND end_ts > ? AND start_ts < ? ORDER BY batch DESC LIMIT 1"
        graded = self._ask(
            f"SELECT letter, score, arithmetic, skipped, severity, check_name, message FROM ({last}) LEFT JOIN findings USING (batch)",
            [*key, *window],
        ).fetchall()
        if not graded:
            return Standing(bars, provisional, quarantined, None, None, "", (), "", rejected)
        letter, score, arithmetic, skipped = graded[0][:4]
        found = tuple((row[4], row[5], row[6]) for row in graded if row[4])
        return Standing(bars, provisional, quarantined, letter, score, arithmetic, found, skipped, rejected)

    def _is_decided(self, symbol: str) -> bool:
        if self._decided is None or not self._still:
            self._decided = frozenset(row[0] for row in self._ask(DECIDED, []).fetchall())
        return symbol in self._decided

    def _rejected(self, key: list[str], window: list[datetime]) -> int:
        row = self._ask(
            f"SELECT count(*) FROM (SELECT ts FROM bars WHERE {KEY} AND ts >= ? AND ts < ?) b"
            f" WHERE ts NOT IN (SELECT ts FROM {rows_of(key[0], decided=True)} s WHERE {KEY})",
            [*key, *window, *key],
        ).fetchone()
        return int(row[0]) if row else 0

    def earned(self) -> dict[str, float]:
        """What each source has earned by its grades, 0 to 1."""
        return earned(self._ask)

    def symbols(self) -> list[str]:
        """Every symbol that has bars."""
        return [r[0] for r in self._db.execute("SELECT DISTINCT symbol FROM bars ORDER BY symbol").fetchall()]

    def is_mentioned(self, symbol: str) -> bool:
        """Was any source asked for the symbol, or has it a row in quarantine?"""
        asked = "EXISTS (SELECT 1 FROM {} WHERE symbol = ?)"
        row = self._ask(f"SELECT {asked.format('coverage')} OR {asked.format('quarantine')}", [symbol, symbol]).fetchone()
        return bool(row and row[0])

    def told_by(self, symbol: str, interval: str) -> list[str]:
        """The sources of which bars are stored."""
        rows = self._ask("SELECT DISTINCT source FROM bars WHERE symbol = ? AND interval = ? ORDER BY 1", [symbol, interval])
        return [row[0] for row in rows.fetchall()]

    def exchange_of(self, symbol: str) -> tuple[str, str, str] | None:
        """Exchange, zone and kind of a symbol, as a source told them last."""
        row = self._ask("SELECT exchange, zone, kind FROM instruments WHERE symbol = ? ORDER BY seen_at DESC LIMIT 1", [symbol]).fetchone()
        return (row[0], row[1], row[2]) if row else None

    def query(self, sql: str) -> tuple[list[str], list[tuple[object, ...]], str]:
        """Column names and rows of the user's own statement; or what is wrong with it. The connection is read-only and reaches no
        file and no network: an error of the file is one of the store, and is raised."""
        import duckdb

        try:
            answer: DuckDBPyConnection | None = self._db.execute(sql)
            if answer is None:  # nothing but white space or a comment
                return [], [], "there is no statement"
            names = [str(d[0]) for d in answer.description or ()]
            return names, answer.fetchall() if names else [], ""
        except (duckdb.IOException, duckdb.SerializationException, duckdb.FatalException):
            raise
        except duckdb.Error as error:
            return [], [], str(error).splitlines()[0]

    def calendars(self) -> list[tuple[str, date]]:
        """The materialised calendars, and the first day that each does not know."""
        return [(str(c), d) for c, d in self._db.execute("SELECT calendar, end_day FROM calendars ORDER BY calendar").fetchall()]

    def duplicates(self) -> int:
        """Rows beyond the first of their key: 0 in a sound store."""
        row = self._db.execute(
            "SELECT coalesce(sum(n - 1), 0) FROM"
            " (SELECT count(*) n FROM bars GROUP BY symbol, interval, ts, source, adjustment HAVING n > 1)"
        ).fetchone()
        return int(row[0]) if row else 0

    def sizes(self) -> dict[str, int]:
        """Rows of each table."""
        names = ("bars", "quarantine", "findings", "grades", "revisions", "coverage", "actions", "journal")
        counts = ", ".join(f"(SELECT count(*) FROM {n})" for n in names)
        row = self._db.execute(f"SELECT {counts}").fetchone() or ()
        return dict(zip(names, map(int, row), strict=True))


def united(request: BarRequest, joint: Joint, *, apart: bool) -> tuple[str, list[Literal]]:
    """The rows of a joint series as one query, with the words of its places."""
    selects, words = [], []
    for part in joint.parts:
        sql, told = _part(part, request, joint)
        selects.append(sql)
        words += told
    if len(selects) == 1:
        return f"{selects[0]} ORDER BY ts", words
    of = "ts, source" if apart else "ts"
    best = f" QUALIFY row_number() OVER (PARTITION BY {of} ORDER BY {BEST}, rank) = 1"
    union = " UNION ALL ".join(f"SELECT *, {rank} AS rank FROM ({one})" for rank, one in enumerate(selects))
    return f"SELECT * EXCLUDE (rank) FROM ({union}){best} ORDER BY ts, source", words


def _part(part: Part, request: BarRequest, joint: Joint) -> tuple[str, list[Literal]]:
    """One source's rows on the basis of the request, by SQL over the rows as they were delivered."""
    held, currency, joins = part.held, joint.currency, ""
    price, volume = [] if part.price == 1.0 else [repr(part.price)], [] if part.volume == 1.0 else [repr(part.volume)]
    for name, column, steps in (("d", "ts", part.way.by_stamp), ("f", "fetched_at", part.way.by_delivery)):
        if steps:
            table = ", ".join(f"({literal(s.at)}, {s.price!r}::DOUBLE, {s.volume!r}::DOUBLE)" for s in steps)
            joins += f" ASOF LEFT JOIN (VALUES {table}) {name}(until, p, v) ON b.{column} < {name}.until"
            price.append(f"coalesce({name}.p, 1)")
            volume.append(f"coalesce({name}.v, 1)")
    told = [f"b.{c} * {' * '.join(price)} AS {c}" if price else f"b.{c}" for c in ("open", "high", "low", "close")]
    told.append(f"b.volume * {' * '.join(volume)} AS volume" if volume else "b.volume")
    unit = f"{literal(currency)} AS currency" if currency else "b.currency"
    sql = (
        f"SELECT b.symbol, b.interval, b.ts, {', '.join(told)}, b.{joint.name} AS source,"
        f" {literal(request.adjustment.value)} AS adjustment, {unit}, b.score, b.provisional FROM {joint.table} b{joins}"
        " WHERE b.symbol = ? AND b.interval = ? AND b.adjustment = ? AND b.ts >= ? AND b.ts < ? AND b.source = ?"
        f" AND b.currency IS NOT DISTINCT FROM {literal(held.currency) if held.currency else 'NULL'}"
        f" AND b.lot = {held.lot!r} AND b.raw_volume = {held.raw_volume}"
    )
    window: list[Literal] = [naive(request.start), naive(request.end)]
    return sql, [request.symbol.ticker, request.interval.value, held.basis.value, *window, held.source]


def barset(request: BarRequest, rows: Sequence[tuple[Any, ...]]) -> BarSet:
    """Rows of one request, in the order of STORED, as a BarSet; several sources are named with a plus."""
    import numpy as np

    from mdagent.market import BarSet

    columns = list(zip(*rows, strict=True))
    ts, sources, currency, provisional = columns[2], columns[8], columns[10], columns[12]
    opened, high, low, close, volume = (np.array(columns[i], dtype=np.float64) for i in range(3, 8))
    return BarSet(
        request.symbol,
        request.interval,
        "+".join(sorted({str(s) for s in sources})),
        request.adjustment,
        str(currency[0]) if currency[0] else None,
        np.array(ts, dtype="datetime64[us]"),
        opened,
        high,
        low,
        close,
        volume,
        complete_until=next((aware(t) for t, p in zip(ts, provisional, strict=True) if p), None),
    )
