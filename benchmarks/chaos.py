"""A suite of experiments, and the table of what came of it.

    python benchmarks/chaos.py [--suite NAME] [--write FILE] [--brief FILE]

The figures are of simulated time, so that they are the same on every machine. Exit code 1 when an experiment did not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdagent.chaos.report import table
from mdagent.chaos.shipped import SUITES, shipped
from mdagent.chaos.suite import COLUMNS, row_of, run_all
from mdagent.config import Flags, load

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK = "<!-- printed by benchmarks/chaos.py -->"
BESIDE = 4  # experiments in a line of the brief table


def brief(reports: Sequence[dict[str, Any]]) -> list[str]:
    """Names, verdicts and availability alone, several in a line."""
    told = [f"{name} {verdict} {answered}" for name, _, verdict, answered, *_ in map(row_of, reports)]
    told += [""] * (-len(told) % BESIDE)
    return table(["experiment, verdict, answered"] * BESIDE, [told[n : n + BESIDE] for n in range(0, len(told), BESIDE)])


def put(lines: Sequence[str], file: Path) -> None:
    """Between the marks in that file."""
    before, _, rest = file.read_text(encoding="utf-8").partition(MARK)
    _, _, after = rest.partition(MARK)
    file.write_text(f"{before}{MARK}\n" + "\n".join(lines) + f"\n{MARK}{after}", encoding="utf-8")


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--suite", default="standard", choices=SUITES)
    words.add_argument("--write", type=Path, help="put the table between its marks in this file")
    words.add_argument("--brief", type=Path, help="and one of names, verdicts and availability in this one")
    told, began = words.parse_args(), time.monotonic()
    settings = load(Flags(sandbox=True), {"MDAGENT_HOME": os.devnull}, Path.cwd()).settings
    reports = list(run_all([shipped(name) for name in SUITES[told.suite]], settings))
    lines = table(COLUMNS, [row_of(one) for one in reports])
    print("\n".join(lines))
    print(f"{len(reports)} experiments in {time.monotonic() - began:.0f} s on {os.cpu_count()} processors", file=sys.stderr)
    for file, made in ((told.write, lines), (told.brief, brief(reports))):
        if file is not None:
            put(made, file)
    return int(any(one["verdict"] != "held" for one in reports))


if __name__ == "__main__":
    sys.exit(main())
