"""`sources.NAME.overage`: what lies beyond the quota of a day or month is paid for, not refused; and a budget comes before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdagent.guard.weights import Weights
from tests.cli.shell import JANUARY
from tests.cli.test_plan import SYMBOLS, WAIT, fetched, only, plan, setting
from tests.cli.test_sources_status import ledger_of

if TYPE_CHECKING:
    from tests.cli.shell import Shell

TWO_A_DAY = setting("yahoo", "LIMITS", "[{limit: 2, per: day, zone: UTC}]") | setting("yahoo", "COST", "0.01") | only("yahoo")
PAID = TWO_A_DAY | setting("yahoo", "OVERAGE", "0.05")
FOUR = (*SYMBOLS[:4], *JANUARY, "--priority", "high")


def paid(shell: Shell) -> list[tuple[float, float]]:
    """USD of each request, and how much of it was overage."""
    with ledger_of(shell) as ledger:
        return [(round(usd, 6), round(over, 6)) for usd, over in ledger.rows("SELECT usd, overage FROM attempts ORDER BY id")]


def costs(shell: Shell, kind: str, **environ: str) -> list[dict[str, Any]]:
    return [row for row in shell.good("sources", "costs", "--json", **environ).json if row["kind"] == kind]


def test_without_a_price_the_quota_is_a_wall(shell: Shell) -> None:
    lines = fetched(shell, *FOUR, **TWO_A_DAY)
    assert [line["requests"] for line in lines] == [1, 1, 0, 0]
    assert lines[3]["failure"]["kind"] == "THROTTLED"
    assert paid(shell) == [(0.01, 0)] * 2


def test_with_a_price_what_lies_beyond_is_sent_and_each_attempt_says_what_it_cost(shell: Shell) -> None:
    shell.good("fetch", *FOUR, **PAID)
    assert paid(shell) == [(0.01, 0), (0.01, 0), (0.06, 0.05), (0.06, 0.05)]
    shell.good("fetch", "META", *JANUARY, **PAID)
    assert paid(shell)[4] == (0.06, 0.05), "the next process knows what the one before has used"


def test_a_price_of_nothing_is_no_wall_either(shell: Shell) -> None:
    shell.good("fetch", *FOUR, **TWO_A_DAY, **setting("yahoo", "OVERAGE", "0"))
    assert paid(shell) == [(0.01, 0)] * 4


def test_the_next_day_is_included_again(shell: Shell) -> None:
    shell.good("fetch", *SYMBOLS[:3], *JANUARY, **PAID)
    shell.clock.pause(3 * 3600)
    shell.good("fetch", "META", *JANUARY, **PAID)
    assert paid(shell)[2:] == [(0.06, 0.05), (0.01, 0)]


def test_of_a_request_that_is_in_part_beyond_only_that_part_is_paid(shell: Shell) -> None:
    """Bars are one credit, splits twenty; the day has fifteen."""
    told = setting("twelvedata", "LIMITS", "[{limit: 15, per: day}]") | setting("twelvedata", "OVERAGE", "0.01")
    shell.good("fetch", "AAPL", *JANUARY, "--source", "twelvedata", **told)
    assert paid(shell) == [(0, 0), (0.06, 0.06)]


def test_an_hour_has_no_price_and_a_day_has_one_whatever_they_count(shell: Shell) -> None:
    told = setting("tiingo", "PLAN", "free") | setting("tiingo", "OVERAGE", "0.02")
    rows = shell.good("sources", "limits", "tiingo", "--json", **told).json
    assert [(row["of"], row["overage"]) for row in rows] == [("requests", None), ("requests", 0.02)]


def test_a_credit_beyond_a_day_and_a_month_is_paid_once(shell: Shell) -> None:
    both = "[{limit: 2, per: day, zone: UTC}, {limit: 3, per: month, zone: UTC}]"
    shell.good("fetch", *FOUR, **PAID | setting("yahoo", "LIMITS", both))
    assert [over for _, over in paid(shell)] == [0, 0, 0.05, 0.05]


def test_the_windows_of_a_second_or_minute_stay_walls(shell: Shell) -> None:
    told = PAID | setting("yahoo", "LIMITS", "[{limit: 2, per: 1m}, {limit: 1, per: day, zone: UTC}]")
    rows = plan(shell, *FOUR, **told)
    assert [(row["usd"], row["seconds"]) for row in rows] == [(0.01, 0), (0.06, 0), (0.06, WAIT), (0.06, WAIT)]
    shell.good("fetch", *FOUR, **told)
    assert [over for _, over in paid(shell)] == [0, 0.05, 0.05, 0.05]
    with ledger_of(shell) as ledger:
        times = [at for (at,) in ledger.rows("SELECT at FROM attempts ORDER BY id")]
    assert times[2] - times[0] >= WAIT * 1e6
    dear = setting("twelvedata", "LIMITS", "[{limit: 8, per: 1m}, {limit: 1, per: day}]") | setting("twelvedata", "OVERAGE", "0.01")
    said = shell.run("fetch", "AAPL", *JANUARY, "--source", "twelvedata", **dear)
    assert "a request of 20 credits is more than the quota of 8 per 1m ever allows" in said.err


def test_no_class_is_kept_from_what_nobody_waits_for(shell: Shell) -> None:
    shell.good("fetch", *SYMBOLS[:4], *JANUARY, "--priority", "batch", **PAID)
    assert [over for _, over in paid(shell)] == [0, 0, 0.05, 0.05]


# Budgets come first


def test_a_budget_refuses_the_overage_before_it_is_sent(shell: Shell) -> None:
    told = PAID | {"MDAGENT_BUDGET__DAY": "0.1"}
    lines = fetched(shell, *FOUR, **told)
    assert [line["requests"] for line in lines] == [1, 1, 1, 0]
    assert sum(usd for usd, _ in paid(shell)) == pytest.approx(0.08)
    said = shell.run("fetch", "META", *JANUARY, **told)
    assert said.code == 7
    words = "the budget of 0.10 USD a day would be passed: 0.0800 is spent, 0.0600 more is asked for, of that 1 credit beyond the quota"
    assert words in said.err
    assert len(paid(shell)) == 3


def test_a_budget_that_only_the_overage_would_pass_refuses_until_the_quota_starts_anew(shell: Shell) -> None:
    told = PAID | setting("yahoo", "BUDGET__MONTH", "0.1")
    fetched(shell, *SYMBOLS[:3], *JANUARY, **told)
    (row,) = [row for row in shell.run("sources", "status", "--json", **told).json if row["source"] == "yahoo"]
    assert (row["state"], row["until"]) == ("budget spent", "2024-02-06T00:01:00Z"), "not for all of the month"
    shell.clock.pause(3 * 3600)
    shell.good("fetch", "META", *JANUARY, **told)
    assert paid(shell)[-1] == (0.01, 0)


# It is foreseen


def test_a_plan_tells_what_the_fetch_then_costs(shell: Shell) -> None:
    for told in (PAID, PAID | {"MDAGENT_BUDGET__DAY": "0.1"}):
        before = len(paid(shell))
        shell.clock.pause(26 * 3600 * (before > 0))
        said = shell.run("plan", *FOUR, "--refresh", "--json", **told)
        fetched(shell, *FOUR, "--refresh", **told)
        assert sum(row["usd"] for row in said.json) == pytest.approx(sum(usd for usd, _ in paid(shell)[before:]))
        assert [row["note"] for row in said.json[:3]] == ["", "", "1 credit beyond the quota, for 0.0500 USD"]
    assert said.code == 5
    assert "of that 1 credit beyond the quota" in said.json[3]["note"]


def test_a_plan_after_a_fetch_knows_what_is_used(shell: Shell) -> None:
    shell.good("fetch", *SYMBOLS[:2], *JANUARY, **PAID)
    (row,) = plan(shell, "META", *JANUARY, **PAID)
    assert (row["requests"], row["usd"], row["seconds"]) == (1, 0.06, 0)


def test_a_dry_run_tells_it(shell: Shell) -> None:
    said = shell.good("fetch", *FOUR, "--dry-run", **PAID)
    assert "4 requests would be sent; nothing was; 4 credits, 0.1400 USD, all could go at once" in said.err
    assert "1 request to yahoo, 0.0600 USD, 1 credit beyond the quota, for 0.0500 USD" in said.err
    assert paid(shell) == []


def test_who_has_used_up_its_quota_costs_more_in_the_ranking(shell: Shell) -> None:
    told = PAID | {f"MDAGENT_WEIGHTS__{fact.upper()}": "0" for fact in Weights._fields if fact != "cost"}
    told |= setting("tiingo", "ENABLED", "") | setting("tiingo", "COST", "0.02")
    orders = []
    for symbol in ("AAPL", "MSFT"):
        orders.append([row["source"] for row in plan(shell, symbol, "NVDA", "AMZN", *JANUARY, **told)])
        shell.good("fetch", symbol, *JANUARY, "--source", "yahoo", **told)
    assert orders == [["yahoo", "yahoo", "tiingo"], ["yahoo", "tiingo", "tiingo"]]
    assert "costs 0.0600 USD" in shell.good("sources", "rank", "META", **told).out


# It is told


def test_costs_tell_how_much_of_the_spend_was_overage(shell: Shell) -> None:
    shell.good("fetch", *FOUR, **PAID)
    (spent,) = costs(shell, "spent", **PAID)
    assert (spent["usd"], spent["overage_usd"]) == (0.14, 0.1)
    of_yahoo, of_all = (row for row in costs(shell, "month", **PAID) if row["source"] in ("yahoo", "all"))
    assert (of_yahoo["overage_usd"], of_all["overage_usd"]) == (0.1, 0.1)


def test_the_forecast_knows_when_the_quota_of_the_month_is_used_up(shell: Shell) -> None:
    """Four requests in 4.9 of 29 days are 24 of a month: ten are included, the others are not."""
    told = PAID | setting("yahoo", "LIMITS", "[{limit: 10, per: month, zone: UTC}]")
    shell.good("fetch", *FOUR, **told)
    assert [over for _, over in paid(shell)] == [0] * 4
    row = next(row for row in costs(shell, "month", **told) if row["source"] == "yahoo")
    requests = 4 * 29 / (4 + 22 / 24)
    assert row["forecast_usd"] == pytest.approx(requests * 0.01 + (requests - 10) * 0.05, rel=1e-3)
    wall = next(row for row in costs(shell, "month", **told | setting("yahoo", "OVERAGE", "")) if row["source"] == "yahoo")
    assert wall["forecast_usd"] == pytest.approx(requests * 0.01, rel=1e-3)


def test_limits_and_list_tell_the_price(shell: Shell) -> None:
    told = PAID | setting("yahoo", "LIMITS", "[{limit: 10, per: 1m}, {limit: 10, per: day, zone: UTC}]")
    minute, day = shell.good("sources", "limits", "yahoo", "--json", **told).json
    assert (minute["overage"], minute["batch"], day["overage"], day["batch"]) == (None, 7, 0.05, 10)
    (row,) = [row for row in shell.good("sources", "list", "--json", **told).json if row["source"] == "yahoo"]
    assert row["cost"] == "free, 0.01 a request, 0.05 a credit beyond the quota"
    assert shell.good("sources", "limits", "yahoo", "--json").json[0]["overage"] is None


def test_a_price_that_is_none_is_refused_with_the_place(shell: Shell) -> None:
    said = shell.run("sources", "list", **setting("yahoo", "OVERAGE", "-1"))
    assert said.code == 3
    assert "sources.yahoo.overage is -1: it must be a number from 0 to 1000 (USD for one credit)" in said.err
