"""An experiment file as an experiment. As strict as the settings: what is not known is an error that names its line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.chaos.experiment import Bound, Experiment, Habit, Phases
from mdagent.chaos.probes import PROBES
from mdagent.config.files import Node, parse
from mdagent.config.scalars import did_you_mean, shown
from mdagent.errors import ConfigError, MdagentError
from mdagent.wire.faults import Fault, completed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from mdagent.config.kinds import LimitSettings

_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,3})?) ?(ms|s|m|h|d)?\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) ?%\Z")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
_ASKS = ("quote", "fetch", "backfill", "read", "status", "resets")
_OF_NO_SYMBOL = ("status", "resets")
_INTERVALS = ("1m", "5m", "15m", "30m", "1h", "1d")
_MOST_SYMBOLS = 1000
_MOST_TIMES = 100  # that a fault comes again, where it is not said


class _Place(NamedTuple):
    """A value, and how an error names where it stands."""

    node: Node
    file: str
    path: str

    def below(self, key: str | int, node: Node) -> _Place:
        """A value inside it."""
        at = f"{self.path}[{key}]" if isinstance(key, int) else f"{self.path}.{key}" if self.path else key
        return _Place(node, self.file, at)

    def mapping(self) -> dict[str, _Place]:
        """Its values by name."""
        if not isinstance(self.node.value, dict):
            raise _refused(self, "must be a mapping")
        return {key: self.below(key, node) for key, node in self.node.value.items()}

    def items(self) -> list[_Place]:
        """Its values in order."""
        if not isinstance(self.node.value, list):
            raise _refused(self, "must be a list")
        return [self.below(n, node) for n, node in enumerate(self.node.value)]


def _refused(place: _Place, words: str, hint: str = "") -> ConfigError:
    said = "" if isinstance(place.node.value, dict | list) else f" is {shown(place.node.value)}:"
    msg = f"{place.file}:{place.node.line}: {place.path or 'the experiment'}{said} {words}"
    return ConfigError(msg, hint or "mdagent chaos new writes a commented experiment")


def read_experiment(text: str, file: str, name: str) -> Experiment:
    """The experiment in a file. Raises ConfigError that begins with `file:line`."""
    root = parse(text, file)
    if root is None:
        msg = f"{file}: there is nothing in it"
        raise ConfigError(msg, "mdagent chaos new writes a commented experiment")
    told = _fields(_Place(root, file, ""), _EXPERIMENT, needed=("title", "clock", "load", "hypothesis"))
    made = Experiment(name=name, **told)
    alone = {bound.probe for bound in made.in_real_time} - {bound.probe for bound in made.hypothesis}
    if alone:
        msg = f"{file}: in_real_time has a limit of {', '.join(sorted(alone))}, of which the hypothesis claims nothing"
        raise ConfigError(msg, "add it to the hypothesis, with its limit of simulated time")
    return made


def _fields(place: _Place, known: Mapping[str, Callable[[_Place], Any]], needed: Sequence[str] = ()) -> dict[str, Any]:
    told = place.mapping()
    for key, one in told.items():
        if key not in known:
            msg = f"{one.file}:{one.node.line}: {place.path or 'the experiment'}: there is no setting {shown(key)}"
            raise ConfigError(msg, did_you_mean(key, known))
    for key in needed:
        if key not in told:
            raise _refused(place, f"{key} is missing")
    return {key: known[key](one) for key, one in told.items()}


def _text(place: _Place) -> str:
    if not isinstance(place.node.value, str) or not place.node.value.strip():
        raise _refused(place, "must be text")
    return " ".join(place.node.value.split())


def _flag(place: _Place) -> bool:
    if not isinstance(place.node.value, bool):
        raise _refused(place, "must be true or false")
    return place.node.value


def _whole(low: int, high: int) -> Callable[[_Place], int]:
    def read(place: _Place) -> int:
        raw: object = place.node.value
        if isinstance(raw, int) and not isinstance(raw, bool) and low <= raw <= high:
            return raw
        raise _refused(place, f"must be a whole number from {low} to {high}")

    return read


def _number(place: _Place) -> float:
    """A number, or a share in per cent."""
    raw: object = place.node.value
    if isinstance(raw, int | float) and not isinstance(raw, bool) and raw >= 0:
        return float(raw)
    if isinstance(raw, str) and (found := _PERCENT.match(raw)):
        return float(found[1]) / 100
    raise _refused(place, "must be a number of 0 or more, or one with %")


def _span(place: _Place) -> float:
    """Seconds of `90`, `90s`, `250ms`, `5m`, `2h` or `1d`."""
    found = _SPAN.match(str(place.node.value)) if not isinstance(place.node.value, bool) else None
    if not found:
        raise _refused(place, "must be a time such as 90s, 250ms, 5m, 2h or 1d")
    return float(found[1]) * _UNITS[found[2] or "s"]


def _positive_span(place: _Place) -> float:
    seconds = _span(place)
    if not seconds:
        raise _refused(place, "must be longer than nothing")
    return seconds


def _choice(*options: str) -> Callable[[_Place], str]:
    def read(place: _Place) -> str:
        if place.node.value not in options:
            raise _refused(place, f"must be one of {', '.join(options)}", did_you_mean(str(place.node.value), options))
        return str(place.node.value)

    return read


def _instant(place: _Place) -> datetime:
    from mdagent.market import parse_instant

    try:
        return parse_instant(_text(place))
    except MdagentError:
        raise _refused(place, "must be an instant such as 2024-02-05T15:00:00Z") from None


def _names(place: _Place) -> tuple[str, ...]:
    return tuple(_text(one) for one in place.items())


def _sources(place: _Place) -> tuple[str, ...]:
    return tuple(_choice(*_known_sources())(one) for one in place.items())


def _source(place: _Place) -> str:
    return _choice(*_known_sources())(place)


def _known_sources() -> tuple[str, ...]:
    from mdagent.sources import NAMES

    return tuple(NAMES)


def _plans(place: _Place) -> dict[str, str]:
    from mdagent.sources import spec_of

    made = {}
    for name, one in place.mapping().items():
        if name not in _known_sources():
            raise _refused(place, f"there is no source {shown(name)}", did_you_mean(name, _known_sources()))
        made[name] = _choice(*(plan.name for plan in spec_of(name).plans))(one)
    return made


def _quotas(place: _Place) -> dict[str, tuple[LimitSettings, ...]]:
    from mdagent.config.kinds import LIMITS
    from mdagent.config.refused import Refused

    made = {}
    for name, one in place.mapping().items():
        if name not in _known_sources():
            raise _refused(place, f"there is no source {shown(name)}", did_you_mean(name, _known_sources()))
        try:
            made[name] = LIMITS.read(one.node.plain())
        except Refused as error:
            raise _refused(one, f"must be {error.words}") from None
    return made


def _symbols(place: _Place) -> tuple[str, ...]:
    """So many of the sandbox's names, or those that are told."""
    from mdagent.wire.sandbox.tickers import listing

    if isinstance(place.node.value, int):
        return tuple(f"SYM{n:05}" for n in range(1, _whole(1, _MOST_SYMBOLS)(place) + 1))
    for one in place.items():
        if listing(_text(one)) is None:
            raise _refused(one, "is not traded in the sandbox", "use AAPL, MSFT ..., or SYM00001 to SYM99999, or a number of symbols")
    return tuple(_text(one).upper() for one in place.items())


