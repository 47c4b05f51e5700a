"""chaos list: the experiments that come along, and the faults that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, choose, show

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

EXPERIMENTS = ("name", "time", "title", "drills", "suites", "faults", "claims", "seconds")
FAULTS = ("kind", "where", "about", "settings")
PROBES = ("probe", "unit", "about")


@app.command("list", cls=Page)
def list_(
    ctx: typer.Context,
    *,
    faults: Annotated[bool, typer.Option("--faults", help="the kinds of faults that an experiment may inject")] = False,
    probes: Annotated[bool, typer.Option("--probes", help="the probes that a hypothesis may name")] = False,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """The experiments that come with mdagent. `time` is real where one runs on the machine's time, by itself.

    \b
    Examples:
      mdagent chaos list
      mdagent chaos list --faults                        what can be injected; proxy and host: in real time, scene: not there
      mdagent chaos list --probes                        what can be claimed
    """
    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    if faults:
        from mdagent.wire.faults import KINDS

        kinds = [(name, kind.where, kind.says, " ".join(kind.settings)) for name, kind in KINDS.items()]
        show(chosen, FAULTS, kinds, terminal, FAULTS)
    elif probes:
        from mdagent.chaos.probes import PROBES as TABLE

        show(chosen, PROBES, [(name, probe.unit, probe.about) for name, probe in TABLE.items()], terminal, PROBES)
    else:
        show(chosen, EXPERIMENTS, _experiments(), terminal, EXPERIMENTS[:5])


def _experiments() -> list[tuple[object, ...]]:
    from mdagent.chaos.shipped import SUITES, names, shipped

    made: list[tuple[object, ...]] = []
    for name in names():
        one = shipped(name)
        suites = " ".join(suite for suite, of in SUITES.items() if name in of)
        faults = " ".join(dict.fromkeys(fault.kind for fault in one.faults))
        claims = " ".join(bound.probe for bound in one.hypothesis)
        made.append(
            (name, "real" if one.real_time else "virtual", one.title, " ".join(one.drills), suites, faults, claims, sum(one.phases))
        )
    return made
