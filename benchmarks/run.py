"""The figures that mdagent promises, as ratios measured in one run: `make bench`.

    python benchmarks/run.py [--rounds N] [--bars N]

Both sides of a ratio take turns on the same machine, so the ratio means something where the milliseconds do not. The exit code is
1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from timing import Contest, contest, process

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).resolve().parent
MDAGENT = str(Path(sys.executable).with_name("mdagent"))
CLOCK = "2026-01-05T12:00:00Z"
FIRST_DAY = "2016-01-05"  # ten years before
FETCH = (MDAGENT, "--sandbox", "fetch", "AAPL", "--period", "10y", "--csv")


def cached_fetch(home: Path, environ: Mapping[str, str], rounds: int) -> Contest:
    """The whole process that prints ten years from the store, against the bare script that prints the same bytes."""
    process(FETCH, environ)  # fills the store
    bare = (sys.executable, str(HERE / "bare.py"), str(home / "sandbox" / "bars.duckdb"), "AAPL", FIRST_DAY)
    (_, ours), (_, other) = process(FETCH, environ), process(bare, environ)
    assert ours == other, "the bare script must print the same bytes"
    assert ours.count(b"\n") > 2500, "ten years have more sessions than that"
    name = "cached fetch of 10 years / typer, duckdb, same rows"
    return contest(name, lambda: process(FETCH, environ)[0], lambda: process(bare, environ)[0], rounds=rounds, goal=1.25)


def help_text(environ: Mapping[str, str], rounds: int) -> Contest:
    """`mdagent --help`, against a Python that imports typer and ends."""
    bare = (sys.executable, "-c", "import typer")
    name = "mdagent --help / import typer"
    return contest(name, lambda: process((MDAGENT, "--help"), environ)[0], lambda: process(bare, environ)[0], rounds=rounds, goal=1.3)


def show(contests: list[Contest]) -> None:
    """The table. Times are medians in milliseconds."""
    print(f"{'ours / other':54} {'cpu ms':>15} {'wall ms':>15} {'cpu ratio':>9} {'wall ratio':>10} {'goal':>5}")
    for c in contests:
        cpu, wall = f"{1000 * c.ours.cpu:.0f} / {1000 * c.other.cpu:.0f}", f"{1000 * c.ours.wall:.0f} / {1000 * c.other.wall:.0f}"
        print(f"{c.name:54} {cpu:>15} {wall:>15} {c.ratio.cpu:9.2f} {c.ratio.wall:10.2f} {c.goal or '':>5} {c.verdict}")


def main() -> int:
    words = argparse.ArgumentParser(description="Measure mdagent against the least that could do the same.")
    words.add_argument("--rounds", type=int, default=15, help="runs of each side (default 15)")
    words.add_argument("--bars", type=int, default=1_000_000, help="bars of the upsert (default a million)")
    told = words.parse_args()
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MDAGENT_", "COVERAGE_"))}
    with TemporaryDirectory() as folder:
        home = Path(folder)
        environ = clean | {"MDAGENT_HOME": str(home), "MDAGENT_CLOCK": CLOCK, "MDAGENT_SANDBOX": "1"}
        contests = [cached_fetch(home, environ, told.rounds), help_text(environ, told.rounds)]
        import upsert  # numpy and duckdb would otherwise be in this process while children are started

        contests.append(upsert.measure(home, told.bars, max(3, told.rounds // 2)))
        import decode

        contests += decode.measure(told.rounds)
        import decisions
        import gate

        contests += [decisions.measure(home, told.rounds, processes) for processes in (1, 8)]
        contests.append(gate.measure(max(3, told.rounds // 2)))
    show(contests)
    return int(any(c.verdict == "MISSED" for c in contests))


if __name__ == "__main__":
    sys.exit(main())
