"""Is the store sound? What can be wrong with it, each with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import duckdb

from mdagent.store.contents import contents_of
from mdagent.store.literal import literal, naive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mdagent.store.series import Ask

_NAMED = 5  # chunks that are told by name
OK, NOTE, BAD = "ok", "note", "bad"


class Look(NamedTuple):
    """One thing looked at: `ok`, `note` for what is no damage, or `bad`; how many are `wrong`, the first of them, and what to do."""

    check: str
    state: str
    wrong: int
    seen: str
    next_step: str = ""


class _Rule(NamedTuple):
    """`rows` selects what is wrong, with a text for each in the column `what`."""

    check: str
    rows: str
    wrong: str
    next_step: str
    state: str = BAD


_ASIDE = "copy the file away, then start anew from mdagent export -o all.parquet and mdagent import"
_BUG = f"report it: this is a bug; until then {_ASIDE}"
_BAR = "symbol || ' ' || interval || ' ' || CAST(ts AS VARCHAR) || ' ' || source"
_SPAN = "symbol || ' ' || interval || ' ' || source || ' from ' || CAST(start_ts AS VARCHAR)"
_LONG_OVER = "ts + INTERVAL 10 DAY + CASE interval WHEN '1mo' THEN INTERVAL 31 DAY WHEN '1w' THEN INTERVAL 7 DAY ELSE INTERVAL 1 DAY END"


def _without(table: str, what: str, other: str, column: str = "batch") -> str:
    return f"SELECT {what} AS what FROM {table} WHERE {column} NOT IN (SELECT {column} FROM {other})"


_RULES = (
    _Rule(
        "keys of bars",
        f"SELECT {_BAR} AS what FROM bars GROUP BY symbol, interval, ts, source, adjustment HAVING count(*) > 1",
        "keys have more than one bar",
        _BUG,
    ),
    _Rule(
        "number of bars",
        "SELECT symbol || ' ' || interval || ' ' || source AS what FROM"
        " (SELECT symbol, interval, source, adjustment, sum(inserted) AS told FROM journal GROUP BY ALL) LEFT JOIN"
        " (SELECT symbol, interval, source, adjustment, count(*) AS held FROM bars GROUP BY ALL)"
        " USING (symbol, interval, source, adjustment)"
        " WHERE coalesce(held, 0) < told",
        "series have fewer bars than came",
        "mdagent fetch SYMBOL --refresh asks for them again",
    ),
    _Rule("batch of bars", _without("bars", _BAR, "journal"), "bars came with no batch of the journal", _BUG),
    _Rule("batch of quarantine", _without("quarantine", "symbol || ' ' || reason", "journal"), "rows came with no batch", _BUG),
    _Rule("batch of revisions", _without("revisions", _BAR, "journal"), "revisions came with no batch of the journal", _BUG),
    _Rule("grade of findings", _without("findings", "symbol || ' ' || message", "grades"), "findings belong to no grade", _BUG),
    _Rule("calendar of sessions", _without("sessions", "calendar", "calendars", "calendar"), "sessions belong to no calendar", _BUG),
    _Rule(
        "coverage",
        f"SELECT {_SPAN} AS what FROM (SELECT *, max(end_ts) OVER (PARTITION BY symbol, interval, source, adjustment ORDER BY start_ts,"
        " end_ts ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM coverage) WHERE start_ts < before OR end_ts <= start_ts",
        "spans that were asked for overlap or are empty",
        "mdagent fetch SYMBOL --refresh writes them anew",
    ),
    _Rule(
        "values of bars",
        f"SELECT {_BAR} AS what FROM bars WHERE NOT (isfinite(open) AND isfinite(high) AND isfinite(low) AND isfinite(close)"
        " AND isfinite(score)) OR NOT isfinite(coalesce(volume, 0))",
        "bars have a value that is no number",
        _BUG,
    ),
    _Rule(
        "counter of batches",
        "SELECT 'batch ' || CAST(m AS VARCHAR) AS what FROM (SELECT max(batch) AS m FROM (SELECT batch FROM journal UNION ALL SELECT batch"
        " FROM grades)) WHERE m >= (SELECT coalesce(last_value + increment_by, start_value) FROM duckdb_sequences()"
        " WHERE sequence_name = 'batches')",
        "number was given that the counter has not come to",
        "mdagent store compact sets it right",
    ),
    _Rule(
        "provisional bars",
        f"SELECT {_BAR} AS what FROM bars WHERE provisional AND {_LONG_OVER} < {{now}}",
        "provisional bars are long over",
        "mdagent fetch SYMBOL asks for them again; of a file, import a later one",
        NOTE,
    ),
)


def looks(ask: Ask, now: datetime) -> Iterator[Look]:
    """Everything that is looked at in an open store. First every page of every table is read, and with it the checksum that DuckDB keeps
    of it; where one is wrong nothing else can be told."""
    names = [row[0] for row in ask("SELECT table_name FROM duckdb_tables() WHERE NOT temporary AND NOT internal ORDER BY 1", []).fetchall()]
    for name in names:
        try:
            ask(f'SELECT sum(hash(t)::HUGEINT) FROM "{name}" t', []).fetchone()
        except duckdb.Error as error:
            yield Look(f"pages of {name}", BAD, 1, str(error).splitlines()[0][:300], f"restore a copy of the file, or {_ASIDE}")
            return
    yield Look("pages", OK, 0, f"{len(names)} tables read, all checksums right")
    for rule in _RULES:
        yield _look(ask, rule, now)
    yield contents(ask)


def contents(ask: Ask) -> Look:
    """Are the bars of each batch those that were delivered? Read one by one, they are hashed again."""
    found = contents_of(ask)
    if not found.differ:
        others = "; of the others some bars were there before, or gave way to later ones" if found.others else ""
        words = f"hashed again: {found.hashed} of {found.hashed + found.others} batches, all as they came{others}"
        return Look("contents of batches", OK, 0, words)
    more = f" and {len(found.differ) - _NAMED} more" if len(found.differ) > _NAMED else ""
    words = f"the bars of {len(found.differ)} of {found.hashed} batches are not those that came: {', '.join(found.differ[:_NAMED])}{more}"
    return Look("contents of batches", BAD, len(found.differ), words, "mdagent fetch SYMBOL --refresh asks for them again")


def _look(ask: Ask, rule: _Rule, now: datetime) -> Look:
    rows = rule.rows.replace("{now}", literal(naive(now)))
    count, first = ask(f"SELECT count(*), min(what) FROM ({rows})", []).fetchone()
    if not count:
        return Look(rule.check, OK, 0, "")
    return Look(rule.check, rule.state, count, f"{count} {rule.wrong}, such as {first}", rule.next_step)
