"""The tables of bars.duckdb, as migrations: the n-th entry takes a store of version n-1 to version n.

No primary keys: in DuckDB a key costs three to seven times the ingest and six times the size, and does not speed a sorted read.
Uniqueness of (symbol, interval, ts, source, adjustment) is kept by the writer and proved by `mdagent doctor`. All TIMESTAMP
columns are UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.market import FILE
from mdagent.store.decided import settled

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KEY = "symbol = ? AND interval = ? AND source = ? AND adjustment = ?"
# Which of several bars of a stamp is served: the final and best graded one; of equals a provider's before an imported one, then by name.
BEST = f"provisional, score DESC, starts_with(source, '{FILE}'), source"
QUARANTINED = "q.symbol = ? AND q.interval = ? AND q.source = ? AND q.adjustment = ?"

_V1 = """
CREATE TABLE meta (key VARCHAR NOT NULL, value VARCHAR NOT NULL);
CREATE SEQUENCE batches;
CREATE TABLE journal (
    batch BIGINT NOT NULL, kept_at TIMESTAMP NOT NULL, run VARCHAR NOT NULL, symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL,
    source VARCHAR NOT NULL, adjustment VARCHAR NOT NULL, start_ts TIMESTAMP NOT NULL, end_ts TIMESTAMP NOT NULL,
    delivered BIGINT NOT NULL, inserted BIGINT NOT NULL, replaced BIGINT NOT NULL, revised BIGINT NOT NULL,
    quarantined BIGINT NOT NULL, digest VARCHAR NOT NULL);
CREATE TABLE bars (
    symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, source VARCHAR NOT NULL,
    adjustment VARCHAR NOT NULL, open DOUBLE NOT NULL, high DOUBLE NOT NULL, low DOUBLE NOT NULL, close DOUBLE NOT NULL,
    volume DOUBLE, vwap DOUBLE, trades DOUBLE, currency VARCHAR, provisional BOOLEAN NOT NULL, score DOUBLE NOT NULL,
    fetched_at TIMESTAMP NOT NULL, batch BIGINT NOT NULL);
CREATE TABLE revisions (
    symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, source VARCHAR NOT NULL,
    adjustment VARCHAR NOT NULL, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE, score DOUBLE,
    fetched_at TIMESTAMP NOT NULL, batch BIGINT NOT NULL, replaced_at TIMESTAMP NOT NULL, replaced_by BIGINT NOT NULL);
CREATE TABLE quarantine (
    symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, ts TIMESTAMP, source VARCHAR NOT NULL, adjustment VARCHAR NOT NULL,
    check_name VARCHAR NOT NULL, reason VARCHAR NOT NULL, raw VARCHAR NOT NULL, fetched_at TIMESTAMP NOT NULL, batch BIGINT NOT NULL);
CREATE TABLE findings (
    batch BIGINT NOT NULL, symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, source VARCHAR NOT NULL, check_name VARCHAR NOT NULL,
    severity VARCHAR NOT NULL, start_ts TIMESTAMP, end_ts TIMESTAMP, count BIGINT NOT NULL, value VARCHAR, expected VARCHAR,
    message VARCHAR NOT NULL);
CREATE TABLE grades (
    batch BIGINT NOT NULL, symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, source VARCHAR NOT NULL,
    adjustment VARCHAR NOT NULL, start_ts TIMESTAMP NOT NULL, end_ts TIMESTAMP NOT NULL, letter VARCHAR NOT NULL,
    score DOUBLE NOT NULL, arithmetic VARCHAR NOT NULL, ran VARCHAR NOT NULL, skipped VARCHAR NOT NULL, kept_at TIMESTAMP NOT NULL);
CREATE TABLE coverage (
    symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, source VARCHAR NOT NULL, adjustment VARCHAR NOT NULL,
    start_ts TIMESTAMP NOT NULL, end_ts TIMESTAMP NOT NULL, reason VARCHAR NOT NULL, expires TIMESTAMP, as_of TIMESTAMP NOT NULL);
CREATE TABLE actions (
    symbol VARCHAR NOT NULL, source VARCHAR NOT NULL, kind VARCHAR NOT NULL, date DATE NOT NULL, value DOUBLE NOT NULL,
    currency VARCHAR, fetched_at TIMESTAMP NOT NULL, batch BIGINT NOT NULL);
