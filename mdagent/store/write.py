"""What can be written to the bar store: one batch is bars, findings, grade, coverage, actions and journal, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from mdagent.exchanges import unit_of
from mdagent.store.literal import literal, naive
from mdagent.store.read import Reader, Span, key_of
from mdagent.store.review import keep_agreements, rescore
from mdagent.store.schema import KEY
from mdagent.store.series import ACTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from duckdb import DuckDBPyConnection

    from mdagent.market import BarRequest, BarSet, CorporateAction
    from mdagent.quality.finding import Finding, Verdict
    from mdagent.quality.grade import Grade
    from mdagent.sessions import SessionTable
    from mdagent.store.review import Agreement, Review

# Prices come as float32 and adjusted series wobble in the last place from one fetch to the next: that is no revision.
_SAME = (
    " AND ".join(f"abs(o.{c} - n.{c}) <= 1e-6 * abs(o.{c})" for c in ("open", "high", "low", "close"))
    + " AND o.volume IS NOT DISTINCT FROM n.volume"
)
_PRICES = "open, high, low, close, volume"
_RESTATED = 1e-4  # a source rounds what it divides by a split
# The one factor between all rows that are replaced and what they become: that of a split which nobody told. 1 where there is none.
_ALIKE = (
    f"SELECT CASE WHEN count(*) > 5 AND (max(becomes / close) / min(becomes / close) - 1) < {_RESTATED}"
    " AND NOT median(becomes / close) BETWEEN 0.8 AND 1.25 THEN median(becomes / close) ELSE 1 END FROM gone WHERE close > 0"
)
COMPLETE = "complete"  # the reason of a span in which nothing is missing


@dataclass(frozen=True, slots=True)
class Batch:
    """One judged answer on its way into the store. `scores` and `provisional` stand beside `bars`, row by row."""

    run: str
    request: BarRequest  # the window that was asked; its adjustment is the delivered one
    bars: BarSet
    scores: np.ndarray
    provisional: np.ndarray
    verdict: Verdict
    grade: Grade
    arithmetic: str
    spans: tuple[Span, ...]
    at: datetime
    tells_actions: bool = False  # does the answer hold every split and payment of its window?


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a batch: rows new, rows that took the place of provisional ones, and final rows that were revised."""

    batch: int
    inserted: int
    replaced: int
    revised: int
    quarantined: int
    restated: bool = False  # bars fetched earlier stand on another basis now, and are due again
    restatements: int = 0  # of the revised rows, those that a split accounts for
    confirmed: int = 0  # of the revised rows, those that came again as they were


class Known(NamedTuple):
    """A stretch of which everything of that kind is told: `splits`, or `all` with payments."""

    kinds: str
    span: Span

    def is_about(self, kind: str, day: date) -> bool:
        """Would an action of that day have been told?"""
        moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return (self.kinds == "all" or kind == "split") and self.span.start <= moment < self.span.end


class Told(NamedTuple):
    """What a source said of splits and payments at a time; amounts are in `currency` where they name none."""

    actions: tuple[CorporateAction, ...]
    at: datetime
    currency: str | None = None
    known: Known | None = None
    batch: int = 0


def _alike(old: list[float], new: list[float]) -> bool:
    return len(old) == len(new) and all(abs(a - b) <= 1e-9 * abs(a) for a, b in zip(old, new, strict=True))


