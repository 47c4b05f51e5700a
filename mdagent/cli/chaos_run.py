"""chaos run: one experiment, its report and its verdict."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from mdagent.chaos.experiment import Experiment
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

Seed = Annotated[int | None, typer.Option(metavar="NUMBER", min=0, max=2**31 - 1, help="of all chance; default the experiment's own")]
AsJson = Annotated[bool, typer.Option("--json", help="the report as JSON; else Markdown")]


@app.command(cls=Page)
def run(
    ctx: typer.Context,
    experiment: Annotated[str, typer.Argument(metavar="NAME|FILE", help="as chaos list names it, or a file in YAML")],
    *,
    seed: Seed = None,
    duration: Annotated[str | None, typer.Option(metavar="TIME", help="how long the faults last: 90s, 15m or 2h")] = None,
    real_time: Annotated[
        bool, typer.Option("--real-time", help="the machine's time and real sockets on loopback; --duration shortens each phase")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="against the real providers, with your settings and keys, and a store that is thrown away")
    ] = False,
    budget: Annotated[int | None, typer.Option(metavar="REQUESTS", min=1, help="of --live: no more than so many are sent")] = None,
    shrunk: Annotated[
        Path | None, typer.Option("--shrunk", metavar="FILE", help="of random: write what is left of a broken one here, as an experiment")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run an experiment and tell whether its hypothesis held: exit 0 when it did, else 6.

    The hypothesis is measured before anything is injected (what does not hold then has failed, and nothing is injected), during the
    faults, and after they were taken back, which Ctrl-C does, too. Time is simulated, providers are those of the sandbox, and stores
    are thrown away. The same seed makes the same report, byte for byte.

    With --real-time the sandbox answers on sockets of loopback, faults of kind proxy can be had, and a run takes as long as it says; what
    is one of simulated time (lock_held, clock_step) is refused. Faults of the host strike real processes of mdagent, which ask in place
    of threads: their files are in a folder that goes away, and what presses on the machine ends with the run. An experiment whose file
    says real_time: true needs no option for it.

    With --live real providers are asked, in your name and at your expense: the store is thrown away, what was sent counts against your
    quotas, and never more is sent than the --budget, without which it is refused. Nothing is injected but on this side of the wire
    (faults of the transport), and what needs the truth of the sandbox is not claimed.

    `random` draws its faults from the seed. One that does not hold is run again with ever fewer of them: what is reported is the
    smallest set that still breaks a claim.

    \b
    Examples:
      mdagent chaos run primary-down
      mdagent chaos run primary-down --seed 7 --json > report.json
      mdagent chaos run my-monday.yaml --duration 15m
      mdagent chaos run primary-down --real-time --duration 10s
      mdagent chaos run live-failover --live --budget 40
      mdagent chaos run full-disk                        real processes on a disk that is full
      mdagent chaos run random --seed 7 --shrunk seed-7.yaml
    """
    # long because: its options are
    from mdagent.chaos.chance import RANDOM, as_yaml, smallest
    from mdagent.chaos.drill import run as start
    from mdagent.chaos.report import report
    from mdagent.cli.errand import read_span
    from mdagent.cli.render import new_file

    terminal: Terminal = ctx.obj
    _refuse(live=live, budget=budget, real_time=real_time)
    by_chance, seconds = experiment == RANDOM, read_span(duration)
    found = _found(experiment, terminal, seed, seconds, real=real_time)
    found = found if seconds is None else _lasting(found, seconds, real=real_time or live or found.real_time)
    outcome = start(found, terminal.settings, seed, terminal.say, real=real_time, budget=budget)
    if by_chance and outcome.verdict == "deviated":
        outcome = smallest(outcome, lambda fewer: start(fewer, terminal.settings, real=real_time), terminal.say)
        if shrunk is not None:
            with new_file(terminal.cwd / shrunk, force=False) as stream:
                stream.write(as_yaml(outcome.experiment))
    more = [
        *([f"--duration {duration}"] if duration else []),
        *["--real-time"] * real_time,
        *([f"--live --budget {budget}"] if live else []),
    ]
    told = report(outcome, " ".join([f"mdagent chaos run {experiment} --seed {outcome.seed}", *more]))
    tell(told, terminal, as_json=as_json)
    terminal.code = int(code_of(told["verdict"]))
    if outcome.verdict == "interrupted":
        raise KeyboardInterrupt


def _found(experiment: str, terminal: Terminal, seed: int | None, seconds: float | None, *, real: bool) -> Experiment:
    """The one of that name or in that file; of chance, what the seed makes."""
    from mdagent.chaos.chance import RANDOM, random_experiment
    from mdagent.chaos.shipped import find
    from mdagent.chaos.soak import DAY, SOAK, soak

    if experiment == RANDOM:
        return random_experiment(1 if seed is None else seed, real=real)
    if experiment == SOAK:
        return soak(1 if seed is None else seed, seconds or DAY)
    return find(experiment, terminal.cwd)


def _refuse(*, live: bool, budget: int | None, real_time: bool) -> None:
    """Raises UsageError for a live run without a bound, and for a bound of nothing."""
    if live and budget is None:
        msg = "--live sends requests to real providers, and no budget is told"
        raise UsageError(msg, "add --budget REQUESTS, such as --budget 40")
    if live and real_time:
        msg = "--live and --real-time exclude each other"
        raise UsageError(msg, "leave out --real-time, which is on loopback")
    if budget is not None and not live:
        msg = "--budget is the bound of --live, and nothing is sent to a real provider without it"
        raise UsageError(msg, "leave out --budget, or add --live")


def _lasting(experiment: Experiment, seconds: float, *, real: bool) -> Experiment:
    """The experiment with faults that last so long; in real time no other phase is longer."""
    phases, most = experiment.phases, seconds if real else inf
    return experiment._replace(phases=phases._replace(before=min(phases.before, most), during=seconds, after=min(phases.after, most)))


def tell(told: dict[str, Any], terminal: Terminal, *, as_json: bool, suite: str = "") -> None:
    """Keep a report in the ledger, and write it to stdout."""
    from mdagent.chaos.report import markdown
    from mdagent.store.drills import keep_drill

    with terminal.agent() as agent:
        number = keep_drill(agent.ledger, told, suite)
    terminal.out.write(json.dumps(told, indent=1) + "\n" if as_json else markdown(told))
    terminal.say(f"{told['experiment']}: {told['verdict']}; kept: mdagent chaos report {number}")


def code_of(verdict: str) -> ExitCode:
    """Zero only for what held."""
    return ExitCode.OK if verdict == "held" else ExitCode.BELOW_GRADE
