"""Mutants: mdagent with one of its safeguards switched off, and the experiment that notices. `make mutants` prints the table.

The hook is here and nowhere else: what is shipped has no switch for any of them.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.chaos.chance import broken_by
from mdagent.chaos.drill import run
from mdagent.chaos.report import table
from mdagent.chaos.shipped import shipped
from mdagent.config import Flags, load
from mdagent.guard import backoff
from mdagent.quality import checks
from mdagent.quality.case import Outcome
from mdagent.roster import Roster
from mdagent.store import bars, breakers, write
from mdagent.wire.faults.host import Child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdagent.chaos.drill import Outcome as Ran


class Mutant(NamedTuple):
    """What is switched off, how, and the experiment that is to deviate, with the claim that breaks."""

    off: str
    how: Callable[[ExitStack], None]
    experiment: str
    claim: str


@contextmanager
def _in_place(owner: Any, name: str, other: Any) -> Iterator[None]:
    before = owner.__dict__[name]
    setattr(owner, name, other)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _breaker(stack: ExitStack) -> None:
    """Nothing that happens is ever held against a source."""
    stack.enter_context(_in_place(breakers, "learn", lambda *_: False))


def _limiter(stack: ExitStack) -> None:
    """No source has a quota."""
    stack.enter_context(_in_place(Roster, "windows", lambda *_: ()))


def _validator(stack: ExitStack) -> None:
    """Every check of rows and shapes finds nothing."""
    for table_ in (checks.ROW_CHECKS, checks.SHAPE_CHECKS):
        for name, check in dict(table_).items():
            table_[name] = lambda _: Outcome()
            stack.callback(table_.__setitem__, name, check)


def _retry_budget(stack: ExitStack) -> None:
    """There is always a retry left."""
    stack.enter_context(_in_place(backoff.Budget, "left", property(lambda _: True)))


def _store_lock(stack: ExitStack) -> None:
    """Whoever wants to write does."""
    stack.enter_context(_in_place(bars, "locked", lambda *_, **__: nullcontext()))


def _journal(stack: ExitStack) -> None:
    """Bars are written without their entry in the journal."""
    real = write.__dict__["append"]
    stack.enter_context(_in_place(write, "append", lambda db, name, rows: None if name == "journal" else real(db, name, rows)))


def _zones(stack: ExitStack) -> None:
    """Every day begins at midnight in Greenwich."""
    real = Roster.__dict__["windows"]
    stack.enter_context(_in_place(Roster, "windows", lambda *of: tuple(replace(window, zone="UTC") for window in real(*of))))


def _child(stack: ExitStack, code: str) -> None:
    """Every process of an experiment does this before anything else."""
    real, first = Child.__dict__["command"], f"{code}; from mdagent.cli import run; run()"

    def command(self: Child, *words: str) -> list[str]:
        told = real(self, *words)
        at = len(told) - len(words) - 2
        assert told[at:][:2] == ["-m", "mdagent"]
        return [*told[:at], "-c", first, *words]

    stack.enter_context(_in_place(Child, "command", command))


_UNTOLD = (
    "from mdagent import errors; from mdagent.cli import exits; exits.OF_ERROR = tuple(x for x in exits.OF_ERROR if x[0] is not errors.{})"
)


def _full(stack: ExitStack) -> None:
    """A full disk is a failure like any other."""
    _child(stack, _UNTOLD.format("StoreFull"))


def _damage(stack: ExitStack) -> None:
    """Damage is a failure like any other."""
    _child(stack, _UNTOLD.format("StoreDamaged"))


MUTANTS = (
    Mutant("breaker", _breaker, "all-down", "faults_met"),
    Mutant("limiter", _limiter, "shared-quota", "quota_violations"),
    Mutant("validator", _validator, "bad-truth", "wrong_bars"),
    Mutant("retry budget", _retry_budget, "half-fail-observed", "attempts_per_call"),
    Mutant("store lock", _store_lock, "lock-held", "broken_locks"),
    Mutant("journal", _journal, "lock-held", "store_faults"),
    Mutant("zones of quotas", _zones, "calendar-resets", "wrong_resets"),
    Mutant("exit code of a full disk", _full, "full-disk", "named_failures"),
    Mutant("exit code of damage", _damage, "rotten-ledger", "named_failures"),
)


def let_loose(mutant: Mutant) -> Ran:
    """Its experiment, with the safeguard switched off."""
    settings = load(Flags(sandbox=True), {"MDAGENT_HOME": os.devnull}, Path.cwd()).settings
    with ExitStack() as stack:
        mutant.how(stack)
        return run(shipped(mutant.experiment), settings)


def main() -> int:
    """Print the table; 1 when a mutant lives."""
    rows, alive = [], 0
    for mutant in MUTANTS:
        ran = let_loose(mutant)
        killed = mutant.claim in broken_by(ran)
        alive += not killed
        row = next(row for row in ran.rows if row.bound.probe == mutant.claim)
        seen = next((sample for sample, held in zip(row.samples, row.held, strict=True) if held is False), None)
        told = f"{mutant.claim} {seen.value:g}, limit {row.bound.limit:g}" if seen else "no samples" if killed else "every claim held"
        rows.append((mutant.off, mutant.experiment, ran.verdict, told, "killed" if killed else "**alive**"))
    sys.stdout.write("\n".join(table(("switched off", "experiment", "verdict", "what broke", "mutant"), rows)) + "\n")
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main())