CREATE TABLE instruments (
    symbol VARCHAR NOT NULL, source VARCHAR NOT NULL, name VARCHAR NOT NULL, exchange VARCHAR NOT NULL, zone VARCHAR NOT NULL,
    currency VARCHAR NOT NULL, kind VARCHAR NOT NULL, first_trade DATE, seen_at TIMESTAMP NOT NULL);
CREATE TABLE calendars (
    calendar VARCHAR NOT NULL, version VARCHAR NOT NULL, start_day DATE NOT NULL, end_day DATE NOT NULL);
CREATE TABLE sessions (
    calendar VARCHAR NOT NULL, day DATE NOT NULL, opens TIMESTAMP NOT NULL, closes TIMESTAMP NOT NULL,
    break_start TIMESTAMP, break_end TIMESTAMP);
CREATE VIEW consolidated AS
    SELECT * FROM bars
    QUALIFY row_number() OVER (PARTITION BY symbol, interval, adjustment, ts ORDER BY provisional, score DESC, source) = 1;
"""

# Several providers: units, restatements told from errors, and splits and dividends with what their amounts mean. Tables are made
# anew, since DuckDB cannot commit two ALTERs of one table that has rows.
_V2 = """
DROP VIEW consolidated;
ALTER TABLE bars RENAME TO bars_1;
CREATE TABLE bars (
    symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, source VARCHAR NOT NULL,
    adjustment VARCHAR NOT NULL, open DOUBLE NOT NULL, high DOUBLE NOT NULL, low DOUBLE NOT NULL, close DOUBLE NOT NULL,
    volume DOUBLE, vwap DOUBLE, trades DOUBLE, currency VARCHAR, provisional BOOLEAN NOT NULL, score DOUBLE NOT NULL,
    fetched_at TIMESTAMP NOT NULL, batch BIGINT NOT NULL, lot DOUBLE NOT NULL, scale DOUBLE NOT NULL, raw_volume BOOLEAN NOT NULL,
    venue VARCHAR);
INSERT INTO bars SELECT *, 1, 1, false, NULL FROM bars_1;
DROP TABLE bars_1;
ALTER TABLE revisions RENAME TO revisions_1;
CREATE TABLE revisions (
    symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, source VARCHAR NOT NULL,
    adjustment VARCHAR NOT NULL, open DOUBLE, high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE, score DOUBLE,
    fetched_at TIMESTAMP NOT NULL, batch BIGINT NOT NULL, replaced_at TIMESTAMP NOT NULL, replaced_by BIGINT NOT NULL,
    currency VARCHAR, lot DOUBLE NOT NULL, raw_volume BOOLEAN NOT NULL, cause VARCHAR NOT NULL);
INSERT INTO revisions
    SELECT *, (SELECT max(currency) FROM bars b WHERE b.symbol = r.symbol AND b.source = r.source), 1, false, 'revision' FROM revisions_1 r;
DROP TABLE revisions_1;
ALTER TABLE actions RENAME TO actions_1;
CREATE TABLE actions (
    symbol VARCHAR NOT NULL, source VARCHAR NOT NULL, kind VARCHAR NOT NULL, date DATE NOT NULL, value DOUBLE NOT NULL,
    currency VARCHAR, fetched_at TIMESTAMP NOT NULL, batch BIGINT NOT NULL, adjusted BOOLEAN NOT NULL, replaced_at TIMESTAMP);
INSERT INTO actions SELECT *, kind <> 'split', NULL FROM actions_1;
DROP TABLE actions_1;
CREATE TABLE restatements (
    symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, source VARCHAR NOT NULL, adjustment VARCHAR NOT NULL, bars BIGINT NOT NULL,
    first_ts TIMESTAMP NOT NULL, last_ts TIMESTAMP NOT NULL, factor DOUBLE NOT NULL, kept_at TIMESTAMP NOT NULL, batch BIGINT NOT NULL);
CREATE VIEW consolidated AS
    SELECT * FROM bars
    QUALIFY row_number() OVER (PARTITION BY symbol, interval, adjustment, ts ORDER BY provisional, score DESC, source) = 1;
"""

# Kinds of defects, the confidence of a grade, what several sources agree upon, and what people decide and mend.
_V3 = """
ALTER TABLE findings RENAME TO findings_2;
CREATE TABLE findings (
    batch BIGINT NOT NULL, symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, source VARCHAR NOT NULL, check_name VARCHAR NOT NULL,
    severity VARCHAR NOT NULL, start_ts TIMESTAMP, end_ts TIMESTAMP, count BIGINT NOT NULL, value VARCHAR, expected VARCHAR,
    message VARCHAR NOT NULL, type VARCHAR NOT NULL, spans TIMESTAMP[]);
