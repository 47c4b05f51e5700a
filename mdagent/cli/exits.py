"""Exit codes: one enum, and the two tables that lead to it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from mdagent.errors import ConfigError, MdagentError, NoBars, StoreBusy, StoreDamaged, StoreFull, UsageError

if TYPE_CHECKING:
    from mdagent.guard.allowance import Allowance
    from mdagent.guard.outcome import Failure
    from mdagent.work.report import Line, Report
    from mdagent.work.tally import Tally


class ExitCode(IntEnum):
    """What the shell is told. Scripts read the code, people the report."""

    OK = 0
    BUG = 1
    USAGE = 2
    CONFIG = 3
    NO_SOURCE = 4
    PARTIAL = 5
    BELOW_GRADE = 6
    QUOTA = 7
    STORE_BUSY = 8
    STORE_DAMAGED = 9
    DISK_FULL = 10
    KEY = 11
    NO_DATA = 12
    UNKNOWN_SYMBOL = 13
    DEADLINE = 14
    INTERRUPTED = 130
    TERMINATED = 143


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "all that was asked for is there",
    ExitCode.BUG: "a bug in mdagent",
    ExitCode.USAGE: "a word of the command line is wrong",
    ExitCode.CONFIG: "a setting is wrong",
    ExitCode.NO_SOURCE: "no source could serve",
    ExitCode.PARTIAL: "partly served",
    ExitCode.BELOW_GRADE: "served below the grade asked for, or the data was rejected",
    ExitCode.QUOTA: "a quota or a budget would be passed",
    ExitCode.STORE_BUSY: "the store was busy past the wait",
    ExitCode.STORE_DAMAGED: "the store is damaged",
    ExitCode.DISK_FULL: "the disk is full or read-only",
    ExitCode.KEY: "a key is missing or refused",
    ExitCode.NO_DATA: "no data in the range asked for",
    ExitCode.UNKNOWN_SYMBOL: "unknown symbol",
    ExitCode.DEADLINE: "the deadline passed",
    ExitCode.INTERRUPTED: "interrupted (Ctrl-C)",
    ExitCode.TERMINATED: "terminated (SIGTERM)",
}

OF_ERROR: tuple[tuple[type[MdagentError], ExitCode], ...] = (
    (UsageError, ExitCode.USAGE),
    (NoBars, ExitCode.NO_DATA),
    (ConfigError, ExitCode.CONFIG),
    (StoreBusy, ExitCode.STORE_BUSY),
    (StoreDamaged, ExitCode.STORE_DAMAGED),
    (StoreFull, ExitCode.DISK_FULL),
)

# By the name of the kind: a command that fails at nothing need not load the table of failures.
OF_FAILURE: dict[str, ExitCode] = {
    "RATE_LIMITED": ExitCode.QUOTA,
    "QUOTA_EXHAUSTED": ExitCode.QUOTA,
    "THROTTLED": ExitCode.QUOTA,
    "BUDGET": ExitCode.QUOTA,
    "AUTH": ExitCode.KEY,
    "UNKNOWN_SYMBOL": ExitCode.UNKNOWN_SYMBOL,
    "NO_DATA": ExitCode.NO_DATA,
    "DEADLINE": ExitCode.DEADLINE,
    "BAD_VALUES": ExitCode.BELOW_GRADE,
}


def of_error(error: MdagentError) -> ExitCode:
    """The code of an expected error."""
    failure = getattr(error, "failure", None)  # that of a ConversationFailed
    if failure is not None:
        return of_failure(failure)
    return next((code for kind, code in OF_ERROR if isinstance(error, kind)), ExitCode.NO_SOURCE)


def of_failure(failure: Failure) -> ExitCode:
    """The code of a failed request; NO_SOURCE for every kind that the table does not name."""
    return OF_FAILURE.get(failure.kind, ExitCode.NO_SOURCE)


def of_line(line: Line, floor: float) -> ExitCode:
    """The code of one symbol. `floor` is the lowest score that is good enough."""
    if line.failure:
        return ExitCode.PARTIAL if line.bars else of_failure(line.failure)
    if line.score is not None and line.score < floor:
        return ExitCode.BELOW_GRADE
    return ExitCode.PARTIAL if line.partial else ExitCode.OK


def of_report(report: Report, floor: float = 0.0) -> ExitCode:
    """The code of a whole report: the one that all lines share; else PARTIAL when something was served, else NO_SOURCE."""
    codes = {of_line(line, floor) for line in report.lines}
    if len(codes) == 1:
        return codes.pop()
    served = codes & {ExitCode.OK, ExitCode.PARTIAL, ExitCode.BELOW_GRADE}
    if served <= {ExitCode.OK, ExitCode.BELOW_GRADE} and codes == served:
        return ExitCode.BELOW_GRADE
    return ExitCode.PARTIAL if served else ExitCode.NO_SOURCE


def of_tally(tally: Tally, allowance: Allowance, left: int) -> ExitCode:
    """The code of a long run, of which so many chunks were not begun in time."""
    counts = tally.symbols
    served, lost = counts["done"] + counts["partly"], counts["failed"] + counts["partly"]
    if left:
        return ExitCode.DEADLINE
    if allowance.spent and tally.faults:
        return ExitCode.QUOTA
    if not lost:
        return ExitCode.BELOW_GRADE if tally.below else ExitCode.OK
    if served:
        return ExitCode.PARTIAL
    return ExitCode.QUOTA if {OF_FAILURE.get(kind) for kind in tally.kinds} == {ExitCode.QUOTA} else ExitCode.NO_SOURCE
