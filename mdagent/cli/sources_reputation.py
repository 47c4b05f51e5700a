"""sources reputation: what the attempts of the last weeks say of each provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, Names, choose, moment, named, show

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal
    from mdagent.guard.memory import Reputation
    from mdagent.work.rank import Form

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

REPUTATION = (
    *"source interval reliability low high attempts quality grade graded_of median_ms failures last_attempt".split(),
    *("price_quality", "volume_quality"),
)


@app.command(cls=Page)
def reputation(
    ctx: typer.Context,
    names: Names = None,
    *,
    interval: Annotated[
        str | None, typer.Option("--interval", "-i", metavar="LENGTH", help="of the bars asked for, such as 1d; default every request")
    ] = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """How reliable, good and fast each source was until now.

    It is what ranks the sources (mdagent sources rank). Reliability is the share of good answers to be expected, `low` and `high`
    hold it with a probability of 90 %. Attempts fade, by half in a week: `attempts` is how many of today weigh as much as all that
    were seen. With none, a source is taken to answer nine times of ten. `failures` are the shares of requests that ended in each kind
    of failure; `price_quality` and `volume_quality` are the grades of either field.

    \b
    Examples:
      mdagent sources reputation
      mdagent sources reputation yahoo --interval 1d --json
    """
    from mdagent.market import Interval

    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    length = Interval.parse(interval).value if interval else ""
    with terminal.agent() as agent:
        of = agent.form()
        rows = [(*_row(of.reputation(name, length)), *_fields(of, name, length)) for name in named(agent, names)]
    show(chosen, REPUTATION, rows, terminal, REPUTATION)


def _fields(of: Form, name: str, interval: str) -> list[float | None]:
    """The quality of prices, and of volumes."""
    told = [of.reputation(name, interval, field=field).quality for field in ("price", "volume")]
    return [None if quality is None else round(quality, 1) for quality in told]


def _row(told: Reputation) -> tuple[object, ...]:
    from mdagent.quality.letters import letter

    share, quality = told.reliability, told.quality
    return (
        *(told.source, told.interval or "all", round(share.mean, 4), round(share.low, 4), round(share.high, 4), round(told.seen, 1)),
        *(None if quality is None else round(quality, 1), None if quality is None else letter(quality), told.basis or None),
        None if told.latency is None else round(told.latency, 1),
        ", ".join(f"{kind} {part:.2%}" for kind, part in told.by_kind),
        moment(told.last),
    )
