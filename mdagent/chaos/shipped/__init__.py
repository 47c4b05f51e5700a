"""The experiments that come with mdagent, and the suites made of them."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

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
    "bad-bodies",
    "cut-bodies",
)
STANDARD = QUICK
SUITES: Mapping[str, tuple[str, ...]] = {"quick": QUICK, "standard": STANDARD}


def names() -> tuple[str, ...]:
    """Of all that come along."""
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files(__package__).iterdir() if f.name.endswith(".yaml")))


@lru_cache(maxsize=64)
def shipped(name: str) -> Experiment:
    """The experiment of that name."""
    from mdagent.chaos.reading import read_experiment

    return read_experiment(files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml", name)


def find(word: str, cwd: Path) -> Experiment:
    """The experiment of that name, or in that file. Raises UsageError, ConfigError."""
    from mdagent.chaos.reading import read_experiment
    from mdagent.config.files import read_text

    if word in names():
        return shipped(word)
    if word.endswith((".yaml", ".yml")) or "/" in word:
        path = cwd / word
        return read_experiment(read_text(path, "experiment"), word, path.stem)
    import difflib

    near = difflib.get_close_matches(word[:40], names(), 1)
    msg = f"no experiment is called {word[:40]!a}"
    raise UsageError(msg, f"did you mean {near[0]}?" if near else "mdagent chaos list names them; a file ends in .yaml")
