"""Exit codes: one enum, and the two tables that lead to it."""

from __future__ import annotations

from typing import Any

import pytest

from mdagent import errors
from mdagent.cli.exits import MEANINGS, OF_ERROR, OF_FAILURE, ExitCode, of_error, of_failure, of_report
from mdagent.errors import ConfigError, MdagentError, StoreBusy, StoreDamaged, StoreError, StoreFull, UsageError, WrongWorld
from mdagent.guard.outcome import ConversationFailed, Failure, FailureKind
from mdagent.market import BarRequest
from mdagent.work.report import Line, Report

K, X = FailureKind, ExitCode
REQUEST = BarRequest("AAPL", "1d", "2024-01-02", "2024-02-01")  # type: ignore[arg-type]


def good(**more: Any) -> Line:
    facts: dict[str, Any] = {"request": REQUEST, "source": "yahoo", "bars": 21, "letter": "A", "score": 96.0}
    return Line(**facts | more)


GOOD, GAPPY, CUT, POOR = good(), good(absent=(("provider gap", 1),)), good(cut=True), good(letter="D", score=60.0)


def bad(kind: FailureKind, bars: int = 0) -> Line:
    return Line(REQUEST, "yahoo", bars=bars, failure=Failure(kind, "it failed"))


def test_the_numbers_are_those_that_scripts_know() -> None:
    assert {c.name: c.value for c in ExitCode} == {
        "OK": 0, "BUG": 1, "USAGE": 2, "CONFIG": 3, "NO_SOURCE": 4, "PARTIAL": 5, "BELOW_GRADE": 6, "QUOTA": 7, "STORE_BUSY": 8,
        "STORE_DAMAGED": 9, "DISK_FULL": 10, "KEY": 11, "NO_DATA": 12, "UNKNOWN_SYMBOL": 13, "DEADLINE": 14, "INTERRUPTED": 130,
        "TERMINATED": 143,
    }  # fmt: skip


def test_every_code_has_its_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_leads_to_a_code(kind: FailureKind) -> None:
    code = of_failure(Failure(kind, ""))
    assert code not in (X.OK, X.BUG, X.USAGE, X.CONFIG, X.PARTIAL)
    assert code is OF_FAILURE.get(kind, X.NO_SOURCE)
    assert of_error(ConversationFailed(Failure(kind, ""))) is code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError, X.USAGE),
        (ConfigError, X.CONFIG),
        (WrongWorld, X.CONFIG),
        (StoreBusy, X.STORE_BUSY),
        (StoreDamaged, X.STORE_DAMAGED),
        (StoreFull, X.DISK_FULL),
        (StoreError, X.NO_SOURCE),
        (MdagentError, X.NO_SOURCE),
    ],
)
def test_every_error_leads_to_its_code(error: type[MdagentError], code: ExitCode) -> None:
    assert of_error(error("it failed")) is code


def test_the_table_holds_every_error_that_is_drawn() -> None:
    drawn = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, MdagentError)}
    assert {e for e in drawn if not any(issubclass(e, kind) for kind, _ in OF_ERROR)} == {MdagentError, StoreError}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([GOOD], X.OK),
        ([GOOD, GOOD], X.OK),
        ([GAPPY], X.PARTIAL),
        ([CUT], X.PARTIAL),
        ([good(quarantined=1)], X.PARTIAL),
        ([good(provisional=1)], X.OK),
        ([GOOD, GAPPY], X.PARTIAL),
        ([POOR], X.BELOW_GRADE),
        ([POOR, GOOD], X.BELOW_GRADE),
        ([POOR, GAPPY], X.PARTIAL),
        ([bad(K.UNKNOWN_SYMBOL)], X.UNKNOWN_SYMBOL),
        ([bad(K.UNKNOWN_SYMBOL), bad(K.UNKNOWN_SYMBOL)], X.UNKNOWN_SYMBOL),
        ([bad(K.UNKNOWN_SYMBOL), bad(K.NO_DATA)], X.NO_SOURCE),
        ([bad(K.UNKNOWN_SYMBOL), GOOD], X.PARTIAL),
        ([bad(K.SERVER_ERROR), POOR], X.PARTIAL),
        ([bad(K.SERVER_ERROR, bars=5)], X.PARTIAL),
        ([bad(K.RATE_LIMITED)], X.QUOTA),
        ([bad(K.THROTTLED)], X.QUOTA),
        ([bad(K.AUTH)], X.KEY),
        ([bad(K.NO_DATA)], X.NO_DATA),
        ([bad(K.DEADLINE)], X.DEADLINE),
        ([bad(K.BAD_VALUES)], X.BELOW_GRADE),
        ([bad(K.BAD_VALUES), GOOD], X.BELOW_GRADE),
        ([bad(K.CONNECT_FAIL)], X.NO_SOURCE),
    ],
)
def test_the_worst_of_a_report_picks_the_code(lines: list[Line], code: ExitCode) -> None:
    assert of_report(Report(tuple(lines), "run", 0.0), floor=70.0) is code
