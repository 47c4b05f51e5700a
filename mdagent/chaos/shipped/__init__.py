"""The experiments that come with mdagent, and the suites made of them."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from mdagent.chaos.chance import RANDOM, random_experiment
from mdagent.chaos.soak import SOAK, soak
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mdagent.chaos.experiment import Experiment

QUICK = (
    "primary-down",
    "primary-black-hole",
    "garbage",
    "last-one-slow",
    "all-down",
    "flapping",
    "network-cut",
    "shared-quota",
    "storm-of-429",
    "half-fail",
    "half-fail-observed",
    "bad-bodies",
    "cut-bodies",
    "lock-held",
)
STANDARD = (
    *QUICK,
    "bad-truth",
    "drifting-source",
    "stale-feed",
    "keys-and-plans",
    "clock-steps",
    "cron-evening",
    "trading-week",
    "calendar-resets",
)
# Of real time: on real processes, so that no two runs are alike to the digit.
HOST = (
    "killed-backfills",
    "full-disk",
    "few-files",
    "pressed-machine",
    "edited-settings",
    "rotten-store",
    "rotten-ledger",
)
COMPREHENSIVE = (
    *STANDARD,
    *HOST,
    "first-bar-lies",
    "quote-lies",
    "slow-opinion",
    "live-failover",
    "trading-month",
    *(f"{RANDOM}-{seed}" for seed in range(1, 101)),
)
EXTENDED = (SOAK,)
SUITES: Mapping[str, tuple[str, ...]] = {"quick": QUICK, "standard": STANDARD, "comprehensive": COMPREHENSIVE, "extended": EXTENDED}
_BY_CHANCE = re.compile(rf"{RANDOM}-([0-9]{{1,9}})\Z")


def names() -> tuple[str, ...]:
    """Of all that come along."""
    return tuple(sorted([SOAK, *(f.name.removesuffix(".yaml") for f in files(__package__).iterdir() if f.name.endswith(".yaml"))]))


@lru_cache(maxsize=64)
def shipped(name: str) -> Experiment:
    """The experiment of that name; `random-7` is what chance makes of seed 7, `soak` what it makes of a day and seed 1."""
    from mdagent.chaos.reading import read_experiment

    if name == SOAK:
        return soak(1)
    if by_chance := _BY_CHANCE.match(name):
        return random_experiment(int(by_chance[1]))
    return read_experiment(files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml", name)


def find(word: str, cwd: Path) -> Experiment:
    """The experiment of that name, or in that file. Raises UsageError, ConfigError."""
    from mdagent.chaos.reading import read_experiment
    from mdagent.config.files import read_text

    if word in names() or _BY_CHANCE.match(word):
        return shipped(word)
    if word.endswith((".yaml", ".yml")) or "/" in word:
        path = cwd / word
        return read_experiment(read_text(path, "experiment"), word, path.stem)
    import difflib

    near = difflib.get_close_matches(word[:40], names(), 1)
    msg = f"no experiment is called {word[:40]!a}"
    raise UsageError(msg, f"did you mean {near[0]}?" if near else "mdagent chaos list names them; a file ends in .yaml")
