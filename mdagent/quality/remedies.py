"""What to do about a defect: the steps, in order, each with the command that takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.quality.finding import Finding, Verdict


class Remedy(NamedTuple):
    """A step: what it is, the command that takes it, and the points that the score would gain if it were all that had to be done."""

    what: str
    command: str
    gain: float


class _Rule(NamedTuple):
    """The dimension that a type of defect bears upon, the step, and its command."""

    dimension: str
    what: str
    command: str


_AGAIN = "mdagent fetch {symbol} --interval {interval} --start {start} --end {end} --refresh"
_COMPARE = "mdagent compare {symbol} --interval {interval} --start {start} --end {end}"
_CROSS = "mdagent fetch {symbol} --interval {interval} --start {start} --end {end} --refresh --cross-check 2"
_REPAIR = "mdagent repair {symbol} --interval {interval} --dry-run"
_EXPLAIN = "mdagent explain {symbol} {start} --interval {interval}"
_ROWS = "mdagent query \"SELECT * FROM quarantine WHERE symbol = '{symbol}'\""

_RULES = {
    "nan_field": _Rule("validity", "look at the quarantined rows, and ask another source for them", _CROSS),
    "nonpositive_price": _Rule("validity", "look at the quarantined rows, and ask another source for them", _CROSS),
    "negative_volume": _Rule("validity", "look at the quarantined rows, and ask another source for them", _CROSS),
    "column_swap": _Rule("validity", "look at the quarantined rows, and ask another source for them", _ROWS),
    "future_timestamp": _Rule("validity", "check this machine's clock, and the source's stamps", "mdagent doctor"),
    "non_trading_day_bar": _Rule("validity", "check the symbol's exchange, or add the day to the calendar in the settings", _EXPLAIN),
    "date_shifted": _Rule("validity", "do not use these dates: fetch the window from another source", _CROSS),
    "high_low_swapped": _Rule("consistency", "compare the bars with another source", _COMPARE),
    "ohlc_violation": _Rule("consistency", "compare the bars with another source", _COMPARE),
    "close_outside_range": _Rule("consistency", "compare the bars with another source", _COMPARE),
    "unsorted_rows": _Rule("consistency", "fetch the window again", _AGAIN),
    "adjusted_raw_mix": _Rule("consistency", "fetch the window on one basis", _AGAIN),
    "provider_drift": _Rule("consistency", "use the sources that agree", _COMPARE),
    "duplicate_timestamp": _Rule("uniqueness", "ask another source for the disputed bars", _CROSS),
    "missing_rows": _Rule("completeness", "fetch the missing bars from another source", _CROSS),
    "truncated_history": _Rule("completeness", "fetch what is missing from a source that reaches so far", _CROSS),
    "stale_feed": _Rule("timeliness", "run it again later, or use another source", _AGAIN),
    "delayed_feed": _Rule("timeliness", "use a plan or a source that tells prices in time", "mdagent sources rank {symbol}"),
    "stale_run": _Rule("timeliness", "ask another source for the repeated bars", _CROSS),
    "unnamed_symbol": _Rule("accuracy", "compare with a source that names the symbol", _COMPARE),
    "bad_tick": _Rule("accuracy", "see what a second source says, and repair the bars", _REPAIR),
    "decimal_shift": _Rule("accuracy", "repair the bars", _REPAIR),
    "currency_mixup": _Rule("accuracy", "repair the bars", _REPAIR),
    "unadjusted_split": _Rule("accuracy", "repair the bars by the split, or fetch them again", _REPAIR),
    "wrong_symbol": _Rule("accuracy", "check the symbol, and compare with another source", _COMPARE),
    "volume_scale": _Rule("accuracy", "repair the volumes", _REPAIR),
    "zero_volume": _Rule("accuracy", "ask another source for these volumes", _COMPARE),
    "missing_dividend_adjustment": _Rule("accuracy", "fetch raw prices and adjust them here", _AGAIN),
    "bad_dividend_adjustment": _Rule("accuracy", "fetch raw prices and adjust them here", _AGAIN),
    "bad_dividend_amount": _Rule("accuracy", "see which amounts other sources list", "mdagent actions {symbol}"),
    "phantom_split": _Rule("accuracy", "see which splits other sources list", "mdagent actions {symbol}"),
    "phantom_dividend": _Rule("accuracy", "see which payments other sources list", "mdagent actions {symbol}"),
}
VOLUME_ONLY = frozenset(("negative_volume", "zero_volume", "volume_scale", "partial_volume"))
PRICES_ONLY = frozenset(_RULES) - VOLUME_ONLY - {
    "nan_field", "column_swap", "missing_rows", "truncated_history", "stale_run", "stale_feed", "date_shifted", "wrong_symbol",
    "duplicate_timestamp", "non_trading_day_bar", "future_timestamp", "unsorted_rows",
}  # fmt: skip
OF_SINGLE_BARS = frozenset(
    (
        "nan_field", "nonpositive_price", "negative_volume", "column_swap", "future_timestamp", "non_trading_day_bar", "high_low_swapped",
        "ohlc_violation", "close_outside_range", "duplicate_timestamp", "missing_rows", "truncated_history", "stale_feed", "stale_run",
        "bad_tick", "decimal_shift", "zero_volume", "volume_scale", "bad_dividend_amount", "phantom_dividend", "phantom_split",
    )
)  # fmt: skip
_OTHER = _Rule("validity", "look at the findings", _EXPLAIN)


def dimension_of(kind: str) -> str:
    """The dimension of quality that a type of defect bears upon."""
    return _RULES.get(kind, _OTHER).dimension


def remedies(verdict: Verdict, gains: Mapping[str, float]) -> tuple[Remedy, ...]:
    """The steps that the defects ask for, the one that gains most first. `gains`: by type of defect."""
    made: dict[str, Remedy] = {}
    for kind, gain in sorted(gains.items(), key=lambda pair: (-pair[1], pair[0])):
        rule = _RULES.get(kind, _OTHER)
        finding = next(f for f in verdict.findings if f.type == kind)
        command = rule.command.format(**_words(finding, verdict))
        held = made.get(command)
        made[command] = Remedy(rule.what, command, gain) if held is None else held._replace(gain=round(held.gain + gain, 1))
    return tuple(made.values())


def _words(finding: Finding, verdict: Verdict) -> dict[str, str]:
    from datetime import timedelta

    bars = verdict.keep
    start, end = (finding.start or verdict.start), (finding.end or verdict.end)
    return {
        "symbol": str(bars.symbol),
        "interval": bars.interval.value,
        "start": f"{start:%Y-%m-%d}",
        "end": f"{end + timedelta(days=1):%Y-%m-%d}",
    }
