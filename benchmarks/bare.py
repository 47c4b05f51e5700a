"""What is measured against: a script that imports typer and duckdb, opens the store read-only and prints the rows of one symbol.

    python benchmarks/bare.py STORE SYMBOL START

It prints byte for byte what `mdagent fetch SYMBOL --csv` prints, and does nothing else: no settings, no lock, no check of what is
covered, no report.
"""

from __future__ import annotations

import csv
import sys

import duckdb
import typer

COLUMNS = "symbol interval ts open high low close volume source adjustment currency grade score provisional".split()
ROWS = """
SELECT symbol, interval, strftime(ts, '%Y-%m-%d'), open, high, low, close, volume, source, adjustment, currency, score, score, provisional
FROM bars WHERE symbol = '{symbol}' AND interval = '1d' AND adjustment = 'splits' AND ts >= TIMESTAMP '{start}' ORDER BY ts
"""
LETTERS = (("A+", 97), ("A", 93), ("A-", 90), ("B+", 87), ("B", 83), ("B-", 80), ("C+", 77), ("C", 73), ("C-", 70), ("D+", 67), ("D", 60))


def whole(number: float | None) -> float | int | None:
    return int(number) if number is not None and number.is_integer() else number


def main(store: str, symbol: str, start: str) -> None:
    with duckdb.connect(store, read_only=True) as db:
        rows = db.execute(ROWS.format(symbol=symbol, start=start)).fetchall()  # DuckDB loads pandas to look at a bound value
    grades = {score: next((name for name, least in LETTERS if score >= least), "F") for score in {row[12] for row in rows}}
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(COLUMNS)
    for row in rows:
        words = "true" if row[13] else "false"
        out.writerow((*row[:3], *map(whole, row[3:8]), *row[8:11], grades[row[12]], whole(row[12]), words))


if __name__ == "__main__":
    assert typer.__version__
    main(*sys.argv[1:])
