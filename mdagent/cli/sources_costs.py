"""sources costs: what the requests cost, what the month will have cost, and what the budgets leave."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, choose, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.config.tree import BudgetSettings
    from mdagent.store.recall import Spend

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

_OF_SPEND = "kind period source endpoint requests credits usd good_bars usd_per_1000_bars"
COSTS = f"{_OF_SPEND} plan fee_usd forecast_usd budget_usd left_usd overage_usd".split()
_ALL = "all"
_PERIODS: tuple[tuple[Literal["day", "month"], str], ...] = (("day", "%Y-%m-%d"), ("month", "%Y-%m"))


@app.command(cls=Page)
def costs(
    ctx: typer.Context,
    *,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="first day, such as 2024-01-01; default the month a year back")] = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """What was spent, what the month will cost, what budgets leave.

    A row of kind `spent` is one endpoint of a source in one month (UTC), with what a thousand good bars cost. `month` is a source in
    this month: the monthly fee of its plan (empty where none is published), and the forecast: what was spent so far at the same rate
    to the end of the month, and the fee. `budget` is a budget of the settings for this day or month, and what is left of it. What a
    request costs is sources.NAME.cost (USD for one credit), 0 where it is not set, and sources.NAME.overage for each credit beyond the
    quota of a day or month: `overage_usd` is how much of `usd` that was, and the forecast knows when the quota of a month is used up.

    \b
    Examples:
      mdagent sources costs
      mdagent sources costs --since 2024-01-01 --csv
    """
    from mdagent.market import parse_instant
    from mdagent.store.recall import spending

    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    with terminal.agent() as agent:
        now = agent.clock.now()
        month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        begin = parse_instant(since) if since else month.replace(year=month.year - 1)
        rows = [_spent(told) for told in spending(agent.ledger, begin - timedelta(microseconds=1))]
        rows += _forecasts(agent, spending(agent.ledger, month - timedelta(microseconds=1)), month, now)
        rows += _budgets(agent, now)
        made_up = agent.settings.world == "sandbox"
    show(chosen, COSTS, rows, terminal, COSTS)
    if made_up:
        terminal.say("sandbox: nobody is charged; the plans are the largest of each source, or those of the settings")


def _spent(told: Spend) -> tuple[Any, ...]:
    return ("spent", told.month, told.source, told.endpoint, *_sums([told]), None, None, None, None, None, round(told.overage, 6))


def _sums(told: Sequence[Spend]) -> tuple[int, int, float, int, float | None]:
    """Requests, credits, USD, good bars, and USD for a thousand of them."""
    usd, bars = sum(s.usd for s in told), sum(s.bars for s in told)
    return sum(s.requests for s in told), sum(s.credits for s in told), round(usd, 6), bars, round(1000 * usd / bars, 6) if bars else None


def _forecasts(agent: Agent, told: Sequence[Spend], month: datetime, now: datetime) -> Iterator[tuple[Any, ...]]:
    """A row for each source that can be asked or was, and one for all."""
    from mdagent.guard.cost import foreseen
    from mdagent.work.fit import unready

    following = (month + timedelta(days=32)).replace(day=1)
    scale = (following - month) / max(now - month, timedelta(days=1))  # of an hour no month can be foretold
    fees = forecasts = 0.0
    asked = {s.source for s in told}
    for source, settings in agent.sources():
        name, plan = source.spec.name, source.plan
        used = settings.enabled and unready(source, agent.settings.world, now.date()) is None
        if not used and name not in asked:
            continue
        fee, own = plan.usd if used else 0.0, [s for s in told if s.source == name]
        sums, over = _sums(own), sum(s.overage for s in own)
        later = over * scale
        if settings.overage is not None:
            later = foreseen(agent.roster.windows(name), settings.overage, over, sums[:2], scale)
        forecast = (sums[2] - over) * scale + later + (fee or 0.0)
        fees, forecasts = fees + (fee or 0.0), forecasts + forecast
        yield ("month", f"{month:%Y-%m}", name, "", *sums, plan.name, fee, round(forecast, 4), None, None, round(over, 6))
    over = sum(s.overage for s in told)
    yield ("month", f"{month:%Y-%m}", _ALL, "", *_sums(told), None, round(fees, 4), round(forecasts, 4), None, None, round(over, 6))


def _budgets(agent: Agent, now: datetime) -> Iterator[tuple[Any, ...]]:
    """What the settings allow, spent as an admission counts it."""
    from mdagent.guard.limits import Window, span
    from mdagent.store.quota import spent

    told: list[tuple[str, BudgetSettings]] = [("", agent.settings.budget), *((n, s.budget) for n, s in agent.settings.sources.items())]
    for name, budget in told:
        for (per, form), allowed in zip(_PERIODS, budget, strict=True):
            if allowed is None:
                continue
            usd = agent.ledger.reading(partial(spent, when=span(Window(0, per), now), source=name))
            left = round(max(0.0, allowed - usd), 6)
            nothing = (None,) * 5
            yield ("budget", now.strftime(form), name or _ALL, "", None, None, round(usd, 6), *nothing, allowed, left, None)
