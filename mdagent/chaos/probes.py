"""The probes: what can be claimed of a phase of an experiment, and how it is measured. A probe without samples has no value."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdagent.chaos.ear import Heard

_GOOD = ("A", "B")
ALL, STRUCK, LATER, WARM = ("before", "during", "after"), ("during",), ("after",), ("during", "after")  # before, modules are loaded
_INSTANT = 0.001  # seconds: sums of floats are not exact


class Process(NamedTuple):
    """What is to be said of a mdagent that was a process of its own. `under`: the fault of the host that struck it; `named`: its exit code
    says what that was, None where it was struck by none, or did not fail; `bug`: it ended as one does; `silent`: of a damaged store, that
    it and the store's own check told wrong values or too few without a word; `gone`: files that went away; `keys` that it printed."""

    number: int
    under: str = ""
    named: bool | None = None
    bug: bool = False
    silent: int | None = None
    gone: int | None = None
    keys: int = 0


class Called(NamedTuple):
    """One call of one person, in seconds of the monotonic clock. `why` it was no good answer, "" where it was; `servable`: some source
    that is able was at work all the time; `struck`: some of them was not. `set_out`: seconds until the request that was answered went
    out; `stale`: for how long what it lacks at the end has been there to be had."""

    who: str
    asks: str
    symbol: str
    began: float
    ended: float
    why: str
    source: str = ""
    servable: bool = True
    struck: bool = False
    sent: int = 0
    set_out: float | None = None
    stale: float | None = None
    bars: int = 0
    process: Process | None = None

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


class Machine(NamedTuple):
    """What a phase took of the machine: MiB that the process has grown, and files that it left open."""

    memory: float = 0.0
    files: int = 0


class Phase(NamedTuple):
    """All that was seen of one phase. `theirs` and `ours` are requests by source as the provider counts them and as the ledger does;
    `over` those that the provider refused because they would have passed an allowance; `changes` of state by breaker; `wrong` bars by
    symbol, interval and stamp, with the letter of their grade; `end`: when the last fault was over; `faults` are those that the store's
    own check finds; `held` counts locks that another process held, `broken` those during which the store was changed; `struck`: how
    often a fault struck; `agents`: requests by how who sent them named itself; `slope`: MiB an hour by which the process grew."""

    name: str
    began: float
    ended: float
    calls: tuple[Called, ...]
    heard: tuple[Heard, ...]
    theirs: Mapping[str, int]
    ours: Mapping[str, int]
    over: Mapping[str, int]
    changes: Mapping[str, int]
    bars: int
    wrong: Mapping[tuple[str, str, int], str]
    lost: int
    twice: int
    machine: Machine
    end: float | None = None
    faults: int = 0
    held: int = 0
    broken: int = 0
    struck: int = 0
    agents: Mapping[str, int] = MappingProxyType({})
    slope: float | None = None

    @property
    def good(self) -> list[Called]:
        """The calls that were answered."""
        return [call for call in self.calls if not call.why]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a probe found: a value, and where it is a share its numerator and denominator; of so many samples."""

    value: float
    count: int
    part: tuple[int, int] | None = None


class Probe(NamedTuple):
    """One row of the table. `least`: the limit is a floor, not a ceiling. `phases`: those in which it is to hold."""

    about: str
    unit: str
    measure: Callable[[Phase], Sample | None]
    least: bool = False
    phases: tuple[str, ...] = ALL
    machine: bool = False  # told as kept or not kept, since no two runs use a machine alike


def holds(probe: Probe, sample: Sample | None, limit: float) -> bool:
    """Is the limit kept? Not where there is no sample."""
    if sample is None:
        return False
    return sample.value >= limit if probe.least else sample.value <= limit


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above."""
    return sorted(values)[max(0, ceil(share * len(values)) - 1)]


def _availability(phase: Phase) -> Sample | None:
    able = [call for call in phase.calls if call.servable]
    good = sum(not call.why for call in able)
    return Sample(good / len(able), len(able), (good, len(able))) if able else None


def _of(values: Sequence[float], share: float) -> Sample | None:
    return Sample(round(percentile(values, share), 6), len(values)) if values else None


def failovers(phase: Phase) -> list[float]:
    """Of each call that was answered from outside while some source was down: how long until the request that was answered went out."""
    return [call.set_out for call in phase.good if call.struck and call.set_out is not None]


