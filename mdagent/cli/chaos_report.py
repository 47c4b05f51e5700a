"""chaos report: a report that was kept, or two of them beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.page import Page
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from mdagent.cli.terminal import Terminal
    from mdagent.store.drills import Kept
    from mdagent.store.ledger import Ledger

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

COLUMNS = ("number", "at", "experiment", "seed", "verdict", "suite")
COMPARED = ("what", "a", "b", "same")


@app.command(cls=Page)
def report(
    ctx: typer.Context,
    number: Annotated[int | None, typer.Argument(metavar="[RUN]", help="the number of a run; default the last", min=1)] = None,
    *,
    listed: Annotated[bool, typer.Option("--list", help="the runs that are kept, the latest first")] = False,
    compare: Annotated[tuple[int, int] | None, typer.Option(metavar="A B", help="where the reports of two runs differ")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="answers, sources and faults over time, as .png or .svg")] = None,
    force: Annotated[bool, typer.Option("--force", help="write over an existing file")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON; else Markdown")] = False,
) -> None:
    """The report of a run of chaos, as it was kept in the ledger.

    \b
    Examples:
      mdagent chaos report                               the last
      mdagent chaos report 3 --json
      mdagent chaos report --list
      mdagent chaos report --compare 3 4
      mdagent chaos report 3 --plot monday.svg
    """
    from mdagent.chaos.report import markdown
    from mdagent.cli.sources import show
    from mdagent.store.drills import drills

    terminal: Terminal = ctx.obj
    if plot is not None:
        _check(plot, terminal, other="--list" if listed else "--compare" if compare else "--json" if as_json else None, force=force)
    form = "json" if as_json else "table" if terminal.out.isatty() else "csv"
    with terminal.agent() as agent:
        if listed:
            rows = [(k.number, k.at.replace(tzinfo=None), k.experiment, k.seed, k.verdict, k.suite) for k in drills(agent.ledger)]
            show(form, COLUMNS, rows, terminal, COLUMNS)
            return
        if compare is not None:
            a, b = (_found(agent.ledger, n) for n in compare)
            show(form, COMPARED, differences(a.told, b.told), terminal, COMPARED)
            return
        kept = _found(agent.ledger, number)
    if plot is not None:
        _draw(kept, plot, terminal)
        return
    terminal.out.write(json.dumps(kept.told, indent=1) + "\n" if as_json else markdown(kept.told))


def _found(ledger: Ledger, number: int | None) -> Kept:
    from mdagent.store.drills import drill

    kept = drill(ledger, number)
    if kept is None:
        msg = f"no run of chaos has the number {number}" if number else "no run of chaos is kept yet"
        raise UsageError(msg, "mdagent chaos report --list" if number else "mdagent chaos run primary-down")
    return kept


def _check(plot: Path, terminal: Terminal, *, other: str | None, force: bool) -> None:
    """Raises UsageError for options that mean nothing, before anything is read."""
    from mdagent.cli.render import refuse_picture

    if other:
        msg = f"{other} and --plot exclude each other"
        raise UsageError(msg, "name one")
    refuse_picture(terminal.cwd / plot, force=force)


def _draw(kept: Kept, plot: Path, terminal: Terminal) -> None:
    from mdagent.cli.chart import draw

    if "course" not in kept.told:
        msg = f"run {kept.number} was kept without its course over time"
        raise UsageError(msg, f"run it again: {kept.told['replay']}")
    draw(kept.told, terminal.cwd / plot, terminal.settings.home / "matplotlib")
    terminal.say(f"run {kept.number} of {kept.experiment} is in {plot}")


def differences(a: Any, b: Any) -> list[tuple[object, ...]]:  # noqa: ANN401  trees of JSON
    """Each leaf that both have in different values, or that one of them lacks; and every claim of the hypotheses, changed or not. The
    course over time is for the eye."""
    told_a, told_b = (dict(_leaves({k: v for k, v in told.items() if k != "course"}, "")) for told in (a, b))
    names = list(dict.fromkeys([*told_a, *told_b]))
    claims = [name for name in names if name.startswith("hypothesis.") and name.split(".")[-1] in ("before", "during", "after", "value")]
    kept = [name for name in names if told_a.get(name) != told_b.get(name) or name in claims or name == "verdict"]
    return [(name, told_a.get(name), told_b.get(name), told_a.get(name) == told_b.get(name)) for name in kept]


def _leaves(tree: Any, path: str) -> list[tuple[str, object]]:  # noqa: ANN401  JSON is whatever it is
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in _leaves(value, f"{path}.{key}" if path else str(key))]
    if isinstance(tree, list):
        named = [(str(v["probe"]) if isinstance(v, dict) and "probe" in v else str(n), v) for n, v in enumerate(tree)]
        return [leaf for key, value in named for leaf in _leaves(value, f"{path}.{key}")]
    return [(path, tree)]
