"""A heat map of grades by symbol and month: letters on a terminal, or a picture. Colour helps, the letter says it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from mdagent.cli.terminal import Terminal
    from mdagent.work.gradebook import Mark

_STYLES = {"A": "green", "B": "cyan", "C": "yellow", "D": "magenta", "F": "bold red"}
_PAINTS = {"A": "#a6d8a8", "B": "#cfe8f3", "C": "#fdeeb3", "D": "#f5c39c", "F": "#e79a9a"}
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MOST_ROWS, _MOST_COLUMNS = 120, 120  # of a picture that can be looked at
_CELL, _DPI = 0.34, 110  # inches, dots an inch


class Drawn(NamedTuple):
    """What a picture shows: rows and months, and how many of each were left out."""

    rows: int
    months: int
    rows_left: int
    months_left: int


def _grid(marks: Sequence[Mark]) -> dict[tuple[str, str], dict[str, Mark]]:
    """By symbol and interval the months, the worst symbol first."""
    grid: dict[tuple[str, str], dict[str, Mark]] = {}
    for mark in marks:
        if mark.letter is not None:
            grid.setdefault((mark.name, mark.interval), {})[mark.month] = mark

    def mean(key: tuple[str, str]) -> float:
        some = grid[key].values()
        return sum((m.score or 0.0) * m.bars for m in some) / max(1, sum(m.bars for m in some))

    return {key: grid[key] for key in sorted(grid, key=lambda k: (mean(k), k))}


def print_map(marks: Sequence[Mark], terminal: Terminal) -> None:
    """A line for each symbol and year, a letter for each month."""
    from rich.console import Console
    from rich.text import Text

    out = terminal.out
    grid = _grid(marks)
    names = {key: f"{key[0]} {key[1]}" for key in grid}
    width = max(map(len, names.values()), default=6)
    color = terminal.wants_color(out)
    console = Console(file=out, force_terminal=color, no_color=not color, width=width + 60, highlight=False)
    console.print(Text(f"{'':{width}}  year  {' '.join(_MONTHS)}"))
    for key, months in grid.items():
        for year in sorted({month[:4] for month in months}):
            line = Text(f"{names[key]:{width}}  {year}  ")
            for n in range(1, 13):
                mark = months.get(f"{year}-{n:02}")
                told = mark.letter if mark and mark.letter else "."
                line.append(f"{told:<4}", style=_STYLES.get(told[0], ""))
            line.rstrip()
            console.print(line)


def draw(marks: Sequence[Mark], path: Path, cache: Path, title: str) -> Drawn:
    """The same as PNG or SVG, by the suffix; the file appears whole. `cache` is where the drawing library keeps its list of fonts."""
    os.environ.setdefault("MPLCONFIGDIR", str(cache))
    from matplotlib.figure import Figure

    grid = _grid(marks)
    every = sorted({month for months in grid.values() for month in months})
    keys, months = list(grid)[:_MOST_ROWS], every[-_MOST_COLUMNS:]
    figure = Figure(figsize=(2.2 + _CELL * max(len(months), 6), 1.4 + _CELL * len(keys)), dpi=_DPI, layout="constrained")
    axes = figure.subplots()
    for y, key in enumerate(keys):
        for x, month in enumerate(months):
            mark = grid[key].get(month)
            if mark is not None and mark.letter is not None:
                axes.add_patch(_square(x, y, _PAINTS[mark.letter[0]]))
                axes.text(x, y, mark.letter, ha="center", va="center", fontsize=7)
    axes.set_xlim(-0.5, max(len(months), 1) - 0.5)
    axes.set_ylim(len(keys) - 0.5, -0.5)
    axes.set_xticks(range(len(months)), months, rotation=90, fontsize=7)
    axes.set_yticks(range(len(keys)), [f"{name} {interval}" for name, interval in keys], fontsize=7, parse_math=False)
    axes.set_title(title, fontsize=9, loc="left")
    save(figure, path)
    return Drawn(len(keys), len(months), len(grid) - len(keys), len(every) - len(months))


def save(figure: Figure, path: Path) -> None:
    """As PNG or SVG, by the suffix, the same for the same picture; the file appears whole."""
    import matplotlib as mpl

    new = path.with_name(f".{path.name}.new-{os.getpid()}")
    form = path.suffix.lower().removeprefix(".")
    try:
        with mpl.rc_context({"svg.hashsalt": "mdagent"}):
            figure.savefig(new, format=form, metadata={"Date": None} if form == "svg" else {"Software": None})
        new.rename(path)
    finally:
        with suppress(OSError):
            new.unlink()


def _square(x: int, y: int, paint: str) -> Any:  # noqa: ANN401  a patch
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1.0, 1.0, facecolor=paint, edgecolor="white", linewidth=0.8)