def _habits(place: _Place) -> tuple[Habit, ...]:
    made = [Habit(**_fields(one, _HABIT, needed=("who", "asks", "every"))) for one in place.items()]
    if not made:
        raise _refused(place, "nobody asks for anything")
    for habit, one in zip(made, place.items(), strict=True):
        if habit.asks not in _OF_NO_SYMBOL and not habit.symbols and not habit.fresh:
            raise _refused(one, "it asks for no symbol", "say symbols: 10, or symbols: [AAPL], or fresh: true")
        if (habit.asks == "resets") != bool(habit.source):
            raise _refused(one, "resets are those of a source, and nobody else names one", "say source: tiingo, and its quotas above")
    if len({habit.who for habit in made}) < len(made):
        raise _refused(place, "two have the same name (who)")
    return tuple(made)


def _hours(place: _Place) -> tuple[float, float]:
    told = [_number(one) for one in place.items()]
    if len(told) != 2 or not 0 <= told[0] < told[1] <= 24:
        raise _refused(place, "must be two hours of a day in UTC, such as [14.5, 21]")
    return told[0], told[1]


def _bounds(place: _Place) -> tuple[Bound, ...]:
    made = []
    for name, one in place.mapping().items():
        if name not in PROBES:
            msg = f"{one.file}:{one.node.line}: {place.path}: there is no probe {shown(name)}"
            raise ConfigError(msg, did_you_mean(name, PROBES) or f"use {', '.join(PROBES)}")
        made.append(Bound(name, (_span if PROBES[name].unit == "s" else _number)(one)))
    if not made:
        raise _refused(place, "nothing is claimed")
    return tuple(made)


