"""What a provider has wrong about the market, for as long as a fault lasts: a view of the truth that is spoilt in one way or several.

The truth itself is never touched, so that a referee can still tell what was right. Where a defect falls is a function of the listing, the
provider, the kind and the plan's dice alone: asked twice, a provider is wrong twice about the same bars.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from mdagent.wire.sandbox.distorted_bars import BARS
from mdagent.wire.sandbox.distorted_sessions import SESSIONS
from mdagent.wire.sandbox.view import view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mdagent.wire.sandbox.intraday import Strip
    from mdagent.wire.sandbox.market import Truth
    from mdagent.wire.sandbox.view import View

# How far the dividends before today go into adjusted prices: not at all, or twice.
PAYOUTS: Final[Mapping[str, float]] = {"missing_dividend_adjustment": 0.0, "bad_dividend_adjustment": 2.0}


class Circumstance(NamedTuple):
    """What a distortion is made with: its settings, the seed of its places, the number of sessions that were over when its fault began,
    the session from which on (or before which) it is wrong, `ago` sessions earlier, and the time now."""

    settings: Mapping[str, Any]
    seed: int
    at: int
    since: int
    now: int


class Distortion(NamedTuple):
    """One fault of the truth at one provider. `began` is when it came into force, in epoch seconds; `salt` comes from the dice."""

    kind: str
    settings: Mapping[str, Any]
    began: int
    salt: str

    def circumstance(self, truth: Truth, now: int) -> Circumstance:
        """That of a listing."""
        digest = blake2b(f"{self.salt} {self.kind} {truth.ticker.symbol}".encode(), digest_size=7).digest()
        finished = int(np.searchsorted(truth.hours.closes, self.began, side="right"))
        since = min(max(finished - int(self.settings.get("ago", 0)), 1), len(truth.close) - 1)
        return Circumstance(self.settings, int.from_bytes(digest, "big"), finished, since, now)


_told: ContextVar[tuple[Distortion, ...]] = ContextVar("mdagent_sandbox_distortions", default=())


@contextmanager
def distorted(distortions: Sequence[Distortion]) -> Iterator[None]:
    """Whatever is looked at within is seen so."""
    token = _told.set(tuple(distortions))
    try:
        yield
    finally:
        _told.reset(token)


def seen(truth: Truth, now: int) -> View:
    """The listing as it stands at `now`, in the eyes of who is asked."""
    distortions = _told.get()
    if not distortions or len(truth.close) < 2:
        return view(truth, now)
    made = [(one.kind, one.circumstance(truth, now)) for one in distortions]
    for kind, circumstance in made:
        if kind in SESSIONS:
            truth = SESSIONS[kind](truth, circumstance)
    rows = [(BARS[kind], circumstance) for kind, circumstance in made if kind in BARS]
    power = next((PAYOUTS[kind] for kind, _ in made if kind in PAYOUTS), 1.0)
    return replace(view(truth, now), spoil=_spoiling(rows) if rows else None, power=power)


def _spoiling(
    rows: Sequence[tuple[Callable[[Strip, np.ndarray, Circumstance], Strip], Circumstance]],
) -> Callable[[Strip, np.ndarray], Strip]:
    def spoil(strip: Strip, number: np.ndarray) -> Strip:
        for change, circumstance in rows:
            strip = change(strip, number, circumstance)
        return strip

    return spoil
