"""sources list: the facts of every provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, choose, disabled, show

if TYPE_CHECKING:
    from datetime import date, timedelta

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.config import SourceSettings
    from mdagent.sources.base import Source, SourceSpec

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

_FACTS = "source title enabled key intervals prices quota cost base terms facts_checked plan plans usd_month delay lacks note"
LIST = (*_FACTS.split(), "state", "since", "what", "covers", "offers", "auth", "disabled_by")


@app.command("list", cls=Page)
def list_(ctx: typer.Context, *, form: Format = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """The facts of every source: plan, prices, quota, cost, terms.

    Also its intervals, delay and state, and by what it is disabled. Asks nobody.

    \b
    Examples:
      mdagent sources list
      mdagent sources list --json
    """
    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    with terminal.agent() as agent:
        off = disabled(agent, terminal)
        rows = [_facts(agent, source, told, off.get(source.spec.name, ("", None))[0]) for source, told in agent.sources()]
    show(chosen, LIST, rows, terminal)


def _facts(agent: Agent, source: Source, told: SourceSettings, off: str) -> tuple[object, ...]:
    spec, plan = source.spec, source.plan
    cost = "free" if plan.usd == 0 else f"{plan.usd:g} USD a month" if plan.usd else "ask the vendor"
    cost += "" if told.cost is None else f", {told.cost:g} a request"
    cost += "" if told.overage is None else f", {told.overage:g} a credit beyond the quota"
    return (
        spec.name,
        spec.title,
        not off,
        "present" if told.api_key else "not needed" if source.keyed else "missing",
        " ".join(spec.intervals),
        _bases(spec),
        ", ".join(w.text for w in agent.roster.windows(spec.name)),
        cost,
        ", ".join(told.base_url or spec.bases[:1]),
        spec.terms,
        f"{spec.checked}",
        plan.name,
        " ".join(p.name for p in spec.plans),
        plan.usd,
        _late(plan.delay),
        ", ".join(sorted(plan.lacks)),
        plan.note,
        *_lifecycle(spec, agent.clock.now().date()),
        spec.covers,
        ", ".join(sorted(spec.offers)),
        f"{spec.auth.place} {spec.auth.name}".strip(),
        off,
    )


def _bases(spec: SourceSpec) -> str:
    """The price bases of each interval, those alike together; the first is the one that is stored: `1m 5m splits; 1d splits all`."""
    groups: dict[str, list[str]] = {}
    for interval, depth in spec.intervals.items():
        groups.setdefault(" ".join(depth.delivers), []).append(interval.value)
    return "; ".join(f"{' '.join(intervals)} {bases}" for bases, intervals in groups.items())


def _late(delay: timedelta) -> str:
    """A delay as a person says it: `real time`, `15m`, `1d`."""
    seconds = delay.total_seconds()
    unit, size = next(((u, n) for u, n in (("d", 86400), ("h", 3600), ("m", 60)) if seconds % n == 0), ("s", 1))
    return f"{seconds / size:g}{unit}" if seconds else "real time"


def _lifecycle(spec: SourceSpec, today: date) -> tuple[str, str, str]:
    """What has become of the provider by now, since when, and in words. An end is an end, whatever came after it."""
    past = sorted((m for m in spec.lifecycle if m.day <= today), key=lambda m: m.day)
    now = spec.retired(today) or (past[-1] if past else None)
    return (now.state, f"{now.day}", now.what) if now else ("active", "", "")