def _faults(place: _Place) -> tuple[Fault, ...]:
    return tuple(fault for one in place.items() for fault in _fault(one))


def _fault(place: _Place) -> list[Fault]:
    """What is not one of the words that every fault has is a setting of its kind. One that comes again is several."""
    told = place.mapping()
    if "kind" not in told:
        raise _refused(place, "kind is missing")
    common = {key: _FAULT[key](one) for key, one in told.items() if key in _FAULT}
    settings = {key: _setting(one) for key, one in told.items() if key not in _FAULT}
    start, again = common.get("start", 0.0), common.get("again")
    if again is not None and not common.get("for", again) < again:
        raise _refused(told["again"], "must be longer than the fault is on each time (for)")
    seconds, probability = common.get("for", float("inf")), common.get("probability", 1.0)
    made = Fault(common["kind"], common.get("sources", ()), start, seconds, probability, settings)
    try:
        first = completed(made)
    except ConfigError as error:
        msg = f"{place.file}:{place.node.line}: {place.path}: {error.message}"
        raise ConfigError(msg, error.hint) from None
    return [first] if again is None else [first._replace(start=start + n * again) for n in range(common.get("times", _MOST_TIMES))]


def _setting(place: _Place) -> object:
    """A number, a time in seconds, or a word."""
    raw = place.node.value
    return _span(place) if isinstance(raw, str) and _SPAN.match(raw) and not raw[-1].isdigit() else place.node.plain()


_HABIT: dict[str, Callable[[_Place], Any]] = {
    "who": _text,
    "asks": _choice(*_ASKS),
    "every": _positive_span,
    "symbols": _symbols,
    "fresh": _flag,
    "together": _whole(1, 500),
    "interval": _choice(*_INTERVALS),
    "back": _positive_span,
    "deadline": _positive_span,
    "after": _span,
    "cross_check": _whole(0, 5),
    "hours": _hours,
    "source": _source,
    "program": _flag,
}
_FAULT: dict[str, Callable[[_Place], Any]] = {
    "kind": _text,
    "sources": _sources,
    "start": _span,
    "for": _positive_span,
    "probability": _number,
    "again": _positive_span,
    "times": _whole(1, 1000),
}
_PHASES: dict[str, Callable[[_Place], Any]] = {"before": _positive_span, "during": _positive_span, "after": _positive_span}
_EXPERIMENT: dict[str, Callable[[_Place], Any]] = {
    "title": _text,
    "about": _text,
    "drills": _names,
    "seed": _whole(0, 2**31 - 1),
    "clock": _instant,
    "sources": _sources,
    "plans": _plans,
    "quotas": _quotas,
    "latency": _span,
    "real_time": _flag,
    "observe_only": _flag,
    "phases": lambda place: Phases(**_fields(place, _PHASES)),
    "load": _habits,
    "hypothesis": _bounds,
    "in_real_time": _bounds,
    "faults": _faults,
    "stop": _bounds,
}
