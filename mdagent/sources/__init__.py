"""The registry of sources: a name -> its adapter. A new provider is one file here and one row below."""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING, cast

from mdagent.errors import UsageError

if TYPE_CHECKING:
    from mdagent.sources.base import Source

NAMES = ("yahoo",)


def load(name: str, *, api_key: str | None = None, base_url: str | None = None, user_agent: str | None = None) -> Source:
    """The source of that name. `base_url` replaces its hosts. Raises UsageError for an unknown name."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1)
        msg = f"no source is called {name[:40]!a}"
        raise UsageError(msg, f"did you mean {near[0]}?" if near else f"use one of {', '.join(NAMES)}")
    return cast("Source", import_module(f"mdagent.sources.{name}").make(api_key=api_key, base_url=base_url, user_agent=user_agent))
