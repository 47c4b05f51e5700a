"""The registry of sources: a name -> its adapter. A provider is one file of this folder; it is found by being there.

Each has a class `Source` with the facts as `spec`. `base` and names with an underscore are no providers; `reading/` is what the
translations share.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mdagent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.sources.base import Plan, Source, SourceSpec

NAMES: tuple[str, ...] = tuple(
    sorted(stem for name in os.listdir(__path__[0]) if (stem := name.removesuffix(".py")) != name and stem != "base" and "_" not in stem)  # noqa: PTH208  pathlib costs every command its import
)


def load(  # what settings may say of a source
    name: str,
    *,
    api_key: str | None = None,
    base_url: str | Sequence[str] | None = None,
    user_agent: str | None = None,
    plan: Plan | str | None = None,
) -> Source:
    """The source of that name under that plan, or the plan of that name. `base_url` (one, or several) replaces its hosts. Raises UsageError
    for an unknown name, ConfigError for an unknown plan."""
    made = _class_of(name)
    terms = made.spec.plan(plan) if plan is None or isinstance(plan, str) else plan
    source: Source = made(terms, api_key=api_key, base_url=base_url, user_agent=user_agent)
    return source


def spec_of(name: str) -> SourceSpec:
    """The facts of that source. Raises UsageError."""
    spec: SourceSpec = _class_of(name).spec
    return spec


def _class_of(name: str) -> Any:  # noqa: ANN401  the class `Source` of the module, which fulfils the protocol
    if name not in NAMES:
        import difflib

        near = difflib.get_close_matches(name, NAMES, 1)
        msg = f"no source is called {name[:40]!a}"
        raise UsageError(msg, f"did you mean {near[0]}?" if near else f"use one of {', '.join(NAMES)}")
    return import_module(f"mdagent.sources.{name}").Source
