"""A day of real time: cron every minute, people at the prompt, and something going wrong again and again, drawn from a seed."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

from mdagent.chaos.chance import SOUND, drawn_fault
from mdagent.chaos.experiment import Bound, Experiment, Habit, Phases
from mdagent.config.kinds import LimitSettings

if TYPE_CHECKING:
    from mdagent.wire.faults import Fault

SOAK = "soak"
DAY, HOUR = 86400.0, 3600.0
_SOURCES = ("yahoo", "twelvedata", "polygon", "tiingo")
_FIFTY = tuple(f"SYM{n:05}" for n in range(1, 60) if n % 10 != 7)[:50]  # every tenth is one of a kind that misses bars
_AMPLE = (LimitSettings(600, 60.0),)
_PLACES = ("transport", "provider", "truth", "proxy")
_LONGEST = 120.0  # seconds of a fault
_REST = 600.0  # seconds from one to the next, at most
_CLAIMS = (("availability", 0.995), *SOUND, ("tracebacks", 0.0), ("keys_told", 0.0), ("open_files", 8.0))
_SLOPE = ("memory_slope", 1.0)
_TOO_SHORT = "whether memory grows: a run of less than an hour does not tell"


def soak(seed: int, seconds: float = DAY) -> Experiment:
    """The same for the same seed and length. One source is spared all faults, so that there is somebody to serve, and one of the others
    is the only one that ever lies."""
    dice = Random(f"{seed} soak")  # noqa: S311  chance is to be repeatable
    spared, liar = dice.sample(_SOURCES, 2)
    starts, at = [], 0.0
    while (at := at + dice.uniform(0.1, 1.0) * min(_REST, seconds / 4)) < seconds:
        starts.append(at)
    longest = min(_LONGEST, seconds / 4)

    def fault(start: float) -> Fault:
        return drawn_fault(dice, spared, liar, _SOURCES, _PLACES, lambda dice, _: (start, dice.uniform(longest / 10, longest)))

    faults = tuple(map(fault, starts))
    enough = seconds >= HOUR
    return Experiment(
        name=SOAK,
        title=f"{seconds / HOUR:g} hours of cron jobs, prompts and status calls, with faults by chance",
        clock=datetime(2024, 2, 5, 15, tzinfo=UTC),
        load=(
            Habit("prompt", "quote", 15.0, _FIFTY[:10], deadline=20.0, cross_check=1),
            Habit("chart", "fetch", 60.0, _FIFTY, back=60 * DAY, deadline=30.0, cross_check=2, after=5.0),
            Habit("cron", "backfill", 60.0, _FIFTY, together=5, back=10 * DAY, deadline=55.0, after=2.0, program=True),
            Habit("watcher", "status", 60.0, after=1.0, deadline=30.0, program=True),
        ),
        hypothesis=tuple(Bound(*claim) for claim in (*_CLAIMS, *((_SLOPE,) if enough else ()))),
        faults=faults,
        phases=Phases(min(60.0, seconds), seconds, min(60.0, seconds)),
        seed=seed,
        sources=_SOURCES,
        quotas=dict.fromkeys(_SOURCES, _AMPLE),
        real_time=True,
        drills=("D27",),
        untested=() if enough else (_TOO_SHORT,),
    )