def latencies(phase: Phase) -> list[float]:
    """Of each call that was answered, how long it took; backfills apart, which wait for quota."""
    return [call.seconds for call in phase.good if call.asks != "backfill"]


def _counted(number: int, of: int) -> Sample | None:
    return Sample(float(number), of) if of else None


def _wrong(phase: Phase) -> Sample | None:
    return _counted(sum(letter in _GOOD for letter in phase.wrong.values()), phase.bars)


def _stale(phase: Phase) -> Sample | None:
    values = [call.stale for call in phase.good if call.stale is not None]
    return Sample(max(values), len(values)) if values else None


def _violations(phase: Phase) -> Sample | None:
    return _counted(sum(phase.over.values()), sum(phase.theirs.values()))


def _uncounted(phase: Phase) -> Sample | None:
    short = sum(max(0, seen - phase.ours.get(name, 0)) for name, seen in phase.theirs.items())
    return _counted(short, sum(phase.theirs.values()))


def _blocked(phase: Phase) -> Sample | None:
    """Requests that set out while their source had asked to be left alone by an answer that had come by then."""
    return _counted(sum(_within(one, phase.heard) for one in phase.heard), sum(one.rest > 0 for one in phase.heard))


def _within(one: Heard, heard: Sequence[Heard]) -> bool:
    return any(told.source == one.source and told.ended <= one.began < told.ended + told.rest - _INSTANT for told in heard if told.rest)


def _recovery(phase: Phase) -> Sample | None:
    if phase.end is None:
        return None
    ends = [call.ended for call in phase.good if call.sent and call.ended >= phase.end]
    return Sample(round(min(ends) - phase.end, 6), len(ends)) if ends else None


def _attempts(phase: Phase) -> Sample | None:
    asked = sum(call.sent > 0 for call in phase.calls)
    return Sample(round(sum(call.sent for call in phase.calls) / asked, 6), asked) if asked else None


def _share(good: int, of: int) -> Sample | None:
    return Sample(good / of, of, (good, of)) if of else None


def _reads(phase: Phase) -> Sample | None:
    asked = [call for call in phase.calls if call.asks == "read"]
    return _share(sum(not call.why for call in asked), len(asked))


def _processes(phase: Phase) -> list[Process]:
    """Each once."""
    return list({call.process.number: call.process for call in phase.calls if call.process}.values())


def _named(phase: Phase) -> Sample | None:
    told = [one.named for one in _processes(phase) if one.named is not None]
    return _share(sum(told), len(told))


def _bugs(phase: Phase) -> Sample | None:
    told = _processes(phase)
    return _counted(sum(one.bug for one in told), len(told))


def _keys(phase: Phase) -> Sample | None:
    told = _processes(phase)
    return _counted(sum(one.keys for one in told), len(told))


def _silent(phase: Phase) -> Sample | None:
    told = [call.process.silent for call in phase.calls if call.process and call.process.silent is not None]
    return _counted(sum(told), len(told))


def _gone(phase: Phase) -> Sample | None:
    told = [one.gone for one in _processes(phase) if one.gone is not None]
    return _counted(sum(told), len(told))


def _resets(phase: Phase) -> Sample | None:
    told = [call for call in phase.calls if call.asks == "resets"]
    return _counted(sum(bool(call.why) for call in told), len(told))


def _adopted(phase: Phase) -> Sample | None:
    good = [name for name in phase.agents if name.startswith("mdagent-edit-") and name != "mdagent-edit-0"]
    return _counted(len(good), sum(phase.agents.values()))


def _unsound(phase: Phase) -> Sample | None:
    return _counted(sum(n for name, n in phase.agents.items() if name.startswith("mdagent-bad-edit-")), sum(phase.agents.values()))


def failures(phase: Phase) -> list[float]:
    """Of each call that was not answered, how long it took; backfills apart."""
    return [call.seconds for call in phase.calls if call.why and call.asks != "backfill"]


def _changes(phase: Phase) -> Sample:
    return Sample(float(max(phase.changes.values(), default=0)), len(phase.calls))


