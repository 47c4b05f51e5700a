"""A backfill over sources whose windows are hours and days: all of them are used as soon as they are free, and its end is foretold."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from mdagent.sources import NAMES
from mdagent.sources.base import Quota
from tests.cli.earliest import Bound, best, bounds_of
from tests.cli.shell import NOW, Shell, strict
from tests.cli.test_makespan import FOUR, SMALL, best_end, symbols

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOURLY = ("--interval", "1h", "--start", "2024-02-01", "--end", "2024-02-03", "--adjust", "raw")
NEW_YORK = "America/New_York"
HOUR, MINUTE = 3600.0, 60.0
SLOW = {  # the shapes of four free plans, smaller: from ten in the evening in London, two of the days end before it is done
    "alphavantage": (Quota(1, 1.0), Quota(2, "day", NEW_YORK)),
    "twelvedata": (Quota(2, MINUTE), Quota(3, "day", "UTC")),
    "tiingo": (Quota(1, HOUR), Quota(40, "day", NEW_YORK)),
    "polygon": (Quota(1, 2 * HOUR),),
}


def under(limits: Mapping[str, tuple[Quota, ...]]) -> dict[str, str]:
    """The settings under which these sources alone serve, with these windows."""
    told = {}
    for name, quotas in limits.items():
        words = (f"{{limit: {q.limit}, per: {f'{q.per}, zone: {q.zone}' if isinstance(q.per, str) else f'{q.per:g}s'}}}" for q in quotas)
        told[f"MDAGENT_SOURCES__{name.upper()}__LIMITS"] = f"[{', '.join(words)}]"
    return told | {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES if name not in limits}


def asked(shell: Shell) -> list[tuple[str, float, str]]:
    """Whom, when and for what, as the ledger has it."""
    db = sqlite3.connect(shell.home / "ledger.db")
    rows = db.execute("SELECT source, at / 1e6 - ?, subject FROM attempts WHERE cost > 0 ORDER BY at", (NOW.timestamp(),)).fetchall()
    db.close()
    return rows


@pytest.mark.parametrize(("limits", "count"), [(FOUR, 104), (FOUR, 500), (SMALL, 61), ({"yahoo": 1}, 3)])
def test_the_earliest_times_are_those_of_an_integer_program(limits: dict[str, int], count: int) -> None:
    bounds = {name: [Bound(limit, MINUTE)] for name, limit in limits.items()}
    assert best(bounds, NOW, count)[0] == pytest.approx(best_end(limits, count))


def test_a_day_that_ends_gives_its_quota_back_a_minute_later() -> None:
    bounds = {name: bounds_of(quotas) for name, quotas in SLOW.items()}
    assert best(bounds, NOW, 7) == (62.0, {"alphavantage": 2, "twelvedata": 3, "tiingo": 1, "polygon": 1})
    assert best({"alphavantage": bounds["alphavantage"]}, NOW, 3)[0] == 7 * HOUR + MINUTE, "five in the morning, by UTC"
    assert best({"twelvedata": bounds["twelvedata"]}, NOW, 4)[0] == 2 * HOUR + MINUTE


def test_windows_of_hours_and_days_are_filled_and_the_end_is_foretold(tmp_path: Path) -> None:
    shell, count = Shell(tmp_path, under(SLOW)), 18
    said = shell.good("backfill", *symbols(count), *HOURLY, "--progress", "json")
    seconds, by = best({name: bounds_of(quotas) for name, quotas in SLOW.items()}, NOW, count)
    took, went = shell.clock.monotonic(), asked(shell)
    assert seconds <= took <= 1.05 * seconds, (took, seconds, by, went)
    assert all(abs(sum(source == name for source, *_ in went) - count) <= 1 for name, count in by.items()), "none idles while others serve"
    events = [strict(line) for line in said.err.splitlines() if line.startswith("{")]
    told = [(e["seconds"], e["eta_seconds"]) for e in events if e["event"] == "progress" and e["seconds"] < 0.9 * took]
    assert len(told) > 3
    assert [(at, eta, took - at) for at, eta in told if abs(eta - (took - at)) > 0.1 * (took - at)] == []


def test_those_that_one_source_alone_can_serve_do_not_keep_the_others_waiting(tmp_path: Path) -> None:
    limits = {"alphavantage": (Quota(1, HOUR),), "twelvedata": (Quota(10, MINUTE),)}
    shell = Shell(tmp_path, under(limits) | {"MDAGENT_SOURCES__TWELVEDATA__PLAN": "basic"})
    london = ("HSBA.L", "BP.L", "VOD.L", "AZN.L", "GSK.L", "RIO.L", "ULVR.L", "BARC.L", "LLOY.L", "SHEL.L")
    said = shell.run("backfill", *london, *symbols(5), "--start", "2024-01-02", "--end", "2024-01-10", "--adjust", "raw")
    assert said.code == 0, said.err
    went = asked(shell)
    assert [at for source, at, _ in went if source == "alphavantage"][-1] > 9 * HOUR
    assert max(at for _, at, subject in went if "SYM" in subject) < 5 * MINUTE
