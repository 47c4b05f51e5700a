"""How many defects of each type are found, how many of the flagged bars are bad, and how often the letter is the rubric's.

    python benchmarks/defects.py [--seed N] [--rounds N] [--write FILE]

Fresh defects are put at random places of simulated series that no threshold was chosen by (tests/quality/injections.py). Precision is
over bars: a flagged bar that is neither bad nor beside a bad one is a false one. The letter is right when it is the rubric's.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the defects are those of the tests

from mdagent.quality.finding import Severity, Verdict
from mdagent.quality.grade import grade
from mdagent.quality.letters import band
from tests.quality.injections import INJECTIONS, Spoilt
from tests.quality.market_days import bar_set, judged, requested, window

LISTINGS = [f"SYM{n:05d}" for n in range(2001, 2097) if n % 10 != 7]  # those that end in 7 are halted now and then
BESIDE = np.timedelta64(4, "D")  # over a weekend
MARK = "<!-- printed by benchmarks/defects.py -->"


@dataclass
class Tally:
    """What became of the defects of one type."""

    series: int = 0
    units: int = 0
    found: int = 0
    named: int = 0
    letters: int = 0
    true: int = 0
    false: int = 0
    kinds: set[str] = field(default_factory=set)


def flagged(verdict: Verdict, stamps: np.ndarray) -> np.ndarray:
    """Which of the stamps lie in a run that something but a remark was found in."""
    mask = np.zeros(len(stamps), dtype=bool)
    for finding in verdict.findings:
        if finding.severity is not Severity.INFO:
            for start, end in finding.runs:
                if start is not None and end is not None:
                    first, last = (np.datetime64(t.replace(tzinfo=None), "us") for t in (start, end))
                    mask |= (stamps >= first) & (stamps <= last)
    return mask


def count(tally: Tally, spoilt: Spoilt, verdict: Verdict, bad: np.ndarray) -> None:
    """Add one series. `bad` are the stamps that differ from the clean series."""
    stamps = np.unique(spoilt.rows.ts)
    marked = stamps[flagged(verdict, stamps)]
    tally.series += 1
    tally.units += len(spoilt.stamps)
    tally.found += sum(bool((np.abs(marked - s) <= BESIDE).any()) for s in spoilt.stamps)
    tally.named += spoilt.type in {f.type for f in verdict.findings if f.severity is not Severity.INFO}
    tally.letters += band(grade(verdict).score) in spoilt.letters
    near = np.array([bool((np.abs(bad - m) <= BESIDE).any()) for m in marked], dtype=bool)
    tally.true += int(near.sum())
    tally.false += int((~near).sum())


def tallies(seed: int, rounds: int) -> tuple[dict[str, Tally], Tally]:
    """By type of defect; and of the same series without one."""
    rng = np.random.default_rng(seed)
    by_type: dict[str, Tally] = defaultdict(Tally)
    clean = Tally()
    for number in range(rounds * len(INJECTIONS)):
        rows = window(LISTINGS[number % len(LISTINGS)], rng)
        request = requested(rows)
        spoilt = INJECTIONS[number % len(INJECTIONS)](rows, rng)
        alone = judged(bar_set(rows, request), request)
        clean.series += 1
        clean.found += any(f.severity is not Severity.INFO for f in alone.findings)
        clean.false += int(flagged(alone, rows.ts).sum())
        clean.units += len(rows)
        clean.letters += band(grade(alone).score) == "A"
        tally = by_type[spoilt.type]
        tally.kinds.add(INJECTIONS[number % len(INJECTIONS)].__name__)
        count(tally, spoilt, judged(bar_set(spoilt.rows, request, spoilt.splits), request), _different(rows, spoilt))
    return by_type, clean


def _different(rows: object, spoilt: Spoilt) -> np.ndarray:
    """The stamps at which the spoilt rows are not the clean ones; those named by the defect among them."""
    clean = {ts: values for ts, *values in zip(*(getattr(rows, n) for n in ("ts", "open", "high", "low", "close", "volume")), strict=True)}
    made = set(spoilt.stamps)
    told = spoilt.rows
    for ts, *values in zip(told.ts, told.open, told.high, told.low, told.close, told.volume, strict=True):
        if not np.array_equal(values, clean.pop(ts, [np.nan] * 5)):
            made.add(ts)
    return np.array(sorted(made | set(clean)), dtype="datetime64[us]")


def table(seed: int, rounds: int) -> list[str]:
    """The figures as a Markdown table, and a line about clean series."""
    by_type, clean = tallies(seed, rounds)
    lines = ["| type | series | recall | precision | named | letter |", "| --- | --- | --- | --- | --- | --- |"]
    for kind, t in sorted(by_type.items()):
        recall = f"{t.found / t.units:.3f}" if t.units else "whole file"
        precision = f"{t.true / (t.true + t.false):.3f}" if t.true + t.false else "whole file"
        lines.append(f"| {kind} | {t.series} | {recall} | {precision} | {t.named / t.series:.3f} | {t.letters / t.series:.3f} |")
    every = list(by_type.values())
    series, letters = sum(t.series for t in every), sum(t.letters for t in every)
    found, units = sum(t.found for t in every), sum(t.units for t in every)
    said = (
        f"All: recall {found / units:.4f} of {units} defects, letter right in {letters / series:.2%} of {series} series. Clean:"
        f" {clean.found} of {clean.series} series alarmed, {1e6 * clean.false / clean.units:.0f} false flags in a million bars, A in"
        f" {clean.letters / clean.series:.2%}."
    )
    return [*lines, "", said]


def main() -> int:
    words = argparse.ArgumentParser(description="Recall and precision of every type of defect.")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--rounds", type=int, default=40, help="series of each injection (default 40)")
    words.add_argument("--write", type=Path, help="put the table between its marks in this file")
    told = words.parse_args()
    lines = table(told.seed, told.rounds)
    if told.write is None:
        print("\n".join(lines))
        return 0
    before, _, rest = told.write.read_text(encoding="utf-8").partition(MARK)
    _, _, after = rest.partition(MARK)
    told.write.write_text(f"{before}{MARK}\n" + "\n".join(lines) + f"\n{MARK}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
