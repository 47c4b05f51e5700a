"""sources: the commands about providers by name, and what they share. A command loads its own module and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mdagent.cli.lazy import Lazy
from mdagent.errors import MdagentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal

COMMANDS: dict[str, str] = {
    "list": "sources_list",
    "status": "sources_status",
    "limits": "sources_limits",
    "costs": "sources_costs",
    "rank": "sources_rank",
    "reputation": "sources_reputation",
    "probe": "sources_probe",
    "enable": "sources_switch",
    "disable": "sources_switch",
    "open": "sources_breakers",
    "reset": "sources_breakers",
    "explain": "sources_breakers",
    "log": "sources_log",
}
Format = Annotated[
    str | None, typer.Option("--format", "-f", metavar="NAME", help="table, csv, json or ndjson; default table on a terminal, else csv")
]
AsJson = Annotated[bool, typer.Option("--json", help="same as --format json")]
AsCsv = Annotated[bool, typer.Option("--csv", help="same as --format csv")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[SOURCE...]", help="all of them, when none is named")]


class Sources(Lazy):
    """Of the commands about providers."""

    modules, path = COMMANDS, "mdagent sources"


app = typer.Typer(
    cls=Sources,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="The providers: their facts, how they do, what they may and cost, and who is asked first.",
)


@app.callback()
def _group() -> None:
    """The providers."""


def choose(terminal: Terminal, form: str | None, *, as_json: bool, as_csv: bool) -> str:
    """The format that the options ask for. A wrong word is told before anything is done. Raises UsageError."""
    from mdagent.cli.render import choose_format

    chosen = choose_format(form, as_json=as_json, as_csv=as_csv, output=None, tty=terminal.out.isatty())
    if chosen == "parquet":
        msg = "parquet is not text"
        raise UsageError(msg, "use table, csv, json or ndjson")
    return chosen


def show(
    chosen: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]], terminal: Terminal, people: Sequence[str] | None = None
) -> None:
    """Rows on stdout. As a table each is a card, for a few sources with many facts read better one below the other; with `people`,
    the columns that a person needs, it is a table in truth."""
    from mdagent.cli.render import write_rows
    from mdagent.cli.table import print_cards, print_table

    if chosen != "table":
        write_rows(chosen, columns, rows, terminal.out, terminal)
    elif people is None:
        print_cards(columns, rows, terminal.out)
    else:
        print_table(people, [[row[columns.index(name)] for name in people] for row in rows], terminal.out, terminal)


def moment(instant: datetime | None) -> datetime | None:
    """An instant as the writers of rows want it: UTC, without saying so, whole seconds."""
    return instant.replace(tzinfo=None, microsecond=0) if instant else None


def named(agent: Agent, names: Iterable[str] | None) -> list[str]:
    """The sources of these names, each once; all that are known where none is named. Raises UsageError."""
    from mdagent.sources import spec_of

    return [spec_of(name).name for name in dict.fromkeys(names or agent.settings.sources)]


def disabled(agent: Agent, terminal: Terminal) -> dict[str, tuple[str, datetime | None]]:
    """The sources that may not be asked: by what, and since when where that is known. No ledger is made to read it."""
    off: dict[str, tuple[str, datetime | None]] = {}
    if agent.settings.ledger.exists():
        from mdagent.store.recall import switched

        try:
            off = {name: (f"switched off by hand (mdagent sources enable {name})", at) for name, at in switched(agent.ledger).items()}
        except MdagentError as error:
            terminal.say(f"whether a source was disabled by hand is not known: {error.message}")
    settled: dict[str, tuple[str, datetime | None]] = {
        name: (f"sources.{name}.enabled is false", None) for name, told in agent.settings.sources.items() if not told.enabled
    }
    return off | settled
