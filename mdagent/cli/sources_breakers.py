"""sources open, sources reset, sources explain: the breakers by hand, and the sums behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, Names, choose, named, show
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

EXPLAINED = ("source", "endpoint", "state", "told")
_ENDPOINTS = ("bars", "quote", "search", "actions", "market", "batch")  # what a gate.Call may be for
Named = Annotated[str, typer.Argument(metavar="SOURCE", help="by name, as sources list has it")]
Endpoint = Annotated[
    str | None, typer.Option(metavar="NAME", help=f"of one kind of request alone: {' '.join(_ENDPOINTS)}; default the source as a whole")
]


@app.command("open", cls=Page)
def open_(
    ctx: typer.Context,
    name: Named,
    *,
    endpoint: Endpoint = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="shown wherever it is refused")] = "opened by hand",
) -> None:
    """Force a breaker open: no request goes there until a reset.

    Holds for every process on this machine; other sources serve meanwhile. It belongs to the source under its key; mdagent sources
    disable holds under any key.

    \b
    Examples:
      mdagent sources open yahoo --why "wrong splits since Monday"
      mdagent sources open polygon --endpoint quote
    """
    terminal: Terminal = ctx.obj
    with terminal.agent() as agent:
        source, part = _place(agent, name, endpoint)
        agent.ledger.force_open(agent.roster.account(source), part, why.strip() or "opened by hand")
    of = f" --endpoint {part}" if part else ""
    terminal.say(f"{_said(source, part)} is forced open: no process on this machine asks it (mdagent sources reset {source}{of} ends that)")


@app.command(cls=Page)
def reset(ctx: typer.Context, name: Named, *, endpoint: Endpoint = None) -> None:
    """Say that the cause is gone: the next request tests it.

    Three good ones in a row close what was open. For the source as a whole that lifts a block (after a 429) and a lowered pace, too;
    its endpoints keep theirs. A quota that is spent stays spent.

    \b
    Examples:
      mdagent sources reset yahoo
      mdagent sources reset polygon --endpoint quote
    """
    from mdagent.guard.breaker import Breaker, State
    from mdagent.store.recall import breakers_of, factor_of

    terminal: Terminal = ctx.obj
    with terminal.agent() as agent:
        source, part = _place(agent, name, endpoint)
        now, account, ledger = agent.clock.now(), agent.roster.account(source), agent.ledger
        before, block = breakers_of(ledger, account).get(part, Breaker(now)), ledger.blocked(source, account)
        pace = factor_of(ledger, account)
        ledger.reset_breaker(account, part)
        found = breakers_of(ledger, account)
        after = found.get(part, Breaker(now))
        blocked = ledger.blocked(source, account) is not None
    tested = "the next request tests it" if after.state is State.HALF_OPEN else "requests go"
    terminal.say(f"{_said(source, part)} was {before.state}, is {after.state}: {tested}")
    if not part and block and block.until > now:
        terminal.say(f"{source}: the block until {block.until:%Y-%m-%d %H:%M:%S}Z {'stays' if blocked else 'is lifted'} ({block.reason})")
    if not part and pace < 1.0:
        terminal.say(f"{source}: the pace is {pace:g} no more, but that of the plan")
    for other, b in sorted(found.items()):
        if other not in ("", part) and b.state in (State.OPEN, State.FORCED_OPEN):
            terminal.say(f"{_said(source, other)} is still {b.state}: mdagent sources reset {source} --endpoint {other}")


@app.command(cls=Page)
def explain(
    ctx: typer.Context,
    names: Names = None,
    *,
    endpoint: Endpoint = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The sums behind each breaker, and what would change it.

    Its state, the rates that it counts against their limits, and its wait. A source has a breaker of its own (endpoint empty) and one
    for each kind of request; those that saw nothing but good answers of late have nothing to say, and are closed.

    \b
    Examples:
      mdagent sources explain yahoo
      mdagent sources explain polygon --endpoint bars --json
    """
    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    with terminal.agent() as agent:
        part = None if endpoint is None else _known(endpoint)
        rows = [row for name in named(agent, names) for row in _explained(agent, name, part)]
    if chosen != "table":
        show(chosen, EXPLAINED, rows, terminal)
        return
    place = ("", "")
    for source, of, state, told in rows:
        if place != (source, of):
            terminal.out.write(f"{_said(source, of)}: {state}\n")
            place = (source, of)
        terminal.out.write(f"  {told}\n")


def _explained(agent: Agent, name: str, part: str | None) -> Iterator[tuple[str, str, str, str]]:
    from mdagent.guard.breaker import explain as sums
    from mdagent.store.recall import breakers_of

    found = breakers_of(agent.ledger, agent.roster.account(name))
    for endpoint in sorted(found.keys() | {part or ""}) if part is None else [part]:
        breaker = found.get(endpoint)
        if breaker is None:
            yield name, endpoint, "closed", "no failure, and nothing slow, of late"
            continue
        for line in sums(breaker, agent.clock.now()):
            yield name, endpoint, breaker.state.value, line


def _place(agent: Agent, name: str, endpoint: str | None) -> tuple[str, str]:
    """The source and the endpoint, "" for the source as a whole. Raises UsageError for what is not known, or has no key to be asked
    with."""
    source = named(agent, [name])[0]
    part = "" if endpoint is None else _known(endpoint)
    if not agent.roster.source(source).keyed:
        msg = f"{source} has no key: no request can go there, and a breaker belongs to a key"
        raise UsageError(msg, f"mdagent sources disable {source} holds under any key")
    return source, part


def _known(endpoint: str) -> str:
    if endpoint in _ENDPOINTS:
        return endpoint
    import difflib

    near = difflib.get_close_matches(endpoint, _ENDPOINTS, 1)
    msg = f"no source has an endpoint {endpoint[:40]!a}"
    raise UsageError(msg, f"did you mean {near[0]}?" if near else f"use one of {', '.join(_ENDPOINTS)}")


def _said(source: str, endpoint: str) -> str:
    return f"{source} {endpoint}".rstrip()
