"""`mdagent sources costs`: what was spent, what the month will have cost, and what the budgets leave."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.sources import NAMES, spec_of
from tests.cli.test_sources_status import ask, ledger_of

if TYPE_CHECKING:
    from tests.cli.shell import Shell

HEADER = (
    "kind,period,source,endpoint,requests,credits,usd,good_bars,usd_per_1000_bars,plan,fee_usd,forecast_usd,budget_usd,left_usd,overage_usd"
)
LIVE = {"MDAGENT_SANDBOX": ""}


def costs(shell: Shell, kind: str, *words: str, **environ: str) -> list[dict[str, Any]]:
    return [row for row in shell.good("sources", "costs", "--json", *words, **environ).json if row["kind"] == kind]


def wait(shell: Shell, until: datetime) -> None:
    """The time goes by until then."""
    shell.clock.pause((until - shell.clock.now()).total_seconds())


@pytest.fixture
def spent(shell: Shell) -> Shell:
    """January: two requests for bars; February so far: one for bars that brought some in vain, and one quote."""
    shell.clock.set(datetime(2024, 1, 1, tzinfo=UTC))
    with ledger_of(shell) as ledger:
        for day in (10, 20):
            wait(shell, datetime(2024, 1, day, tzinfo=UTC))
            ledger.judge(ask(ledger, shell.clock, usd=0.5), 250, 0, 90.0)
        wait(shell, datetime(2024, 2, 5, tzinfo=UTC))
        ledger.judge(ask(ledger, shell.clock, usd=0.5), 250, 50, 90.0)
        ask(ledger, shell.clock, usd=0.1, endpoint="quote")
    wait(shell, datetime(2024, 2, 11, tzinfo=UTC))
    return shell


def test_spend_is_told_by_month_source_and_endpoint_with_the_price_of_a_thousand_good_bars(spent: Shell) -> None:
    rows = costs(spent, "spent")
    told = [tuple(row[k] for k in ("period", "source", "endpoint", "requests", "credits", "usd", "good_bars")) for row in rows]
    assert told == [
        ("2024-01", "yahoo", "bars", 2, 2, 1, 500),
        ("2024-02", "yahoo", "bars", 1, 1, 0.5, 200),
        ("2024-02", "yahoo", "quote", 1, 1, 0.1, 0),
    ]
    assert [row["usd_per_1000_bars"] for row in rows] == [2, 2.5, None]


def test_since_leaves_out_what_was_before(spent: Shell) -> None:
    assert [(r["period"], r["requests"]) for r in costs(spent, "spent", "--since", "2024-01-20")] == [
        ("2024-01", 1),
        ("2024-02", 1),
        ("2024-02", 1),
    ]
    assert costs(spent, "spent", "--since", "2024-02-06") == []
    assert costs(spent, "month", "--since", "2024-02-06") == costs(spent, "month"), "this month is this month"


def test_the_forecast_is_the_spend_at_the_same_rate_and_the_fee(spent: Shell) -> None:
    rows = {row["source"]: row for row in costs(spent, "month", MDAGENT_SOURCES__TIINGO__PLAN="power")}
    assert list(rows) == [*NAMES, "all"]
    assert (rows["yahoo"]["usd"], rows["yahoo"]["fee_usd"], rows["yahoo"]["forecast_usd"]) == (0.6, 0, 1.74), "10 of 29 days"
    tiingo = spec_of("tiingo").plan("power")
    assert (rows["tiingo"]["plan"], rows["tiingo"]["fee_usd"], rows["tiingo"]["forecast_usd"]) == ("power", tiingo.usd, tiingo.usd)
    fees = sum(row["fee_usd"] for name, row in rows.items() if name != "all")
    assert rows["all"]["fee_usd"] == pytest.approx(fees)
    assert rows["all"]["forecast_usd"] == pytest.approx(fees + 1.74)


def test_of_the_first_hours_no_month_is_foretold(shell: Shell) -> None:
    shell.clock.set(datetime(2024, 2, 1, 0, 30, tzinfo=UTC))
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock, usd=1.0)
    assert next(r for r in costs(shell, "month") if r["source"] == "yahoo")["forecast_usd"] == 29, "as if it were a day's"


def test_a_plan_costs_only_who_can_use_it(shell: Shell) -> None:
    live = {row["source"]: row["fee_usd"] for row in costs(shell, "month", **LIVE, MDAGENT_TIINGO_API_KEY="k" * 20)}
    assert set(live) == {"yahoo", "tiingo", "all"}
    off = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES}
    assert [(r["source"], r["fee_usd"]) for r in costs(shell, "month", **off)] == [("all", 0)]


def test_what_a_disabled_source_spent_is_told_without_its_fee(spent: Shell) -> None:
    off = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES}
    assert [(r["source"], r["usd"], r["fee_usd"]) for r in costs(spent, "month", **off)] == [("yahoo", 0.6, 0), ("all", 0.6, 0)]


def test_budgets_tell_what_is_left_of_them(spent: Shell) -> None:
    bounds = {"MDAGENT_BUDGET__MONTH": "10", "MDAGENT_SOURCES__YAHOO__BUDGET__DAY": "1", "MDAGENT_SOURCES__YAHOO__BUDGET__MONTH": "0.5"}
    rows = costs(spent, "budget", **bounds)
    assert [(r["period"], r["source"], r["usd"], r["budget_usd"], r["left_usd"]) for r in rows] == [
        ("2024-02", "all", 0.6, 10, 9.4),
        ("2024-02-11", "yahoo", 0, 1, 1),
        ("2024-02", "yahoo", 0.6, 0.5, 0),
    ]
    assert costs(spent, "budget") == []


def test_it_works_as_csv_and_as_a_table(spent: Shell) -> None:
    said = spent.good("sources", "costs", "--csv")
    assert said.out.splitlines()[0] == HEADER
    assert said.rows[0] | {"kind": "spent", "usd": "1", "plan": ""} == said.rows[0]
    assert said.err.startswith("sandbox: nobody is charged")
    spent.screens = (True, True)
    assert "forecast_usd" in spent.good("sources", "costs").out


def test_a_date_that_is_none_is_told(shell: Shell) -> None:
    said = shell.run("sources", "costs", "--since", "yesterday")
    assert (said.code, said.out) == (2, "")
    assert "'yesterday' is not a date" in said.err
