"""sources log: the attempts, one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, Names, choose, named, show

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

LOG = "at source endpoint subject host state status kind ms size cost usd score detail run".split()
_PEOPLE = "at source endpoint subject state status kind ms cost usd score detail".split()
_EVER = datetime(1970, 1, 1, tzinfo=UTC)


@app.command(cls=Page)
def log(
    ctx: typer.Context,
    names: Names = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="those alone that brought nothing of use")] = False,
    last: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=1_000_000, help="at most so many, the latest")] = 50,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="those after it, such as 2024-01-02 or 2024-01-02T14:30:00Z")] = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The requests that all processes sent, the latest last.

    To whom, for what, and what became of each. A state is sent (no answer yet, or the process died), settled, refunded (it was never
    sent) or foreign (somebody else uses the key: credits that the provider counts and we did not spend). `cost` is in credits.

    \b
    Examples:
      mdagent sources log
      mdagent sources log yahoo --failed --last 10
      mdagent sources log --since 2024-02-01 --csv
    """
    from mdagent.market import parse_instant
    from mdagent.store.recall import log as logged

    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    begin = parse_instant(since) if since else _EVER
    with terminal.agent() as agent:
        wanted = named(agent, names) if names else ()
        found = logged(agent.ledger, wanted, begin, last, failed=failed)
    rows = [(entry.at.replace(tzinfo=None), *entry[1:8], _rounded(entry.ms), *entry[9:]) for entry in found]
    show(chosen, LOG, rows, terminal, _PEOPLE)


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 1)
