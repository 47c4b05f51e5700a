"""What the table of kinds is made of."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Where = Literal["transport", "provider", "truth", "proxy", "host", "scene"]
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Fault(NamedTuple):
    """One fault of an experiment: `kind` is a name in `KINDS`, `sources` the names of the sources that it strikes (none named: all).
    It may strike from `start` seconds after the injection began, for so many `seconds`, each time with that `probability`."""

    kind: str
    sources: tuple[str, ...]
    start: float
    seconds: float
    probability: float = 1.0
    settings: Mapping[str, Any] = _NOTHING


class Setting(NamedTuple):
    """What can be set of a kind: a number from `low` to `high`, one of `choices`, or, of a text without choices, any short one."""

    default: float | str
    says: str
    low: float = 0.0
    high: float = 0.0
    choices: tuple[str, ...] = ()

    def refusal(self, value: object) -> str | None:
        """Why a value may not stand here, or None."""
        if self.choices:
            return None if value in self.choices else f"use one of {', '.join(self.choices)}"
        if isinstance(self.default, str):
            return None if isinstance(value, str) and 0 < len(value) <= 32 else "use a text of 1 to 32 characters"
        number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = number and self.low <= value <= self.high  # type: ignore[operator]
        return None if fits else f"use a number from {self.low:g} to {self.high:g}"


class Kind(NamedTuple):
    """One row of the table. `where` is the part that brings it about: the `transport`, which stands before any world; the simulated
    `provider`, or its view of the `truth`; the TCP `proxy`, where there are real sockets; the `host`, where mdagent is a process; the
    `scene`, where time is simulated."""

    where: Where
    says: str
    settings: Mapping[str, Setting] = _NOTHING


def one_of(*choices: str, says: str) -> Setting:
    """A word of several, the first where none is given."""
    return Setting(choices[0], says, choices=choices)
