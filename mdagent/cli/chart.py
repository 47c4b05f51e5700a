"""A run of chaos as a picture: the share of calls that were answered, how each source did, and the faults, over the same seconds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mdagent.cli.heat import save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

_WIDTH, _ROW, _DPI = 9.0, 0.26, 110  # inches, inches, dots an inch
_LINE, _FAULT, _SHADE = "#2b6ca3", "#c0504d", "#f4e3e1"
_PAINTS = ("#e79a9a", "#f5c39c", "#fdeeb3", "#cfe8f3", "#a6d8a8")  # from none that was good to all


def draw(told: Mapping[str, Any], path: Path, cache: Path) -> None:
    """A report, which has to have its course, as PNG or SVG by the suffix; the file appears whole. `cache` is where the drawing library
    keeps its list of fonts."""
    os.environ.setdefault("MPLCONFIGDIR", str(cache))
    from matplotlib.figure import Figure

    course, rows = told["course"], _by_row(told["faults"])
    heights = [1.8, *(0.5 + _ROW * max(1, len(of)) for of in (course["sources"], rows))]
    figure = Figure(figsize=(_WIDTH, sum(heights) + 1.0), dpi=_DPI, layout="constrained")
    calls, health, struck = figure.subplots(3, 1, sharex=True, height_ratios=heights)
    _calls(calls, course)
    _health(health, course)
    _struck(struck, rows, course["began"].get("during", course["ended"]))
    for axes in (calls, health, struck):
        axes.set_xlim(0.0, max(course["ended"], course["piece"]))
        axes.tick_params(labelsize=7)
        if "during" in course["began"]:
            axes.axvspan(course["began"]["during"], course["began"].get("after", course["ended"]), color=_SHADE, zorder=0)
    struck.set_xlabel("seconds of the run; shaded: during the faults", fontsize=7)
    calls.set_title(f"{told['experiment']}, seed {told['seed']}: {told['verdict']}", fontsize=9, loc="left", parse_math=False)
    save(figure, path)


def _calls(axes: Axes, course: Mapping[str, Any]) -> None:
    """A dot where anybody asked: what nobody asked for has no availability."""
    piece = course["piece"]
    at = [(int(number) + 0.5) * piece for number in course["calls"]]
    axes.plot(at, [100.0 * good / of for good, of in course["calls"].values()], ".-", color=_LINE, linewidth=0.8, markersize=4)
    axes.set_ylim(-5.0, 105.0)
    axes.set_ylabel("answered, %", fontsize=7)


def _health(axes: Axes, course: Mapping[str, Any]) -> None:
    piece, names = course["piece"], list(course["sources"])
    for row, name in enumerate(names):
        for number, (good, of) in course["sources"][name].items():
            paint = _PAINTS[int(good / of * (len(_PAINTS) - 1))]
            axes.broken_barh([(int(number) * piece, piece)], (row - 0.4, 0.8), facecolors=paint, zorder=2)
    axes.set_ylim(max(1, len(names)) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylabel("sources", fontsize=7)


def _by_row(faults: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Those that the run reached, a row for each kind and whom it was for."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for one in faults:
        if one["from"] < one["until"]:
            rows.setdefault(f"{one['kind']} {', '.join(one['sources'])}", []).append(one)
    return rows


def _struck(axes: Axes, rows: Mapping[str, Sequence[Mapping[str, Any]]], began: float) -> None:
    """Pale while a fault was on, a line from the first time that it struck to the last."""
    for row, name in enumerate(rows):
        for one in rows[name]:
            axes.broken_barh([(began + one["from"], one["until"] - one["from"])], (row - 0.4, 0.8), facecolors=_FAULT, alpha=0.35, zorder=2)
            if one["first"] is not None:
                axes.plot([began + one["first"], began + one["last"]], [row, row], "|-", color=_FAULT, linewidth=1.6, zorder=3)
    axes.set_ylim(max(1, len(rows)) - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    axes.set_ylabel("faults", fontsize=7)
