"""sources list, sources status, sources probe: the providers, their facts, how they do, and whether they answer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page

if TYPE_CHECKING:
    from datetime import date, datetime

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.config import SourceSettings
    from mdagent.guard.limits import Usage
    from mdagent.sources.base import Source, SourceSpec

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="The providers: their facts, how they do, and whether they answer.",
)

_FACTS = "source title enabled key intervals prices quota cost base terms facts_checked plan plans usd_month delay lacks note"
LIST = (*_FACTS.split(), "state", "since", "what", "covers", "offers", "auth")
STATUS = ("source", "state", "why", "until", "sent_1h", "failed_1h", "median_ms", "quota_left", "last_request", "last_failure")
PROBE = ("source", "key", "entitled", "status", "latency_ms", "clock_skew_s", "quota_left", "verdict")
_IDLE = ("ready", "disabled", "no key", "retired")  # nothing is wrong with these: a key is missing until somebody buys one
Format = Annotated[
    str | None, typer.Option("--format", "-f", metavar="NAME", help="table, csv, json or ndjson; default table on a terminal, else csv")
]
AsJson = Annotated[bool, typer.Option("--json", help="same as --format json")]
AsCsv = Annotated[bool, typer.Option("--csv", help="same as --format csv")]


@app.command("list", cls=Page)
def list_(ctx: typer.Context, *, form: Format = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Every known source with its plan, intervals, prices, quota, cost, delay, state and terms. Asks nobody.

    \b
    Examples:
      mdagent sources list
      mdagent sources list --json
    """
    terminal: Terminal = ctx.obj
    with terminal.agent() as agent:
        rows = [_facts(agent, source, told) for source, told in agent.sources()]
    _show(LIST, rows, terminal, form, as_json=as_json, as_csv=as_csv)


def _facts(agent: Agent, source: Source, told: SourceSettings) -> tuple[object, ...]:
    spec, plan = source.spec, source.plan
    cost = "free" if plan.usd == 0 else f"{plan.usd:g} USD a month" if plan.usd else "ask the vendor"
    return (
        spec.name,
        spec.title,
        told.enabled,
        "present" if told.api_key else "not needed" if source.keyed else "missing",
        " ".join(spec.intervals),
        _bases(spec),
        ", ".join(w.text for w in agent.windows(spec.name)),
        cost if told.cost is None else f"{cost}, {told.cost:g} a request",
        told.base_url or "https://" + spec.hosts[0],
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


@app.command(cls=Page)
def status(ctx: typer.Context, *, form: Format = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """State, requests, failures and quota left of each source. Told by the ledger that all processes share.

    A state is ready, disabled, no key, retired, blocked or quota spent. Exit code 4 when a source that you use (enabled, with its
    key, still there) cannot be asked now.

    \b
    Examples:
      mdagent sources status
      mdagent sources status --json
    """
    terminal: Terminal = ctx.obj
    with terminal.agent() as agent:
        rows = [_state(agent, source, told) for source, told in agent.sources()]
    _show(STATUS, rows, terminal, form, as_json=as_json, as_csv=as_csv)
    if any(row[1] not in _IDLE for row in rows):
        terminal.code = int(ExitCode.NO_SOURCE)


def _state(agent: Agent, source: Source, told: SourceSettings) -> tuple[object, ...]:
    from mdagent.guard.limits import span

    name = source.spec.name
    now, windows = agent.clock.now(), agent.windows(name)
    tally, usage = agent.ledger.tally(name, now - timedelta(hours=1)), agent.ledger.usage(name, windows, now)
    state, why, until = _standing(agent, source, told, usage)
    left = ", ".join(f"{w.limit - w.used(u for u in usage if u.at > span(w, now)[0])} of {w.text}" for w in windows)
    last = tally.last_at.replace(tzinfo=None, microsecond=0) if tally.last_at else None
    median = round(tally.median_ms, 1) if tally.median_ms is not None else None
    when = until.replace(tzinfo=None, microsecond=0) if until else None
    return name, state, why, when, tally.sent, tally.failed, median, left, last, tally.last_failure


def _standing(agent: Agent, source: Source, told: SourceSettings, usage: list[Usage]) -> tuple[str, str, datetime | None]:
    """State, why, and until when."""
    from mdagent.guard.limits import Refusal, admit
    from mdagent.guard.outcome import FailureKind
    from mdagent.work.fit import unready

    name, now = source.spec.name, agent.clock.now()
    if not told.enabled:
        return "disabled", f"sources.{name}.enabled is false", None
    unfit = unready(source, agent.settings.world, now.date())
    if unfit:
        return "no key" if unfit.kind is FailureKind.AUTH else "retired", unfit.why, None
    block, answer = agent.ledger.blocked(name), admit(agent.windows(name), usage, 1, now)
    if block and block.until > now:
        return "blocked", block.reason, block.until
    if isinstance(answer, Refusal):
        return "quota spent", answer.reason, answer.until
    return "ready", "", None


@app.command(cls=Page)
def probe(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SOURCE...]", help="all that are enabled and have their key, when none is named")
    ] = None,
    *,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Ask each source for its cheapest answer: is it there, is the key good, what does the plan include? Spends one request of each.

    Also told: how long it took, by how many seconds this clock is ahead of theirs, and what the answer says of the quota. Exit
    code 11 when a key is refused, or missing for a source that was named; else 4 when one did not answer well.

    \b
    Examples:
      mdagent sources probe
      mdagent sources probe polygon --json
    """
    from mdagent.cli.data import choose_way

    terminal: Terminal = ctx.obj  # a wrong word is told before anything is spent
    choose_way(terminal, form, as_json=as_json, as_csv=as_csv)
    with terminal.agent() as agent:
        found = agent.probe(names or ())
        asked = {f.source for f in found}
        unasked = [] if names else [name for name, told in agent.settings.sources.items() if told.enabled and name not in asked]
    if unasked and found:
        terminal.say(f"not asked: {', '.join(unasked)} (mdagent sources status tells what each one lacks)")
    _show(PROBE, [tuple(getattr(f, name) for name in PROBE) for f in found], terminal, form, as_json=as_json, as_csv=as_csv)
    code = ExitCode.KEY if any(f.key in ("refused", "missing") for f in found) else ExitCode.NO_SOURCE
    for bad in found:
        if not bad.ok:
            terminal.fail(f"{bad.source}: {bad.verdict.removesuffix(f': {bad.next_step}')}", bad.next_step, code)
    if not found:
        terminal.fail("no source is enabled and has its key", "mdagent sources status tells what each one lacks", code)


def _show(
    columns: tuple[str, ...], rows: list[tuple[object, ...]], terminal: Terminal, form: str | None, *, as_json: bool, as_csv: bool
) -> None:
    from mdagent.cli.render import choose_format, write_rows
    from mdagent.cli.table import print_cards

    chosen = choose_format(form, as_json=as_json, as_csv=as_csv, output=None, tty=terminal.out.isatty())
    if chosen != "table":
        write_rows(chosen, columns, rows, terminal.out, terminal)
        return
    print_cards(columns, rows, terminal.out)  # a few sources with many facts read better one below the other
