"""What a backfill would do, told in a few lines and written as a plan that can be applied."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from mdagent.cli.exits import OF_FAILURE, ExitCode
from mdagent.cli.planfile import plan_of
from mdagent.cli.render import new_file, refuse_place
from mdagent.quality.counted import many
from mdagent.untrusted import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal
    from mdagent.work.backfill import Chunk

_SHOWN = 20


def foretell(
    groups: Iterable[Sequence[Chunk]],
    agent: Agent,
    terminal: Terminal,
    names: Sequence[str],
    *,
    place: str | None,
    budget: float | None = None,
    force: bool = True,
) -> None:
    """Plan; nothing is sent. `place` is a file for the plan, or "-" for standard output. Sets the exit code of the run that would be."""
    if place not in (None, "-"):
        refuse_place(terminal.cwd / str(place), force=force)
    plan = plan_of(agent.foretell(groups, names), terminal.settings.world, terminal.clock.now())
    over = budget is not None and plan["usd"] > budget
    terminal.code = int(ExitCode.QUOTA if over else _code(plan))
    text = json.dumps(plan, indent=1) + "\n"
    if place == "-":
        terminal.out.write(text)
    elif place is not None:
        with new_file(terminal.cwd / place, force=force) as stream:
            stream.write(text)
        terminal.say(f"plan {plan['id']} written to {place}: mdagent apply {place}")
    for line in _words(plan):
        terminal.say(line)
    if over:
        terminal.fail(f"{plan['usd']:.4f} USD are more than the budget of {budget:.4f}", "raise --budget, or ask for less", terminal.code)


def _code(plan: dict[str, Any]) -> ExitCode:
    lost = plan["unserved"]
    if not lost:
        return ExitCode.OK
    if plan["chunks"] or plan["there"]:
        return ExitCode.PARTIAL
    return ExitCode.QUOTA if {OF_FAILURE.get(one["kind"]) for one in lost} == {ExitCode.QUOTA} else ExitCode.NO_SOURCE


def _words(plan: dict[str, Any]) -> list[str]:
    chunks, lost, asked = plan["chunks"], plan["unserved"], Counter[str]()
    for chunk in chunks:
        asked[chunk["source"]] += chunk["requests"]
    when = f"the last could go after {timedelta(seconds=ceil(plan['seconds']))}" if plan["seconds"] else "all could go at once"
    by = f" ({', '.join(f'{name} {n}' for name, n in asked.most_common())})" if asked else ""
    told = [
        f"{many(len(chunks), 'chunk')} to be asked for, {plan['there']} there already, {len(lost)} that cannot be served; nothing was sent",
        f"{many(plan['requests'], 'request')}{by}, {many(plan['credits'], 'credit')}, {plan['usd']:.4f} USD; {when}",
    ]
    told += [f"cannot be served: {one['symbol']} {one['interval']}: {one['kind']}: {one_line(one['why'], 300)}" for one in lost[:_SHOWN]]
    return told + ([f"and {len(lost) - _SHOWN} more"] if len(lost) > _SHOWN else [])
