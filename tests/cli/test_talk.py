"""What a fetch says of itself: to a person on standard error, to a program in a report."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.cli.exits import of_report
from mdagent.cli.talk import as_json, explain, sentence, tell
from mdagent.cli.terminal import Terminal
from mdagent.config import Flags
from mdagent.guard.outcome import Failure, FailureKind
from mdagent.market import BarRequest
from mdagent.work.report import Considered, Line, Planned, Report
from tests.cli.shell import Screen

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "AAPL 1d: 21 bars from yahoo, grade A (96.0)"
NASTY = "\x1b[31mevil\r\n\u202e[bold]"


def line(symbol: str = "AAPL", **more: Any) -> Line:
    request = BarRequest(symbol, "1d", "2024-01-02", "2024-02-01")  # type: ignore[arg-type]
    facts: dict[str, Any] = {"request": request, "source": "yahoo", "requests": 1, "bars": 21, "letter": "A", "score": 96.0}
    return Line(**facts | more)


def bad(kind: FailureKind = FailureKind.SERVER_ERROR, detail: str = "HTTP 503: busy", **more: Any) -> Line:
    return line(**{"bars": 0, "letter": None, "score": None, "failure": Failure(kind, detail)} | more)


def said(folder: Path, *lines: Line, screen: bool = False, quiet: bool = False, dry: bool = False) -> str:
    err = Screen() if screen else StringIO()
    terminal = Terminal({"MDAGENT_HOME": str(folder)}, folder, StringIO(), err, flags=Flags(quiet=quiet))
    report = Report(lines, "run", 12.4)
    terminal.code = int(of_report(report))
    tell(report, terminal, dry=dry)
    assert terminal.out.getvalue() == ""  # type: ignore[attr-defined]
    return err.getvalue()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (line(), "AAPL 1d: 21 bars from yahoo, grade A (96.0), 1 request"),
        (line(requests=0), "AAPL 1d: 21 bars from yahoo, grade A (96.0), from the store"),
        (line(requests=3, provisional=1), "AAPL 1d: 21 bars from yahoo, grade A (96.0), 1 provisional, 3 requests"),
        (
            line(absent=(("null bar at source", 2), ("provider gap", 1)), quarantined=2),
            f"{GOOD}, 2 missing: null bar at source, 1 missing: provider gap, 2 rows in quarantine, 1 request",
        ),
        (line(quarantined=1, notes=("a note",)), "AAPL 1d: 21 bars from yahoo, grade A (96.0), 1 row in quarantine, 1 request, a note"),
        (line(letter=None, score=None), "AAPL 1d: 21 bars from yahoo, not graded, 1 request"),
        (bad(), "AAPL 1d: nothing (SERVER_ERROR)"),
        (bad(bars=5, letter="B", score=85.0), "AAPL 1d: 5 bars from yahoo, grade B (85.0), 1 request"),
    ],
)
def test_a_symbol_is_one_sentence(told: Line, words: str) -> None:
    assert sentence(told) == words


def test_the_requests_are_summed_up(tmp_path: Path) -> None:
    assert "3 requests sent, 12 ms" in said(tmp_path, line(), line("MSFT", requests=2))
    assert "1 request sent, 12 ms" in said(tmp_path, line())


def test_a_failure_is_told_with_its_next_step(tmp_path: Path) -> None:
    text = said(tmp_path, bad())
    assert "mdagent: AAPL: HTTP 503: busy\n  → run it again later\n" in text


def test_what_no_source_can_serve_points_to_what_there_is(tmp_path: Path) -> None:
    assert "mdagent sources list" in said(tmp_path, bad(source=None))


def test_quiet_tells_only_what_makes_the_exit_code(tmp_path: Path) -> None:
    assert said(tmp_path, line(), quiet=True) == ""
    assert said(tmp_path, bad(), quiet=True).startswith("mdagent: AAPL: HTTP 503")
    assert "1 missing: provider gap" in said(tmp_path, line(absent=(("provider gap", 1),)), quiet=True)


def test_several_symbols_on_a_terminal_are_a_table(tmp_path: Path) -> None:
    text = said(tmp_path, line(), bad(request=line("MSFT").request), screen=True)
    assert "symbol" in text
    assert "SERVER_ERROR" in text
    assert "quarantined" not in text, "a column that has nothing to say stays away"
    assert "quarantined" in said(tmp_path, line(quarantined=1), line("MSFT"), screen=True)


def test_a_dry_run_says_what_would_be_sent(tmp_path: Path) -> None:
    asked = line().request
    step = Planned("yahoo", asked.start, asked.end, 2, 40, 0.5, 61.2, "shared")
    text = said(tmp_path, line(bars=0, requests=2, planned=(step,)), line("MSFT", requests=0), dry=True)
    assert "AAPL 1d: 0 bars in the store, 2 requests to yahoo, 40 credits, 0.5000 USD, after 0:01:02, shared\n" in text
    assert "MSFT 1d: 21 bars in the store, no request\n" in text
    assert "2 requests would be sent; nothing was; 40 credits, 0.5000 USD, the last could go after 0:01:02\n" in text


def test_the_words_of_a_provider_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    lines = (bad(detail=NASTY), line("MSFT", notes=(NASTY,)))
    for screen in (False, True):
        text = said(tmp_path, *lines, screen=screen)
        assert "\x1b[31m" not in text
        assert "\u202e" not in text
        assert "[bold]" in text


def test_an_explanation_tells_sources_findings_gaps_and_the_sum() -> None:
    told = line(
        considered=(
            Considered("other", chosen=False, reasons=("no key", "too dear")),
            Considered("yahoo", chosen=True, reasons=("served it",)),
        ),
        findings=("low gaps: 1 of 21 expected bars are missing",),
        absent=(("provider gap", 1),),
        skipped="staleness: the trading calendar is unknown",
        arithmetic=("sum 96.0",),
    )
    assert list(explain(Report((told,), "run", 0.0))) == [
        "AAPL 1d splits [2024-01-02 00:00, 2024-02-01 00:00)",
        "  source other: left out: no key; too dear",
        "  source yahoo: chosen: served it",
        "  finding low gaps: 1 of 21 expected bars are missing",
        "  missing 1: provider gap",
        "  checks that did not run: staleness: the trading calendar is unknown",
        "  grade sum 96.0",
    ]


def test_the_report_of_a_program_holds_all_of_it() -> None:
    report = Report((line(absent=(("provider gap", 1),), cut=True), bad()), "run-7", 12.3456)
    told = as_json(report, 5, dry=True)
    assert (told["schema_version"], told["run"], told["exit_code"], told["dry_run"], told["requests"], told["ms"]) == (
        1,
        "run-7",
        5,
        True,
        2,
        12.346,
    )
    assert told["symbols"][0]["gaps"] == [{"reason": "provider gap", "count": 1}]
    assert told["symbols"][0]["cut"] is True
    assert told["symbols"][1]["failure"] == {"kind": "SERVER_ERROR", "detail": "HTTP 503: busy", "next_step": "run it again later"}
