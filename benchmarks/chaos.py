"""A suite of experiments, and the table of what came of it.

    python benchmarks/chaos.py [--suite NAME] [--write FILE]

The figures are of simulated time, so that they are the same on every machine. Exit code 1 when an experiment did not hold.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from mdagent.chaos.report import table
from mdagent.chaos.shipped import SUITES, shipped
from mdagent.chaos.suite import COLUMNS, row_of, run_all
from mdagent.config import Flags, load

MARK = "<!-- printed by benchmarks/chaos.py -->"


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--suite", default="standard", choices=SUITES)
    words.add_argument("--write", type=Path, help="put the table between its marks in this file")
    told, began = words.parse_args(), time.monotonic()
    settings = load(Flags(sandbox=True), {"MDAGENT_HOME": os.devnull}, Path.cwd()).settings
    reports = list(run_all([shipped(name) for name in SUITES[told.suite]], settings))
    lines = table(COLUMNS, [row_of(one) for one in reports])
    print("\n".join(lines))
    print(f"{len(reports)} experiments in {time.monotonic() - began:.0f} s on {os.cpu_count()} processors", file=sys.stderr)
    if told.write is not None:
        before, _, rest = told.write.read_text(encoding="utf-8").partition(MARK)
        _, _, after = rest.partition(MARK)
        told.write.write_text(f"{before}{MARK}\n" + "\n".join(lines) + f"\n{MARK}{after}", encoding="utf-8")
    return int(any(one["verdict"] != "held" for one in reports))


if __name__ == "__main__":
    sys.exit(main())