PROBES: Mapping[str, Probe] = {
    "availability": Probe("answers in time and right, of the calls that a working source could serve", "share", _availability, least=True),
    "wrong_bars": Probe("bars graded A or B that differ from the truth", "bars", _wrong),
    "wrong_of_any_grade": Probe("bars that differ from the truth, whatever their grade", "bars", lambda p: _counted(len(p.wrong), p.bars)),
    "lost_bars": Probe("bars that were served once and are not in the store any more", "bars", lambda p: _counted(p.lost, p.bars)),
    "duplicate_bars": Probe("bars that stand twice", "bars", lambda p: _counted(p.twice, p.bars)),
    "store_faults": Probe("what the store's own check finds wrong with it", "rows", lambda p: _counted(p.faults, p.bars)),
    "broken_locks": Probe(
        "changes of the store while another process held its lock", "", lambda p: _counted(p.broken, p.held), phases=STRUCK
    ),
    "staleness": Probe("for how long the oldest bar that an answer lacks at its end has been over", "s", _stale),
    "latency_p95": Probe("95 of 100 answers took no longer", "s", lambda p: _of(latencies(p), 0.95)),
    "latency_max": Probe("no answer took longer", "s", lambda p: _of(latencies(p), 1.0)),
    "failure_max": Probe("no call that failed took longer", "s", lambda p: _of(failures(p), 1.0), phases=STRUCK),
    "failover_p50": Probe("half of the answers under faults were asked for by then", "s", lambda p: _of(failovers(p), 0.5), phases=STRUCK),
    "failover_p95": Probe("95 of 100 answers under faults were asked for by then", "s", lambda p: _of(failovers(p), 0.95), phases=STRUCK),
    "failover_max": Probe("every answer under faults was asked for by then", "s", lambda p: _of(failovers(p), 1.0), phases=STRUCK),
    "recovery": Probe("the first answer from outside after the faults", "s", _recovery, phases=LATER),
    "quota_violations": Probe("requests that a provider refused because its quota was used", "requests", _violations),
    "uncounted_requests": Probe("requests that a provider counts and our ledger does not", "requests", _uncounted),
    "blocked_requests": Probe("requests to a source that had asked to be left alone", "requests", _blocked, phases=STRUCK),
    "faults_met": Probe("requests that ran into a fault", "requests", lambda p: _counted(p.struck, len(p.calls)), phases=STRUCK),
    "attempts_per_call": Probe("requests for each call that sent any", "", _attempts),
    "state_changes": Probe("changes of state of the breaker that changed most", "", _changes, phases=STRUCK),
    "undisturbed": Probe("as availability, where nothing is injected", "share", _availability, least=True, phases=("before", "after")),
    "reads": Probe("what is stored is told right, of all that was asked to be read", "share", _reads, least=True),
    "times_struck": Probe("so often a fault struck", "", lambda p: Sample(float(p.struck), 1), least=True, phases=STRUCK),
    "named_failures": Probe(
        "an exit code that says what the machine lacks, of the processes that a fault of it let fail",
        "share",
        _named,
        least=True,
        phases=STRUCK,
    ),
    "tracebacks": Probe("processes that ended as a bug", "processes", _bugs),
    "keys_told": Probe("keys in what processes printed", "keys", _keys),
    "silent_damage": Probe(
        "wrong or missing bars of a damaged store, of which neither it nor its check said a word", "answers", _silent, phases=STRUCK
    ),
    "deleted_files": Probe("files of a damaged store that went away", "files", _gone, phases=STRUCK),
    "wrong_resets": Probe("resets of a calendar quota after which not just what it allows was granted", "resets", _resets, phases=STRUCK),
    "edits_adopted": Probe("edits of the configuration that some request went by", "edits", _adopted, least=True, phases=STRUCK),
    "bad_edits_adopted": Probe("requests by a configuration that is not valid", "requests", _unsound, phases=STRUCK),
    "memory_slope": Probe(
        "MiB an hour by which the process grew, its first tenth not counted",
        "MiB",
        lambda p: None if p.slope is None else Sample(p.slope, 1),
        phases=STRUCK,
        machine=True,
    ),
    "memory": Probe("MiB that the process grew", "MiB", lambda p: Sample(p.machine.memory, 1), phases=WARM, machine=True),
    "open_files": Probe("files left open", "", lambda p: Sample(float(p.machine.files), 1), phases=WARM, machine=True),
}
