"""What can be written to the bar store: one batch is bars, findings, grade, coverage, actions and journal, all or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.store.append import append
from mdagent.store.cover import Coverage, among
from mdagent.store.facts import Heard, Known, Told, keep_actions, keep_instruments
from mdagent.store.literal import naive
from mdagent.store.read import Reader, Span, key_of
from mdagent.store.review import keep_agreements, rescore
from mdagent.store.schema import KEY
from mdagent.store.upsert import Counts, Delivery, upsert

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    import numpy as np
    from duckdb import DuckDBPyConnection

    from mdagent.market import BarRequest, BarSet
    from mdagent.quality.finding import Finding, Verdict
    from mdagent.quality.grade import Grade
    from mdagent.sessions import SessionTable
    from mdagent.store.review import Agreement, Review

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

    @classmethod
    def by(cls, number: int, counts: Counts, batch: Batch, *, restated: bool) -> Kept:
        """What became of that batch."""
        inserted, replaced, revised, restatements, confirmed = counts
        quarantined = len(batch.verdict.quarantine)
        return cls(number, inserted, replaced, revised, quarantined, restated, restatements, confirmed)


class Laid(NamedTuple):
    """What was asked of a series, and when."""

    key: list[str]
    spans: tuple[Span, ...]
    at: datetime


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
        return self.keep_all([batch])[0]

    def keep_all(self, batches: Sequence[Batch]) -> list[Kept]:
        """Write several batches, in their order, as if each were written alone, by a few statements for all of them."""
        return [kept for some in _unlike(batches) for kept in self._keep(some)]

    def keep_reviews(self, reviews: Sequence[Review], agreements: Sequence[Agreement]) -> None:
        """Write what a look back at stored bars found: findings, grades and scores in place of older ones, and agreement."""
        numbers = self._numbers(len(reviews))
        self._keep_opinions(list(zip(numbers, reviews, (one.source for one in reviews), strict=True)))
        for one in reviews:
            rescore(self._db, one)
        keep_agreements(self._db, agreements)

    def hear_all(self, heard: Sequence[Heard]) -> list[bool]:
        """Splits and payments as sources tell them. True where older bars are due again."""
        coverage = Coverage(self._db, (one.symbol for one in heard))
        restated = [again for one in heard for again in keep_actions(self._db, coverage, [one])]
        coverage.write()
        return restated

    def cover_all(self, laid: Sequence[Laid]) -> list[None]:
        """Remember what was asked, and when: new spans take the place of what they overlap, and final neighbours become one."""
        coverage = Coverage(self._db, (one.key[0] for one in laid))
        for one in laid:
            coverage.lay(*one)
        coverage.write()
        return [None] * len(laid)

    def _keep(self, batches: Sequence[Batch]) -> list[Kept]:
        """No symbol twice by one source."""
        numbers = self._numbers(len(batches))
        numbered = list(zip(numbers, batches, strict=True))
        coverage = Coverage(self._db, (batch.request.symbol.ticker for batch in batches))
        restated = self._keep_facts(coverage, numbered)  # first, so that rows which a split restates are known for what they are
        counts = upsert(self._db, self._ask, [_delivery(number, batch) for number, batch in numbered])
        self._keep_quarantine(numbered)
        self._keep_opinions([(number, batch, batch.bars.source) for number, batch in numbered])
        for batch in batches:
            coverage.lay(key_of(batch.request, batch.bars.source), batch.spans, batch.at)
        coverage.write()
        kept = [Kept.by(n, c, batch, restated=r) for (n, batch), c, r in zip(numbered, counts, restated, strict=True)]
        append(self._db, "journal", [_entry(one, batch) for one, batch in zip(kept, batches, strict=True)])
        return kept

    def _numbers(self, count: int) -> list[int]:
        return [int(row[0]) for row in self._db.execute(f"SELECT nextval('batches') FROM range({count})").fetchall()]

    def _keep_facts(self, coverage: Coverage, numbered: Sequence[tuple[int, Batch]]) -> list[bool]:
        """Corporate actions and facts about the instrument. True where a new action makes older bars due again."""
        keep_instruments(self._db, [(b.bars.instrument, b.at) for _, b in numbered if b.bars.instrument])
        heard = [Heard(b.bars.symbol.ticker, b.bars.source, _told(number, b)) for number, b in numbered]
        return keep_actions(self._db, coverage, heard)

    def _keep_quarantine(self, numbered: Sequence[tuple[int, Batch]]) -> None:
        """Rows that could not be kept, in place of what was told of the same windows before."""
        symbols = among(sorted({batch.request.symbol.ticker for _, batch in numbered}))
        held = set(
            self._db.execute(f"SELECT DISTINCT symbol, interval, source, adjustment FROM quarantine WHERE symbol IN ({symbols})").fetchall()
        )
        rows = []
        for number, batch in numbered:
            key, window = key_of(batch.request, batch.bars.source), [naive(batch.request.start), naive(batch.request.end)]
            if tuple(key) in held:
                self._ask(f"DELETE FROM quarantine WHERE {KEY} AND (ts IS NULL OR ts >= ? AND ts < ?)", [*key, *window])
            for row in batch.verdict.quarantine:
                told = (row.check, row.reason, row.raw, naive(batch.at), number)
                rows.append((key[0], key[1], naive(row.ts) if row.ts else None, key[2], key[3], *told))
        append(self._db, "quarantine", rows)

    def _keep_opinions(self, told: Sequence[tuple[int, Batch | Review, str]]) -> None:
        """Findings and grades."""
        found = [_finding(n, key_of(one.request, source), f) for n, one, source in told for f in one.verdict.findings]
        append(self._db, "findings", found)
        append(self._db, "grades", [_graded(n, key_of(one.request, source), one) for n, one, source in told])

    def keep_sessions(self, table: SessionTable) -> None:
        """Materialise a calendar in place of what the store has of it."""
        self._ask("DELETE FROM calendars WHERE calendar = ?", [table.calendar])
        self._ask("DELETE FROM sessions WHERE calendar = ?", [table.calendar])
        self._ask("INSERT INTO calendars VALUES (?,?,?,?)", [table.calendar, table.version, table.start, table.end])
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
        self._ask("INSERT INTO sessions SELECT ?, CAST(day AS DATE), opens, closes, pause, resume FROM made", [table.calendar])
        self._db.unregister("made")


def _unlike(batches: Sequence[Batch]) -> Iterator[list[Batch]]:
    """In pieces in which no source tells twice of a symbol."""
    piece: list[Batch] = []
    seen: set[tuple[str, str]] = set()
    for batch in batches:
        name = batch.request.symbol.ticker, batch.bars.source
        if name in seen:
            yield piece
            piece, seen = [], set()
        piece.append(batch)
        seen.add(name)
    if piece:
        yield piece


def _delivery(number: int, batch: Batch) -> Delivery:
    symbol, interval, source, adjustment = key_of(batch.request, batch.bars.source)
    return Delivery((symbol, interval, source, adjustment), number, batch.bars, batch.scores, batch.provisional, batch.at)


def _told(number: int, batch: Batch) -> Told:
    known = None
    if batch.tells_actions:
        whole = Span(batch.request.start, max(min(batch.request.end, batch.at), batch.request.start), COMPLETE, None)
        known = Known("all", whole)
    return Told(batch.bars.actions, batch.at, batch.bars.currency, known, number)


def _entry(kept: Kept, batch: Batch) -> tuple[object, ...]:
    window = naive(batch.request.start), naive(batch.request.end)
    counts = kept.inserted, kept.replaced, kept.revised, kept.quarantined
    key = key_of(batch.request, batch.bars.source)
    return (kept.batch, naive(batch.at), batch.run, *key, *window, len(batch.bars), *counts, digest(batch.bars))


def _graded(number: int, key: list[str], one: Batch | Review) -> tuple[object, ...]:
    given, verdict = one.grade, one.verdict
    skipped = "; ".join(f"{s.check}: {s.reason}" for s in verdict.skipped)
    words = naive(one.request.start), naive(one.request.end), given.letter, given.score, one.arithmetic
    fields = verdict.mode, given.confidence, given.of_prices, given.of_volume
    return (number, *key, *words, ", ".join(verdict.ran), skipped, naive(one.at), *fields)


def _finding(number: int, key: list[str], finding: Finding) -> list[object]:
    told = [None if v is None else str(v) for v in (finding.value, finding.expected)]
    span = [naive(finding.start) if finding.start else None, naive(finding.end) if finding.end else None]
    spans = [naive(t) for run in finding.spans for t in run] or None
    row = [number, key[0], key[1], key[2], finding.check, finding.severity.value, *span, finding.count, *told, finding.message]
    return [*row, finding.type, spans]


def digest(bars: BarSet) -> str:
    """A hash of what was delivered: the same bars have the same digest, whenever and however they came."""
    return digest_of((bars.ts, bars.open, bars.high, bars.low, bars.close, bars.volume))


def digest_of(columns: Iterable[np.ndarray | array[Any]]) -> str:
    """The hash of stamps and prices, which stand in the order of `digest`."""
    made = blake2b(digest_size=16)
    for column in columns:
        made.update(column.tobytes())
    return made.hexdigest()
