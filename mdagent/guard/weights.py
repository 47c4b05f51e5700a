"""What each fact about a source counts for. Settings may say otherwise."""

from __future__ import annotations

from typing import NamedTuple


class Weights(NamedTuple):
    """What each fact counts for, 0 or more; only their ratios matter. Those given here add up to 100 points.

    With no history, reliability, quality and latency are the same for all, and the other weights read as a list of priorities, each
    above the sum of what follows it: `key` (12) > `basis` + `quota` + `allowance` + `freshness` (11.5), `basis` (6) > the last three
    (5.5), `quota` (3) > the last two (2.5). So a source that needs no key, Yahoo, is asked first when everything is fresh, then who
    delivers the basis itself, then who has most left. History overrules this only when it says much: 12 points are 0.4 of
    reliability, or 40 of quality, or 0.2 and 20, by which a free source must be worse before a metered key is spent. Money weighs as
    a key does: a cent takes 6 points, a fortune 12. `live` stands for `freshness` where the price of this minute is wanted: a
    quarter of an hour then weighs more than key, basis and quota together. The state of the breaker goes before the score; it counts
    a little here so that the score tells of it.
    """

    reliability: float = 30.0
    quality: float = 30.0
    key: float = 12.0
    cost: float = 12.0
    basis: float = 6.0
    quota: float = 3.0
    latency: float = 2.5
    allowance: float = 2.0
    breaker: float = 2.0
    freshness: float = 0.5
    live: float = 40.0