class Writer(Reader):
    """Writes inside the one transaction that bars.py opened; can read what it wrote."""

    _still = False

    @property
    def db(self) -> DuckDBPyConnection:
        """The connection, for what the other modules of the store write in this transaction."""
        return self._db

    def keep(self, batch: Batch) -> Kept:
        """Write one batch. Rows that the store has already are left alone; a provisional row is replaced; a final row that
        changed is kept in `revisions` and then replaced."""
        row = self._db.execute("SELECT nextval('batches')").fetchone()
        number = int(row[0]) if row else 0
        key = key_of(batch.request, batch.bars.source)
        restated = self._keep_facts(number, batch)  # first, so that rows which a split restates are known for what they are
        kept = self._keep_bars(number, key, batch)
        self._keep_quarantine(number, key, batch)
        self._keep_opinion(number, key, batch)
        self.cover(key, batch.spans, batch.at)
        counts = (kept.inserted, kept.replaced, kept.revised, kept.quarantined, digest(batch.bars))
        self._db.execute(
            f"INSERT INTO journal VALUES ({', '.join('?' * 15)})",
            [number, naive(batch.at), batch.run, *key, naive(batch.request.start), naive(batch.request.end), len(batch.bars), *counts],
        )
        return replace(kept, restated=restated)

    def keep_reviews(self, reviews: Sequence[Review], agreements: Sequence[Agreement]) -> None:
        """Write what a look back at stored bars found: findings, grades and scores in place of older ones, and agreement."""
        for one in reviews:
            row = self._db.execute("SELECT nextval('batches')").fetchone()
            self._keep_opinion(int(row[0]) if row else 0, key_of(one.request, one.source), one)
            rescore(self._db, one)
        keep_agreements(self._db, agreements)

    def _keep_bars(self, number: int, key: list[str], batch: Batch) -> Kept:
        counts = (0, 0, 0, 0, 0)
        if len(batch.bars):
            self._db.register("incoming", _columns(batch))
            try:
                counts = self._merge(number, key, batch)
            finally:
                self._db.unregister("incoming")
        inserted, replaced, revised, restatements, confirmed = counts
        bad = len(batch.verdict.quarantine)
        return Kept(number, inserted, replaced, revised, bad, restatements=restatements, confirmed=confirmed)

    def _merge(self, number: int, key: list[str], batch: Batch) -> tuple[int, int, int, int, int]:
        at = naive(batch.at)
        span = [*key, batch.bars.ts[0].item(), batch.bars.ts[-1].item()]
        first = self._db.execute(f"SELECT 1 FROM bars WHERE {KEY} AND ts BETWEEN ? AND ? LIMIT 1", span).fetchone()
        fresh, counts = "incoming", (len(batch.bars), 0, 0, 0, 0)
        if first:
            counts = self._supersede(number, span, at)
            fresh = "fresh"
        bars = batch.bars
        facts = [bars.lot, unit_of(bars.currency or "")[1], bars.raw_volume, bars.venue or None]
        self._db.execute(
            f"INSERT INTO bars SELECT ?, ?, ts, ?, ?, {_PRICES}, vwap, trades, ?, provisional, score, ?, ?, ?, ?, ?, ? FROM {fresh}",
            [*key, bars.currency, at, number, *facts],
        )
        if first:
            self._db.execute("DROP TABLE fresh")
        return counts

    def _supersede(self, number: int, span: list[object], at: datetime) -> tuple[int, int, int, int, int]:
        """Leave in `fresh` the rows to insert, having removed those they replace. A provisional row never replaces a final one."""
        self._db.execute(
            "CREATE TEMP TABLE fresh AS SELECT n.*, o.rid, o.provisional AS was FROM incoming n LEFT JOIN"
            f" (SELECT rowid AS rid, ts, {_PRICES}, provisional, fetched_at FROM bars WHERE {KEY} AND ts BETWEEN ? AND ?) o ON o.ts = n.ts"
            f" WHERE o.ts IS NULL OR (o.provisional AND (NOT n.provisional OR NOT ({_SAME})))"
            f" OR NOT (o.provisional OR n.provisional OR ({_SAME} AND NOT {self._doubted(span)}))",
            span,
        )
        told = self._db.execute(
            "SELECT count(*) FILTER (rid IS NULL), count(*) FILTER (was), count(*) FILTER (NOT was) FROM fresh"
        ).fetchone() or (0, 0, 0)
        why = self._revise(number, span[:4], at) if told[2] else (0, 0)
        if told[1] or told[2]:
            self._db.execute("DELETE FROM bars WHERE rowid IN (SELECT rid FROM fresh WHERE rid IS NOT NULL)")
        return int(told[0]), int(told[1]), int(told[2]), *why

    def _doubted(self, key: list[object]) -> str:
        """The condition for a row that a split told since its delivery would restate: coming again as it was, it had it already, which
        only its new time of delivery can tell."""
        row = self._db.execute(
            "SELECT max(date), max(least(fetched_at, CAST(date AS TIMESTAMP) + INTERVAL 1 DAY)) FROM actions"
            " WHERE symbol = ? AND source = ? AND kind = 'split' AND replaced_at IS NULL",
            [key[0], key[2]],
        ).fetchone()
        if not row or row[0] is None or key[3] == "raw":
            return "false"
        return f"(NOT n.provisional AND o.ts < {literal(row[0])} AND o.fetched_at < {literal(row[1])})"

    def _revise(self, number: int, key: list[object], at: datetime) -> tuple[int, int]:
        """Keep the final rows that are about to be replaced. A row that comes back divided by the splits since its delivery is restated
        and no error; those are counted, and logged as one restatement. Counted too are rows that came again as they were."""
        since = (  # what a split-adjusted row is to be multiplied by for the splits that were told after it came
            "(SELECT coalesce(product(1 / a.value), 1) FROM actions a"
            " WHERE a.symbol = o.symbol AND a.source = o.source AND a.kind = 'split'"
            " AND a.replaced_at IS NULL AND a.date > CAST(o.ts AS DATE)"
            " AND least(a.fetched_at, CAST(a.date AS TIMESTAMP) + INTERVAL 1 DAY) > o.fetched_at)"
        )
        self._db.execute(
            f"CREATE TEMP TABLE gone AS SELECT o.*, n.close AS becomes, {since} AS k FROM bars o JOIN fresh n ON o.rowid = n.rid"
            " WHERE NOT n.was"
        )
        self._db.execute(f"UPDATE gone SET k = ({_ALIKE}) WHERE NOT EXISTS (SELECT 1 FROM gone WHERE k <> 1)")
        split = f"adjustment <> 'raw' AND k <> 1 AND abs(close * k / becomes - 1) < {_RESTATED}"
        self._db.execute(
            f"INSERT INTO revisions SELECT symbol, interval, ts, source, adjustment, {_PRICES}, score, fetched_at, batch, ?, ?,"
            f" currency, lot, raw_volume, CASE WHEN {split} THEN 'restatement'"
            " WHEN close = becomes THEN 'confirmation' ELSE 'revision' END FROM gone",
            [at, number],
        )
        words = [key[0], key[1], key[2], key[3], at, number]
        self._db.execute(
            "INSERT INTO restatements SELECT ?, ?, ?, ?, count(*), min(ts), max(ts), k, ?, ? FROM gone"
            f" WHERE {split} GROUP BY k HAVING count(*) > 0",
            words,
        )
        counted = f"SELECT count(*) FILTER ({split}), count(*) FILTER (NOT ({split}) AND close = becomes) FROM gone"
        restated, confirmed = self._db.execute(counted).fetchone() or (0, 0)
        self._db.execute("DROP TABLE gone")
        return int(restated), int(confirmed)

    def _keep_quarantine(self, number: int, key: list[str], batch: Batch) -> None:
        window = [naive(batch.request.start), naive(batch.request.end)]
        self._db.execute(f"DELETE FROM quarantine WHERE {KEY} AND (ts IS NULL OR ts >= ? AND ts < ?)", [*key, *window])  # told anew below
        for row in batch.verdict.quarantine:
            ts = naive(row.ts) if row.ts else None
            words = [key[0], key[1], ts, key[2], key[3], row.check, row.reason, row.raw, naive(batch.at), number]
            self._db.execute(f"INSERT INTO quarantine VALUES ({', '.join('?' * 10)})", words)

    def _keep_opinion(self, number: int, key: list[str], batch: Batch | Review) -> None:
        for finding in batch.verdict.findings:
            self._db.execute(f"INSERT INTO findings VALUES ({', '.join('?' * 14)})", _finding(number, key, finding))
        skipped = "; ".join(f"{s.check}: {s.reason}" for s in batch.verdict.skipped)
        words = [naive(batch.request.start), naive(batch.request.end), batch.grade.letter, batch.grade.score, batch.arithmetic]
        fields = [batch.verdict.mode, batch.grade.confidence, batch.grade.of_prices, batch.grade.of_volume]
        row = [number, *key, *words, ", ".join(batch.verdict.ran), skipped, naive(batch.at), *fields]
        self._db.execute(f"INSERT INTO grades VALUES ({', '.join('?' * 17)})", row)

    def _keep_facts(self, number: int, batch: Batch) -> bool:
        """Corporate actions and facts about the instrument. True where a new action makes older bars due again."""
        bars, at, known = batch.bars, naive(batch.at), None
        if batch.tells_actions:
            whole = Span(batch.request.start, max(min(batch.request.end, batch.at), batch.request.start), COMPLETE, None)
            known = Known("all", whole)
        restated = self.keep_actions(bars.symbol.ticker, bars.source, Told(bars.actions, batch.at, bars.currency, known, number))
        told = bars.instrument
        if told:
            self._db.execute("DELETE FROM instruments WHERE symbol = ? AND source = ?", [told.symbol.ticker, told.source])
            facts = [told.symbol.ticker, told.source, told.name, told.exchange, told.zone, told.currency, told.kind, told.first_trade, at]
            self._db.execute("INSERT INTO instruments VALUES (?,?,?,?,?,?,?,?,?)", facts)
        return restated

    def keep_actions(self, symbol: str, source: str, told: Told) -> bool:
        """Splits and payments as a source tells them. What changed or is told no more stays answerable by the time it was so. True
        where older bars are due again."""
        now = naive(told.at)
        days: dict[tuple[str, date], list[CorporateAction]] = {}
        for action in told.actions:
            if action.date > told.at.date():
                continue  # announced; it has not taken effect, and will be told again
            days.setdefault((action.kind, action.date), []).append(action)
        rows = self._db.execute(
            "SELECT kind, date, list(value ORDER BY value) FROM actions"
            " WHERE symbol = ? AND source = ? AND replaced_at IS NULL GROUP BY ALL",
            [symbol, source],
        ).fetchall()
        held = {(kind, day): values for kind, day, values in rows}
        gone = {key for key in held if told.known and key not in days and told.known.is_about(*key)}
        fresh = {key for key, group in days.items() if not _alike(held.get(key, []), sorted(a.value for a in group))}
        restated = False
        for kind, day in sorted(fresh | gone):
            restated |= self._expire_basis(kind, day, symbol, source)
            self._db.execute(
                "UPDATE actions SET replaced_at = ? WHERE symbol = ? AND source = ? AND kind = ? AND date = ? AND replaced_at IS NULL",
                [now, symbol, source, kind, day],
            )
            for action in days.get((kind, day), ()):
                facts = [action.value, action.currency or told.currency, now, told.batch, action.adjusted]
                self._db.execute("INSERT INTO actions VALUES (?,?,?,?,?,?,?,?,?,NULL)", [symbol, source, kind, day, *facts])
        if told.known:
            self.cover([symbol, ACTIONS, source, told.known.kinds], (told.known.span,), told.at)
        return restated

    def _expire_basis(self, kind: str, day: date, symbol: str, source: str) -> bool:
        """A split restates every earlier price that was delivered adjusted for splits, a dividend those adjusted for all: what
        was fetched before it took effect is to be asked for again, so that a series never mixes two bases."""
        stale = "('splits', 'all')" if kind == "split" else "('all')"
        gone = self._db.execute(
            f"DELETE FROM coverage WHERE symbol = ? AND source = ? AND interval <> '{ACTIONS}' AND adjustment IN {stale}"
            " AND start_ts < ? AND as_of < ? RETURNING 1",
            [symbol, source, day, day + timedelta(days=1)],
        )
        return bool(gone.fetchall())

    def cover(self, key: list[str], spans: tuple[Span, ...], at: datetime) -> None:
        """Remember what was asked, and when: new spans take the place of what they overlap, and final neighbours become one."""
        if not spans:
            return
        rows = self._db.execute(f"SELECT start_ts, end_ts, reason, expires, as_of FROM coverage WHERE {KEY}", key).fetchall()
        merged = merge(
            [Span(*r) for r in rows],
            [Span(naive(s.start), naive(s.end), s.reason, s.expires and naive(s.expires), naive(at)) for s in spans],
        )
        self._db.execute(f"DELETE FROM coverage WHERE {KEY}", key)
        self._db.executemany("INSERT INTO coverage VALUES (?,?,?,?,?,?,?,?,?)", [[*key, *s] for s in merged])

    def keep_sessions(self, table: SessionTable) -> None:
        """Materialise a calendar in place of what the store has of it."""
        self._db.execute("DELETE FROM calendars WHERE calendar = ?", [table.calendar])
        self._db.execute("DELETE FROM sessions WHERE calendar = ?", [table.calendar])
        self._db.execute("INSERT INTO calendars VALUES (?,?,?,?)", [table.calendar, table.version, table.start, table.end])
        if not table.sessions:
            return
        import numpy as np

        def column(times: list[datetime | None]) -> np.ndarray:  # many at once: one by one they take most of a first fetch
            seconds = np.array([t.timestamp() if t else np.nan for t in times])
            unset = np.isnan(seconds)
            made: np.ndarray = np.rint(np.where(unset, 0, seconds) * 1e6).astype("datetime64[us]")
            made[unset] = np.datetime64("NaT")
            return made

        made = {
            "day": np.array([s.day for s in table.sessions], dtype="datetime64[D]").astype("datetime64[us]"),
            "opens": column([s.opens for s in table.sessions]),
            "closes": column([s.closes for s in table.sessions]),
            "pause": column([s.breaks[0] if s.breaks else None for s in table.sessions]),
            "resume": column([s.breaks[1] if s.breaks else None for s in table.sessions]),
        }
        self._db.register("made", made)
        self._db.execute("INSERT INTO sessions SELECT ?, CAST(day AS DATE), opens, closes, pause, resume FROM made", [table.calendar])
        self._db.unregister("made")


