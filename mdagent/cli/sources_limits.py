"""sources limits: each quota window, who may use how much of it, and who waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, Names, choose, moment, named, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.store.recall import Waiter

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

LIMITS = "source window of limit used left critical high normal low batch factor resets_at waiting waits overage".split()


@app.command(cls=Page)
def limits(ctx: typer.Context, names: Names = None, *, form: Format = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Each quota window: what is used, who may use it, who waits.

    What all processes of this machine use counts together. The columns critical to batch are what a request of that class finds: the
    limit, times the adaptive factor (below 1 after a refusal that the quota did not foresee; rolling windows only), less what is kept
    back for the classes above. A window resets whole by the calendar of its zone; a rolling one gives back its oldest request at that
    time. `waits` names class, request, run and since when of each that stands in the queue of the source. With `overage` (USD for a
    credit beyond a window of the calendar, sources.NAME.overage) that window refuses nobody, and keeps nothing back.

    \b
    Examples:
      mdagent sources limits
      mdagent sources limits yahoo polygon --json
    """
    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    with terminal.agent() as agent:
        rows = [row for name in named(agent, names) for row in _windows(agent, name)]
    show(chosen, LIMITS, rows, terminal, LIMITS)


def _windows(agent: Agent, name: str) -> Iterator[tuple[object, ...]]:
    from mdagent.guard.limits import usable
    from mdagent.market import Priority
    from mdagent.store.recall import factor_of, quota_left, waiting

    now, account, overage = agent.clock.now(), agent.roster.account(name), agent.roster.rules(name).overage
    factor, queue = factor_of(agent.ledger, account), waiting(agent.ledger, account, now)
    for window, used, until in quota_left(agent.ledger, name, agent.roster.windows(name), account, now):
        soft = window.calendar and overage is not None
        yield (
            *(name, window.text, window.of, window.limit, used, max(0, window.limit - used)),
            *(window.limit if soft else usable(window, priority, 1, factor).limit for priority in Priority),
            *(1.0 if window.calendar else round(factor, 3), moment(until), len(queue), "; ".join(map(_waiter, queue))),
            overage if soft else None,
        )


def _waiter(told: Waiter) -> str:
    return f"{told.priority.name.lower()} {told.what} since {told.since:%H:%M:%S}Z (run {told.run})"
