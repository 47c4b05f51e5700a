"""sources list, sources status: the providers, their facts, and how they do."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page

if TYPE_CHECKING:
    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="The providers: their facts, and how they do.",
)

_LIST = ("source", "title", "enabled", "key", "intervals", "prices", "quota", "cost", "base", "terms", "facts_checked")
_STATUS = ("source", "state", "why", "until", "sent_1h", "failed_1h", "median_ms", "quota_left", "last_request", "last_failure")
Format = Annotated[
    str | None, typer.Option("--format", "-f", metavar="NAME", help="table, csv, json or ndjson; default table on a terminal, else csv")
]
AsJson = Annotated[bool, typer.Option("--json", help="same as --format json")]
AsCsv = Annotated[bool, typer.Option("--csv", help="same as --format csv")]


@app.command("list", cls=Page)
def list_(ctx: typer.Context, *, form: Format = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """Every known source with its intervals, quota, cost and terms.

    \b
    Examples:
      mdagent sources list
      mdagent sources list --json
    """
    terminal: Terminal = ctx.obj
    with terminal.agent() as agent:
        rows = [_facts(agent, source, told) for source, told in agent.sources()]
    _show(_LIST, rows, terminal, form, as_json=as_json, as_csv=as_csv)


def _facts(agent: Agent, source: Any, told: Any) -> tuple[object, ...]:  # noqa: ANN401  Source, SourceSettings
    spec = source.spec
    key = "not needed" if not spec.needs_key else "present" if told.api_key else "missing"
    quota = ", ".join(w.text for w in agent.windows(spec.name))
    base = told.base_url or "https://" + spec.hosts[0]
    return (
        spec.name,
        spec.title,
        told.enabled,
        key,
        " ".join(spec.intervals),
        " ".join(spec.delivers),
        quota,
        "free" if source.plan.usd == 0 else f"{source.plan.usd:g} USD a month" if source.plan.usd else "ask the vendor",
        base,
        spec.terms,
        f"{spec.checked}",
    )


@app.command(cls=Page)
def status(ctx: typer.Context, *, form: Format = None, as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """State, requests, failures and quota left of each source. Told by the ledger that all processes share.

    Exit code 4 when an enabled source cannot be used now.

    \b
    Examples:
      mdagent sources status
      mdagent sources status --json
    """
    terminal: Terminal = ctx.obj
    with terminal.agent() as agent:
        rows = [_state(agent, source.spec.name, told) for source, told in agent.sources()]
    _show(_STATUS, rows, terminal, form, as_json=as_json, as_csv=as_csv)
    if any(row[1] not in ("ready", "disabled") for row in rows):
        terminal.code = int(ExitCode.NO_SOURCE)


def _state(agent: Agent, name: str, told: Any) -> tuple[object, ...]:  # noqa: ANN401  SourceSettings
    from mdagent.guard.limits import Refusal, admit, span

    now, windows = agent.clock.now(), agent.windows(name)
    tally = agent.ledger.tally(name, now - timedelta(hours=1))
    block, usage = agent.ledger.blocked(name), agent.ledger.usage(name, windows, now)
    state, why, until = "ready", "", None
    answer = admit(windows, usage, 1, now)
    if not told.enabled:
        state, why = "disabled", f"sources.{name}.enabled is false"
    elif block and block.until > now:
        state, why, until = "blocked", block.reason, block.until
    elif isinstance(answer, Refusal):
        state, why, until = "quota spent", answer.reason, answer.until
    left = ", ".join(f"{w.limit - w.used(u for u in usage if u.at > span(w, now)[0])} of {w.text}" for w in windows)
    last = tally.last_at.replace(tzinfo=None, microsecond=0) if tally.last_at else None
    median = round(tally.median_ms, 1) if tally.median_ms is not None else None
    when = until.replace(tzinfo=None, microsecond=0) if until else None
    return name, state, why, when, tally.sent, tally.failed, median, left, last, tally.last_failure


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