INSERT INTO findings SELECT *, check_name, NULL FROM findings_2;
DROP TABLE findings_2;
ALTER TABLE grades RENAME TO grades_2;
CREATE TABLE grades (
    batch BIGINT NOT NULL, symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, source VARCHAR NOT NULL,
    adjustment VARCHAR NOT NULL, start_ts TIMESTAMP NOT NULL, end_ts TIMESTAMP NOT NULL, letter VARCHAR NOT NULL,
    score DOUBLE NOT NULL, arithmetic VARCHAR NOT NULL, ran VARCHAR NOT NULL, skipped VARCHAR NOT NULL, kept_at TIMESTAMP NOT NULL,
    mode VARCHAR NOT NULL, confidence DOUBLE, price_score DOUBLE, volume_score DOUBLE);
INSERT INTO grades SELECT *, 'balanced', NULL, NULL, NULL FROM grades_2;
DROP TABLE grades_2;
CREATE TABLE agreements (
    symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, adjustment VARCHAR NOT NULL, source VARCHAR NOT NULL,
    voices BIGINT NOT NULL, agreement DOUBLE NOT NULL, middle DOUBLE NOT NULL, spread DOUBLE, outvoted BOOLEAN NOT NULL,
    checked_at TIMESTAMP NOT NULL);
CREATE TABLE overrides (
    number BIGINT NOT NULL, symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, source VARCHAR NOT NULL,
    decision VARCHAR NOT NULL, reason VARCHAR NOT NULL, who VARCHAR NOT NULL, decided_at TIMESTAMP NOT NULL, undone_at TIMESTAMP);
CREATE TABLE repairs (
    number BIGINT NOT NULL, symbol VARCHAR NOT NULL, interval VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, source VARCHAR NOT NULL,
    adjustment VARCHAR NOT NULL, type VARCHAR NOT NULL, evidence VARCHAR NOT NULL, factor DOUBLE, open DOUBLE NOT NULL,
    high DOUBLE NOT NULL, low DOUBLE NOT NULL, close DOUBLE NOT NULL, volume DOUBLE, was_open DOUBLE, was_high DOUBLE, was_low DOUBLE,
    was_close DOUBLE, was_volume DOUBLE, currency VARCHAR, provisional BOOLEAN NOT NULL, score DOUBLE NOT NULL,
    fetched_at TIMESTAMP NOT NULL, batch BIGINT NOT NULL, lot DOUBLE NOT NULL, scale DOUBLE NOT NULL, raw_volume BOOLEAN NOT NULL,
    venue VARCHAR, who VARCHAR NOT NULL, applied_at TIMESTAMP NOT NULL, undone_at TIMESTAMP);
CREATE SEQUENCE decisions;
DROP VIEW consolidated;
"""
_V3 += f"""
CREATE VIEW settled AS SELECT * FROM {settled()};
CREATE VIEW consolidated AS
    SELECT * EXCLUDE (mark) REPLACE (mark AS source) FROM settled
    QUALIFY row_number() OVER (PARTITION BY symbol, interval, adjustment, ts ORDER BY {BEST}) = 1;
"""

# Results that are pinned by a name, and a mark of each of their bars.
_V4 = """
CREATE TABLE frozen (
    name VARCHAR NOT NULL, symbols VARCHAR NOT NULL, interval VARCHAR NOT NULL, start_ts TIMESTAMP NOT NULL, end_ts TIMESTAMP NOT NULL,
    adjustment VARCHAR NOT NULL, as_of TIMESTAMP NOT NULL, bars BIGINT NOT NULL, digest VARCHAR NOT NULL, frozen_at TIMESTAMP NOT NULL);
CREATE TABLE frozen_bars (
    name VARCHAR NOT NULL, symbol VARCHAR NOT NULL, ts TIMESTAMP NOT NULL, source VARCHAR NOT NULL, score DOUBLE NOT NULL,
    mark BIGINT NOT NULL);
"""

MIGRATIONS: tuple[str, ...] = (_V1, _V2, _V3, _V4)
VERSION = len(MIGRATIONS)


def migrate(db: DuckDBPyConnection, version: int) -> None:
    """Bring a store from that version to ours, in the transaction of the caller."""
    for number, migration in enumerate(MIGRATIONS[version:], version + 1):
        db.execute(migration)
        db.execute("DELETE FROM meta WHERE key = 'version'")
        db.execute(f"INSERT INTO meta VALUES ('version', '{number}')")
