"""A file of bars into the store, as a source of its own: read, judged, graded and kept like an answer, whole or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from mdagent.errors import UsageError
from mdagent.market import FILE, Adjustment, Symbol
from mdagent.quality.grade import arithmetic, bar_scores
from mdagent.store.imports import currency_of, is_stored
from mdagent.store.write import Batch
from mdagent.work.barfile import read_each, read_file
from mdagent.work.spans import first_pending, settle
from mdagent.work.validate import case_of, judge_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from mdagent.market import CorporateAction
    from mdagent.store.bars import BarStore
    from mdagent.store.read import Reader
    from mdagent.store.write import Kept, Writer
    from mdagent.work.barfile import BarFile
    from mdagent.work.meta import Meta
    from mdagent.work.validate import Desk, FileCase, Judged, Wish

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}\Z")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One series of a file after its judgement. `kept` is what became of it in the store, None where it was not written; `same`: the
    store had the very same already."""

    judged: Judged
    batch: Batch
    kept: Kept | None = None
    same: bool = False


def source_name(path: Path, told: str | None) -> str:
    """The name of the source that a file becomes: `file:` and a word, the file's own unless one is told. Raises UsageError."""
    if told is None:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-")[:40]
        return FILE + (stem or "bars")
    name = told.removeprefix(FILE)
    if not _NAME.match(name):
        msg = f"{told[:60]!a} cannot be the name of a source"
        raise UsageError(msg, "use at most 40 letters, digits, dots and dashes, such as --source vendor")
    return FILE + name


def read_arrivals(path: Path, meta: Meta, wish: Wish, desk: Desk, run: str) -> list[Arrival]:
    """Every series of a file, judged; all of one symbol where the wish names it. Raises UsageError, NoBars."""
    wish = wish._replace(source=source_name(path, wish.source))
    symbol = wish.symbol or meta.symbol
    files: Iterable[BarFile] = (read_file(path, symbol),) if symbol else read_each(path)
    return [_arrival(file, meta, wish, desk, run) for file in files]


def _arrival(file: BarFile, meta: Meta, wish: Wish, desk: Desk, run: str) -> Arrival:
    case = case_of(file, (), meta, wish, desk)
    if not case.name:
        msg = f"{file.path}: nothing tells the symbol of its bars"
        raise UsageError(msg, "name it: mdagent import FILE --symbol AAPL")
    Symbol.parse(str(case.bars.symbol))  # a name that nobody could type would be stored for nobody
    case = case._replace(bars=replace(case.bars, actions=_of_its_basis(case)))
    judged = judge_case(case, file.path)
    return Arrival(judged, _batch(case, judged, min(case.now, desk.now), run))


def _of_its_basis(case: FileCase) -> tuple[CorporateAction, ...]:
    """Amounts beside raw prices are as paid, beside adjusted ones in shares of today."""
    adjusted = case.bars.adjustment is not Adjustment.RAW
    return tuple(action if action.kind == "split" else action._replace(adjusted=adjusted) for action in case.bars.actions)


def _batch(case: FileCase, judged: Judged, at: datetime, run: str) -> Batch:
    verdict, window = judged.verdict, case.request
    pending = first_pending(window, case.sessions, case.now, timedelta(0))
    kept = replace(verdict.keep, complete_until=pending, fetched_at=at)
    spans, sums = settle(window, verdict.absences, pending, case.now), "\n".join(arithmetic(judged.grade))
    provisional = kept.ts >= np.datetime64(pending.replace(tzinfo=None), "us")
    marks = bar_scores(judged.grade, verdict, kept), provisional
    return Batch(run, window, kept, *marks, verdict, judged.grade, sums, spans, at, tells_actions=case.whole)


def take_in(store: BarStore, arrivals: Sequence[Arrival], purpose: str) -> list[Arrival]:
    """Write the series of one file in one transaction; nothing where one of them is refused, or all are stored already. Raises
    UsageError for a series that is stored in another currency, and StoreError."""
    if any(one.judged.verdict.refused for one in arrivals):
        return list(arrivals)
    if store.exists():
        with store.reading(purpose) as reader:
            seen = [_compared(reader, one) for one in arrivals]
        if all(one.same for one in seen):
            return seen
    with store.writing(purpose) as writer:
        return [_taken(writer, one) for one in arrivals]


def _compared(reader: Reader, arrival: Arrival) -> Arrival:
    batch = arrival.batch
    bars, held = batch.bars, currency_of(reader.ask, batch.request, batch.bars.source)
    if held is not None and held[0] != bars.currency:
        msg = f"{bars.source} has {bars.symbol} in {held[0] or 'no currency'}; here it is in {bars.currency or 'none'}"
        raise UsageError(msg, "tell the same --currency, or import it as another source with --source NAME")
    return replace(arrival, same=is_stored(reader.ask, batch))


def _taken(writer: Writer, arrival: Arrival) -> Arrival:
    seen = _compared(writer, arrival)
    return seen if seen.same else replace(seen, kept=writer.keep(seen.batch))