def merge(old: list[Span], new: list[Span]) -> list[Span]:
    """The spans after `new` took the place of what they overlap in `old`; touching final spans of one reason are joined."""
    left: list[Span] = list(old)
    for fresh in new:
        pieces: list[Span] = []
        for span in left:
            if span.end <= fresh.start or span.start >= fresh.end:
                pieces.append(span)
                continue
            if span.start < fresh.start:
                pieces.append(span._replace(end=fresh.start))
            if span.end > fresh.end:
                pieces.append(span._replace(start=fresh.end))
        left = [*pieces, fresh]
    joined: list[Span] = []
    for span in sorted(left):
        last = joined[-1] if joined else None
        if last and last.end == span.start and last.expires is None and span.expires is None and last.reason == span.reason:
            joined[-1] = last._replace(end=span.end, as_of=_older(last.as_of, span.as_of))
        else:
            joined.append(span)
    return joined


def _older(a: datetime | None, b: datetime | None) -> datetime | None:
    return min(a, b) if a and b else a or b


def _columns(batch: Batch) -> dict[str, np.ndarray]:
    import numpy as np

    bars = batch.bars
    made: dict[str, np.ndarray] = {"ts": bars.ts, **{n: getattr(bars, n) for n in ("open", "high", "low", "close")}}
    for name in ("volume", "vwap", "trades"):
        column = getattr(bars, name)
        made[name] = np.ma.masked_invalid(column) if column is not None else np.ma.masked_invalid(np.full(len(bars), np.nan))
    made["provisional"] = batch.provisional
    made["score"] = batch.scores
    return made


def _finding(number: int, key: list[str], finding: Finding) -> list[object]:
    told = [None if v is None else str(v) for v in (finding.value, finding.expected)]
    span = [naive(finding.start) if finding.start else None, naive(finding.end) if finding.end else None]
    spans = [naive(t) for run in finding.spans for t in run] or None
    row = [number, key[0], key[1], key[2], finding.check, finding.severity.value, *span, finding.count, *told, finding.message]
    return [*row, finding.type, spans]


def digest(bars: BarSet) -> str:
    """A hash of what was delivered: the same bars have the same digest, whenever and however they came."""
    made = blake2b(digest_size=16)
    for column in (bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume):
        made.update(column.tobytes())
    return made.hexdigest()
