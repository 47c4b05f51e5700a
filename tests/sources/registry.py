"""Every source that there is, with the file that says how it writes."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from mdagent.sources import NAMES

if TYPE_CHECKING:
    from tests.sources.canonical import Format

KNOWN = tuple(name for name in NAMES if find_spec(f"tests.sources.formats.{name}"))  # a test says that these are all


@lru_cache(maxsize=32)
def format_of(name: str) -> Format:
    """How that source writes."""
    made: Format = import_module(f"tests.sources.formats.{name}").FORMAT
    return made
