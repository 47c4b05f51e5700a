"""chaos: experiments on mdagent itself. A command loads its own module and no other."""

from __future__ import annotations

import typer

from mdagent.cli.lazy import Lazy

COMMANDS: dict[str, str] = {"list": "chaos_list", "run": "chaos_run", "report": "chaos_report", "suite": "chaos_suite", "new": "chaos_new"}


class Chaos(Lazy):
    """Of the commands about experiments."""

    modules, path = COMMANDS, "mdagent chaos"


app = typer.Typer(
    cls=Chaos,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="Experiments: a hypothesis, faults from a seed, and a verdict. But for run --live nothing of them touches your store, your keys "
    "or the network.",
)


@app.callback()
def _group() -> None:
    """Experiments on mdagent itself."""
