"""The providers' wire formats: the one truth in the words and habits of each. A dialect is one file of this folder with a
`DIALECT`; it is found by being there.

Written apart from the translations in `mdagent.sources` on purpose, and sharing nothing with them: where both agree, neither
has copied the other's mistake.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Ask:
    """A GET that arrived. `path` is decoded, header names are in lower case, `now` is epoch seconds, `origin` the scheme and host
    that the client used. `plan` is that of its key, once the key is known to be good."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    now: int
    origin: str
    plan: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is put on a wire. `cost` is what it counts of the allowance, None for what was estimated."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    cost: int | None = None


class Refused(Exception):
    """A request that is answered with an error: a status and its words. A dialect that says more has an exception of its own."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


@dataclass(frozen=True, slots=True)
class Allowance:
    """`limit` per `per`: seconds of a rolling window, or a calendar `minute`, `day` or `month` in `zone`. `of`: counted are credits, or
    requests. The sandbox counts by itself; it shares no code with mdagent's own limits."""

    limit: int
    per: float | Literal["minute", "day", "month"]
    zone: str = "UTC"
    of: Literal["credits", "requests"] = "credits"


Why = Literal["no key", "bad key", "no plan"] | Allowance


@dataclass(frozen=True, slots=True)
class Dialect:
    """One provider. `plans` maps its plans to their allowances; the last includes everything. `key_in` reads the key as this
    provider is told it (None: it needs none). `refuse` puts a refusal into its words; `weight` is what a request costs."""

    name: str
    hosts: tuple[str, ...]
    plans: Mapping[str, tuple[Allowance, ...]]
    answer: Callable[[Ask], Reply]
    refuse: Callable[[Ask, Why], Reply]
    key_in: Callable[[Ask], str] | None = None
    weight: Callable[[Ask], int] = lambda _: 1
    headers: Callable[[int, int], Mapping[str, str]] = lambda _used, _left: {}  # of the first allowance: used by this request, left


def as_json(made: Any, status: int = 200, **more: Any) -> Reply:  # noqa: ANN401  JSON is whatever it is
    """A reply with that JSON, compact; a number that is none is a null."""
    try:
        text = json.dumps(made, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(made), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Reply(status, text.encode(), **more)


def _finite(made: Any) -> Any:  # noqa: ANN401  JSON
    if isinstance(made, dict):
        return {name: _finite(one) for name, one in made.items()}
    if isinstance(made, list):
        return [_finite(one) for one in made]
    return None if isinstance(made, float) and not math.isfinite(made) else made


def whole(value: float) -> int | None:
    """Shares as a whole number, None for no number."""
    return None if math.isnan(value) else int(value)


def sandbox_key(name: str, plan: str) -> str:
    """The key that opens a plan of a simulated provider."""
    return f"sandbox-{name}-{plan}"


@lru_cache(maxsize=1)
def dialects() -> Mapping[str, Dialect]:
    """Every dialect there is, by name."""
    stems = sorted(s for n in os.listdir(__path__[0]) if (s := n.removesuffix(".py")) != n and "_" not in s)  # noqa: PTH208  as in sources
    return {stem: import_module(f"{__name__}.{stem}").DIALECT for stem in stems}
