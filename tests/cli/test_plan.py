"""`mdagent plan` and `fetch --dry-run`: what would be asked, what it costs and how long the quotas make it take. Nothing is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.guard.limits import Window
from mdagent.guard.outcome import FailureKind
from mdagent.market import Priority
from mdagent.sources import NAMES, spec_of
from mdagent.store.quota import Reservation, Rules
from tests.cli.shell import JANUARY, NOW, strict
from tests.cli.test_sources_status import ask, ledger_of

if TYPE_CHECKING:
    from tests.cli.shell import Shell

PLAN = "symbol,interval,start,end,source,requests,credits,usd,seconds,note"
SYMBOLS = ("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META")
MANY = "AAPL MSFT NVDA AMZN GOOGL META TSLA JPM KO DIS BA IBM GE F INTC CSCO PFE MRK XOM CVX".split()
ONE_A_MINUTE = '[{"limit": 1, "per": "1m"}]'
TWO_A_MINUTE = '[{"limit": 2, "per": "1m"}]'
WAIT = 62.0  # a minute of the provider's, and the margin of our clock


def plan(shell: Shell, *words: str, **environ: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = shell.good("plan", *words, "--json", **environ).json
    return rows


def sums(rows: list[dict[str, Any]]) -> tuple[int, int]:
    return sum(row["requests"] for row in rows), sum(row["credits"] for row in rows)


def fetched(shell: Shell, *words: str, **environ: str) -> list[dict[str, Any]]:
    """The lines of a fetch, whatever becomes of it."""
    path = shell.cwd / "fetched.json"
    shell.run("fetch", *words, "--report", str(path), **environ)
    lines: list[dict[str, Any]] = strict(path.read_text("utf-8"))["symbols"]
    return lines


def charged(shell: Shell) -> list[tuple[float, int]]:
    """When each request went, in seconds after the start, and what it cost."""
    with ledger_of(shell) as ledger:
        return [((at / 1e6 - NOW.timestamp()), cost) for at, cost in ledger.rows("SELECT at, cost FROM attempts ORDER BY at")]


def setting(source: str, name: str, value: str) -> dict[str, str]:
    return {f"MDAGENT_SOURCES__{source.upper()}__{name}": value}


def only(*names: str) -> dict[str, str]:
    return {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES if name not in names}


# What is said


def test_a_row_is_a_symbol_and_a_source_and_its_columns_are_frozen(shell: Shell) -> None:
    said = shell.good("plan", "AAPL", "MSFT", *JANUARY)
    assert said.out.splitlines() == [
        PLAN,
        "AAPL,1d,2024-01-02,2024-02-01,yahoo,1,1,0,0,",
        "MSFT,1d,2024-01-02,2024-02-01,yahoo,1,1,0,0,",
    ]


def test_the_totals_are_one_line_of_talk(shell: Shell) -> None:
    said = shell.good("plan", "AAPL", "MSFT", *JANUARY, **setting("yahoo", "COST", "0.002"))
    assert said.err.splitlines() == [
        "2 requests would be sent; nothing was; 2 credits, 0.0040 USD, all could go at once",
        "sandbox: nobody is charged; the plans are the largest of each source, or those of the settings",
    ]
    assert shell.good("plan", "AAPL", *JANUARY, "-q").err == ""


def test_it_is_a_table_on_a_terminal(shell: Shell) -> None:
    shell.screens = (True, True)
    out = shell.good("plan", "AAPL", "MSFT", *JANUARY).out
    assert out.splitlines()[0].strip() == "1d, 2024-01-02, 2024-02-01", "what all share stands above"
    assert [word for word in PLAN.split(",") if word in out] == ["symbol", "source", "requests", "credits"]
    out = shell.good("plan", "AAPL", "MSFT", *JANUARY, **only("yahoo"), **setting("yahoo", "LIMITS", ONE_A_MINUTE)).out
    assert "seconds" in out


def test_nothing_is_sent_and_nothing_is_stored_but_calendars(shell: Shell) -> None:
    plan(shell, *SYMBOLS, "--adjust", "all")
    assert charged(shell) == []
    assert shell.good("query", "SELECT (SELECT count(*) FROM bars) AS bars, (SELECT count(*) FROM journal) AS runs").rows == [
        {"bars": "0", "runs": "0"}
    ]


def test_what_the_store_has_is_not_asked_for_whoever_would_be_first_now(stocked: Shell) -> None:
    held = {"requests": 0, "credits": 0, "usd": 0, "seconds": 0, "note": "the store has it", "source": "yahoo"}
    stocked.good("sources", "open", "yahoo")
    rows = plan(stocked, "AAPL", "NVDA", *JANUARY)
    assert rows[0] == rows[0] | held
    assert rows[1]["source"] != "yahoo"
    assert rows[1]["requests"] == 1


def test_a_window_is_what_is_lacking_of_it(stocked: Shell) -> None:
    (row,) = plan(stocked, "AAPL", "--start", "2024-01-02", "--end", "2024-02-03")
    assert (row["start"], row["end"], row["requests"]) == ("2024-02-01", "2024-02-03", 1)
    (all_of_it,) = plan(stocked, "AAPL", "--start", "2024-01-02", "--end", "2024-02-03", "--refresh")
    assert (all_of_it["start"], all_of_it["requests"]) == ("2024-01-02", 1)


def test_a_word_that_is_wrong_is_told_before_anything_is_looked_at(shell: Shell) -> None:
    assert shell.run("plan", "AAPL", "--adjust", "sideways").code == 2
    assert shell.run("plan", "AAPL", "--format", "parquet").code == 2
    assert shell.run("plan", "AAPL", "--source", "yahu").code == 2
    assert shell.files() == set()


# It is what the fetch then does


CASES = [
    ("1d", "all", JANUARY),
    ("1d", "splits", ("--start", "2024-01-29", "--end", "2024-01-31")),
    ("1w", "all", ("--start", "2023-06-01", "--end", "2024-01-31")),
    ("1m", "splits", ("--start", "2024-01-08", "--end", "2024-01-20")),
]


@pytest.mark.parametrize(
    ("source", "interval", "adjust", "window"), [(name, *case) for name in NAMES for case in CASES if case[0] in spec_of(name).intervals]
)
def test_as_many_requests_and_credits_go_as_were_planned(
    shell: Shell, source: str, interval: str, adjust: str, window: tuple[str, ...]
) -> None:
    words = ("AAPL", "MSFT", *window, "--interval", interval, "--adjust", adjust, "--source", source)
    rows = plan(shell, *words)
    assert all(row["source"] == source for row in rows)
    report = shell.fetch(*words)[1]
    assert [(line["symbol"], line["requests"]) for line in report["symbols"]] == [(row["symbol"], row["requests"]) for row in rows]
    assert sums(rows) == (len(charged(shell)), sum(cost for _, cost in charged(shell)))
    again = plan(shell, *words)
    assert sums(again) == (shell.fetch(*words)[1]["requests"], 0)


def test_the_next_day_costs_what_the_next_day_costs(shell: Shell) -> None:
    asked = [("AAPL", "--period", "5d", "--source", s, "-i", i) for s in ("finnhub", "yahoo", "twelvedata", "tiingo") for i in ("1d", "1h")]
    for words in asked:
        shell.good("fetch", *words)
    shell.clock.set(NOW + timedelta(days=1))
    for words in asked:
        expected = plan(shell, *words)[0]["requests"]
        assert shell.fetch(*words)[1]["requests"] == expected, words


@pytest.mark.parametrize(("priority", "share", "symbols"), [("high", 10, 20), ("normal", 9, 20), ("batch", 7, 14)])
def test_the_last_request_goes_when_it_was_planned(shell: Shell, priority: str, share: int, symbols: int) -> None:
    """Ten a minute, of which a class leaves some to those above it."""
    environ = only("yahoo") | setting("yahoo", "LIMITS", '[{"limit": 10, "per": "1m"}]') | setting("yahoo", "CONCURRENCY", "8")
    words = (*MANY[:symbols], *JANUARY, "--priority", priority)
    rows = plan(shell, *words, **environ)
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[-1] == WAIT * ((symbols - 1) // share)
    shell.good("fetch", *words, **environ)
    assert max(at for at, _ in charged(shell)) == pytest.approx(seconds[-1], abs=15), "and the answers take their time"


# Weights and money


def test_what_weighs_more_costs_more(shell: Shell) -> None:
    (row,) = plan(shell, "AAPL", *JANUARY, "--source", "twelvedata", "--adjust", "all")
    assert (row["requests"], row["credits"]) == (3, 1 + 20 + 20)
    (row,) = plan(shell, "AAPL", *JANUARY, "--source", "twelvedata")
    assert (row["requests"], row["credits"]) == (2, 1 + 20), "splits alone"
    (row,) = plan(shell, "AAPL", *JANUARY, "--source", "iexcloud", "--adjust", "raw", **setting("iexcloud", "COST", "0.000001"))
    assert (row["requests"], row["credits"], row["usd"]) == (1, 10 * 252 * 15, 0.0378)


def test_a_request_that_costs_more_than_the_quota_ever_holds_is_refused(shell: Shell) -> None:
    """Splits are 20 credits, and the minute has 8."""
    small = setting("twelvedata", "LIMITS", '[{"limit": 8, "per": "1m"}]')
    said = shell.run("plan", "AAPL", *JANUARY, "--source", "twelvedata", "--json", **small)
    (row,) = said.json
    assert said.code == 4
    assert (row["requests"], row["credits"]) == (1, 1), "the bars go before it is asked for"
    assert "refused: twelvedata: a request of 20 credits is more than the quota of 8 per 1m ever allows" in row["note"]
    assert "1 of 1 symbol would not be served" in said.err
    assert shell.run("fetch", "AAPL", *JANUARY, "--source", "twelvedata", **small).code == 5, "its bars are in the store"
    assert [cost for _, cost in charged(shell)] == [1]


def test_a_budget_refuses_what_would_pass_it_and_the_rest_is_told(shell: Shell) -> None:
    told = setting("yahoo", "COST", "0.1") | {"MDAGENT_BUDGET__DAY": "0.35"}
    said = shell.run("plan", *SYMBOLS[:5], *JANUARY, "--source", "yahoo", "--json", **told)
    assert [(row["requests"], row["usd"]) for row in said.json] == [(1, 0.1)] * 3 + [(0, 0)] * 2
    refused = "refused: yahoo: the budget of 0.35 USD a day would be passed: 0.3000 is spent, 0.1000 more is asked for"
    assert {row["note"] for row in said.json[3:]} == {refused}
    assert said.code == 5
    assert "3 requests would be sent; nothing was; 3 credits, 0.3000 USD, all could go at once; 2 of 5 symbols would not" in said.err
    lines = fetched(shell, *SYMBOLS[:5], *JANUARY, "--source", "yahoo", **told)
    assert [line["requests"] for line in lines] == [row["requests"] for row in said.json]


def test_a_budget_that_is_spent_refuses_all_and_the_exit_code_says_so(shell: Shell) -> None:
    told = setting("yahoo", "COST", "0.1") | setting("yahoo", "BUDGET__MONTH", "0.5")
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock, usd=0.5)
    assert shell.run("plan", "AAPL", *JANUARY, "--source", "yahoo", **told).code == 7
    assert shell.run("fetch", "AAPL", *JANUARY, "--source", "yahoo", **told).code == 7


def test_where_a_budget_refuses_a_source_the_next_one_is_planned(shell: Shell) -> None:
    told = only("yahoo", "tiingo") | setting("yahoo", "COST", "0.001") | setting("yahoo", "BUDGET__DAY", "0.002")
    rows = plan(shell, *SYMBOLS[:4], *JANUARY, **told)
    assert [row["source"] for row in rows] == ["yahoo", "yahoo", "tiingo", "tiingo"]
    assert [line["source"] for line in fetched(shell, *SYMBOLS[:4], *JANUARY, **told)] == [row["source"] for row in rows]


# Time


def test_what_others_have_used_and_wait_for_comes_first(shell: Shell) -> None:
    told = only("yahoo") | setting("yahoo", "LIMITS", TWO_A_MINUTE)
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock)
        assert [row["seconds"] for row in plan(shell, "AAPL", "MSFT", *JANUARY, **told)] == [0, WAIT]
        window, what = [Window(2, 60.0)], Reservation("bars", "", "other", "KO", priority=Priority.HIGH, patience=100.0)
        ask(ledger, shell.clock)
        ledger.reserve("yahoo", window, what=what, rules=Rules("yahoo"))
        assert [row["seconds"] for row in plan(shell, "AAPL", "MSFT", *JANUARY, **told)] == [WAIT, 2 * WAIT]


def test_a_wait_that_is_longer_than_a_fetch_has_is_told(shell: Shell) -> None:
    told = only("yahoo") | setting("yahoo", "LIMITS", '[{"limit": 2, "per": "day", "zone": "UTC"}]')
    said = shell.good("plan", *SYMBOLS[:4], *JANUARY, "--json", "--priority", "high", **told)
    midnight = (datetime(2024, 2, 6, 0, 1, tzinfo=UTC) - NOW).total_seconds()
    assert [row["seconds"] for row in said.json] == [0, 0, midnight, midnight]
    assert [row["note"] for row in said.json] == ["", "", *["a fetch does not wait so long (3600 s at most)"] * 2]
    assert "the last could go after 2:01:00 (a fetch does not wait so long for 2 symbols)" in said.err
    lines = fetched(shell, *SYMBOLS[:4], *JANUARY, "--priority", "high", **told)
    assert [line["requests"] for line in lines] == [1, 1, 0, 0]


def test_many_symbols_spread_over_the_sources_by_what_each_can_serve_now(shell: Shell) -> None:
    told = only("yahoo", "tiingo") | setting("yahoo", "LIMITS", TWO_A_MINUTE)
    rows = plan(shell, *SYMBOLS, *JANUARY, **told)
    assert [row["source"] for row in rows] == ["yahoo"] * 2 + ["tiingo"] * 4
    assert {row["seconds"] for row in rows} == {0}
    assert [line["source"] for line in fetched(shell, *SYMBOLS, *JANUARY, **told)] == [row["source"] for row in rows]


# Who is asked


def test_an_open_breaker_is_not_asked_and_neither_is_who_is_switched_off(shell: Shell) -> None:
    shell.good("sources", "open", "yahoo")
    shell.good("sources", "disable", "tiingo")
    (row,) = plan(shell, "AAPL", *JANUARY, **only("yahoo", "tiingo", "polygon"))
    assert row["source"] == "polygon"
    said = shell.run("plan", "AAPL", *JANUARY, "--json", **only("yahoo"))
    assert (said.code, said.json[0]["requests"]) == (4, 0)
    assert "refused: yahoo: " in said.json[0]["note"]


def test_where_every_breaker_is_open_the_one_that_is_due_first_is_probed(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for _ in range(3):
            ask(ledger, shell.clock, FailureKind.SERVER_ERROR)
    (row,) = plan(shell, "AAPL", *JANUARY, **only("yahoo"))
    assert (row["source"], row["requests"], row["note"]) == ("yahoo", 1, "every breaker is open: a probe")
    assert [line["requests"] for line in fetched(shell, "AAPL", *JANUARY, **only("yahoo"))] == [1]


def test_a_source_that_asked_to_be_left_alone_is_left_alone_so_long(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ledger.block("yahoo", 90.0, "yahoo asked to be left alone")
    assert [row["seconds"] for row in plan(shell, "AAPL", "MSFT", *JANUARY, **only("yahoo"))] == [90, 90]


def test_a_symbol_that_a_source_did_not_know_is_not_asked_for_again(shell: Shell) -> None:
    shell.run("fetch", "NOSUCH", *JANUARY, "--source", "yahoo")
    said = shell.run("plan", "NOSUCH", *JANUARY, "--source", "yahoo", "--json")
    assert (said.code, said.json[0]["requests"]) == (13, 0)
    assert "yahoo does not know NOSUCH (asked before" in said.json[0]["note"]
    assert plan(shell, "NOSUCH", *JANUARY, "--source", "yahoo", "--refresh")[0]["requests"] == 1


def test_a_source_that_does_not_cover_the_symbol_leaves_it_to_the_next(shell: Shell) -> None:
    said = shell.good("plan", "IBE.MC", *JANUARY, "--json", **only("tiingo", "twelvedata"))
    assert [(row["source"], row["requests"]) for row in said.json] == [("twelvedata", 2)]


def test_what_lies_beyond_the_reach_of_a_source_is_told(shell: Shell) -> None:
    said = shell.run("plan", "AAPL", "-i", "1m", "--start", "2023-12-20", "--end", "2024-01-12", "--source", "yahoo", "--json")
    assert said.json[0]["note"].startswith("yahoo keeps 1m bars for 30 days")
    assert said.json[0]["start"] == "2024-01-06T22:05:00Z"
    assert said.code == 5
    gone = shell.run("plan", "AAPL", "-i", "1m", "--start", "2023-11-01", "--end", "2023-11-12", "--source", "yahoo", "--json")
    assert (gone.code, gone.json[0]["requests"]) == (12, 0)


def test_a_missing_key_is_told_as_such(shell: Shell) -> None:
    said = shell.run("plan", "AAPL", *JANUARY, "--source", "tiingo", "--json", MDAGENT_SANDBOX="")
    assert (said.code, said.json[0]["source"]) == (11, None)
    assert "set MDAGENT_TIINGO_API_KEY" in said.json[0]["note"]


# Shared requests


def test_a_shared_request_is_charged_to_the_first_symbol(shell: Shell) -> None:
    rows = plan(shell, *SYMBOLS[:3], "--start", "2024-01-29", "--end", "2024-01-31", "--source", "polygon", "--adjust", "raw")
    assert [row["requests"] for row in rows] == [2, 0, 0], "a day of the whole market each"
    assert {row["note"] for row in rows} == {"asked together with 2 others"}


def test_a_shared_request_that_a_budget_refuses_on_the_way_is_charged_and_each_symbol_is_planned_by_itself(shell: Shell) -> None:
    told = setting("polygon", "COST", "0.1") | setting("polygon", "BUDGET__DAY", "0.1") | only("polygon", "tiingo")
    told |= {"MDAGENT_WEIGHTS__COST": "0"} | setting("tiingo", "LIMITS", '[{"limit": 9, "per": "day"}]')
    words = (*SYMBOLS[:3], "--start", "2024-01-29", "--end", "2024-01-31", "--adjust", "raw")
    said = shell.good("plan", *words, "--json", **told)
    rows = [(row["symbol"], row["source"], row["requests"]) for row in said.json]
    assert rows == [("AAPL", "polygon", 1), ("AAPL", "tiingo", 1), ("MSFT", "tiingo", 1), ("NVDA", "tiingo", 1)]
    assert said.json[0]["note"].startswith("asked together with 2 others; refused: polygon: the budget of 0.10 USD")
    assert [line["requests"] for line in fetched(shell, *words, **told)] == [2, 1, 1]


# A dry run


def test_a_dry_run_tells_the_same(shell: Shell) -> None:
    told = setting("twelvedata", "COST", "0.01")
    said = shell.good("fetch", "AAPL", *JANUARY, "--source", "twelvedata", "--dry-run", **told)
    assert said.err.splitlines()[:2] == [
        "AAPL 1d: 0 bars in the store, 2 requests to twelvedata, 21 credits, 0.2100 USD",
        "2 requests would be sent; nothing was; 21 credits, 0.2100 USD, all could go at once",
    ]
    slow = only("yahoo") | setting("yahoo", "LIMITS", ONE_A_MINUTE)
    said = shell.good("fetch", "AAPL", "MSFT", *JANUARY, "--dry-run", **slow)
    assert "MSFT 1d: 0 bars in the store, 1 request to yahoo, after 0:01:02" in said.err


def test_the_report_of_a_dry_run_has_its_parts(shell: Shell) -> None:
    _, report = shell.fetch("AAPL", "MSFT", *JANUARY, "--source", "yahoo", "--dry-run")
    assert [report[key] for key in ("requests", "credits", "usd", "seconds")] == [2, 2, 0, 0]
    assert report["symbols"][0]["plan"] == [
        {
            "source": "yahoo", "start": "2024-01-02T00:00:00+00:00", "end": "2024-02-01T00:00:00+00:00",
            "requests": 1, "credits": 1, "usd": 0.0, "seconds": 0.0, "note": "", "late": False,
        }
    ]  # fmt: skip


def test_a_dry_run_of_several_on_a_terminal_is_a_table(shell: Shell) -> None:
    shell.screens = (False, True)
    err = shell.good("fetch", "AAPL", "MSFT", *JANUARY, "--dry-run").err
    assert all(word in err for word in ("credits", "usd", "seconds"))
    assert "grade" not in err.partition("would be sent")[0]
