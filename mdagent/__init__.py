"""mdagent: market bars from several providers as one local history that can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mdagent.agent import Agent
    from mdagent.market import Adjustment, BarRequest, BarSet, Interval, Symbol
    from mdagent.quality.grade import Grade

__version__ = "0.1.0"
__all__ = ["Adjustment", "Agent", "BarRequest", "BarSet", "Grade", "Interval", "Symbol", "__version__"]

_HOMES = {
    "Adjustment": "mdagent.market",
    "Agent": "mdagent.agent",
    "BarRequest": "mdagent.market",
    "BarSet": "mdagent.market",
    "Grade": "mdagent.quality.grade",
    "Interval": "mdagent.market",
    "Symbol": "mdagent.market",
}


def __getattr__(name: str) -> object:
    """A public name, loaded when it is first asked for: `import mdagent` alone costs nothing."""
    home = _HOMES.get(name)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
