"""The report of a run, as a tree for JSON and as Markdown, both from the same numbers.

Nothing in it depends on when, where or how fast the run went: on virtual time the same seed makes the same report, byte for byte.
"""

from __future__ import annotations

import platform
from collections import Counter
from typing import TYPE_CHECKING, Any

from mdagent import __version__
from mdagent.chaos.course import course
from mdagent.chaos.experiment import PHASES
from mdagent.chaos.probes import PROBES, Probe, Sample, failovers, latencies, percentile
from mdagent.wire.faults import KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdagent.chaos.drill import Outcome, Row
    from mdagent.chaos.probes import Called, Phase
    from mdagent.wire.faults import Fault

SCHEMA_VERSION = 1
_SHARES = {"p50": 0.5, "p95": 0.95, "max": 1.0}
_NOT_TESTED = (
    "loss of power, and a disk that lies about what it has written",
    "packets that are lost or come out of order below TCP",
    "locks on network file systems, macOS and Windows",
    "providers as they are: the sandbox imitates their formats and quotas",
)
_TIMES = {True: "real", False: "virtual"}
_PLAN = {False: "largest plan", True: "smallest plan"}  # where none is told: of the sandbox, of a provider
_VIRTUAL = ("real sockets, processes and signals: time and network were simulated",)


def report(outcome: Outcome, replay: str) -> dict[str, Any]:
    """The whole report. `replay` is the command that makes it again."""
    experiment = outcome.experiment
    return {
        "schema_version": SCHEMA_VERSION,
        "experiment": experiment.name,
        "title": experiment.title,
        "drills": list(experiment.drills),
        "verdict": outcome.verdict,
        "why": outcome.why,
        "seed": outcome.seed,
        "replay": replay,
        "time": "real, against real providers" if outcome.live else f"{_TIMES[outcome.real]}, from {experiment.clock:%Y-%m-%dT%H:%M:%SZ}",
        "phases": {phase.name: round(phase.ended - phase.began, 3) for phase in outcome.phases},
        "sources": {n: told.plan or _PLAN[outcome.live] for n, told in sorted(outcome.settings.sources.items()) if told.enabled},
        "versions": _versions(),
        "hypothesis": [_row(row) for row in outcome.rows],
        "faults": [_fault(fault, outcome) for fault in experiment.faults],
        "availability": _availability(outcome.phases),
        "failed_calls": _failures(outcome.phases),
        "latency_seconds": {p.name: _spread(latencies(p)) for p in outcome.phases},
        "failover_seconds": {p.name: _spread(failovers(p)) for p in outcome.phases if p.name == "during"},
        "breaker_changes": {p.name: dict(sorted(p.changes.items())) for p in outcome.phases},
        "refusals": {p.name: _refusals(p) for p in outcome.phases},
        "bars": {p.name: _bars(p) for p in outcome.phases},
        "quota": {p.name: _quota(p) for p in outcome.phases},
        "course": course(outcome.phases),
        "not_tested": [
            *_idle(outcome),
            *experiment.untested,
            *_NOT_TESTED[: -1 if outcome.live else None],
            *(() if outcome.real else _VIRTUAL),
        ],
    }


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    parts = {name: version(name) for name in ("duckdb", "httpx", "numpy")}
    return {"mdagent": __version__, "python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"} | parts


def _row(row: Row) -> dict[str, Any]:
    probe = PROBES[row.bound.probe]
    seen = {name: _sample(sample, probe, row.bound.limit) for name, sample in zip(PHASES, row.samples, strict=True)}
    held = {name: held for name, held in zip(PHASES, row.held, strict=True) if held is not None}
    limit = {"at_least" if probe.least else "at_most": row.bound.limit}
    return {"probe": row.bound.probe, "about": probe.about, "unit": probe.unit} | limit | seen | {"held": held}


def _sample(sample: Sample | None, probe: Probe, limit: float) -> Any:  # noqa: ANN401  a number, a word, or both parts of a share
    if sample is None:
        return None
    if probe.machine:
        return "kept" if sample.value <= limit else "not kept"
    value = round(sample.value, 6)
    return value if sample.part is None else {"value": value, "of": list(sample.part)}


def _fault(fault: Fault, outcome: Outcome) -> dict[str, Any]:
    struck = [
        one
        for one in outcome.injected
        if one.kind == fault.kind
        and (not fault.sources or one.source in (*fault.sources, "scene", "host"))
        and fault.start <= one.at < fault.start + fault.seconds
    ]
    during = outcome.experiment.phases.during
    return {
        "kind": fault.kind,
        "about": KINDS[fault.kind].says,
        "sources": list(fault.sources) or ["all"],
        "from": fault.start,
        "until": min(fault.start + fault.seconds, during),
        "probability": fault.probability,
        "settings": dict(fault.settings),
        "struck": len(struck),
        "first": round(struck[0].at, 3) if struck else None,
        "last": round(struck[-1].at, 3) if struck else None,
    }


def _idle(outcome: Outcome) -> list[str]:
    """The faults that struck nobody, since nobody came their way."""
    told = [_fault(fault, outcome) for fault in outcome.experiment.faults]
    return [
        f"{one['kind']} of {', '.join(one['sources'])} from {one['from']:g} s on: it struck nobody" for one in told if not one["struck"]
    ]


def _availability(phases: Sequence[Phase]) -> dict[str, Any]:
    calls = [call for phase in phases for call in phase.calls]
    by_phase = {phase.name: _share(phase.calls) for phase in phases}
    by_asks = {asks: _share([c for c in calls if c.asks == asks]) for asks in sorted({c.asks for c in calls})}
    return {"all": _share(calls), **by_phase, "by_what": by_asks}


def _share(calls: Sequence[Called]) -> dict[str, int]:
    able = [call for call in calls if call.servable]
    beyond = [call for call in calls if not call.servable]
    return {
        "answered": sum(not call.why for call in able),
        "asked": len(able),
        "beyond_reach": len(beyond),
        "beyond_reach_answered": sum(not call.why for call in beyond),
    }


def _failures(phases: Sequence[Phase]) -> dict[str, dict[str, int]]:
    return {phase.name: dict(sorted(Counter(call.why for call in phase.calls if call.why).items())) for phase in phases}


def _spread(values: Sequence[float]) -> dict[str, float | int]:
    told: dict[str, float | int] = {"samples": len(values)}
    return told | {name: round(percentile(values, share), 3) for name, share in _SHARES.items() if values}


def _refusals(phase: Phase) -> dict[str, int]:
    return dict(sorted(Counter(one.source for one in phase.heard if one.status == 429).items()))


def _bars(phase: Phase) -> dict[str, Any]:
    letters = dict(sorted(Counter(phase.wrong.values()).items()))
    return {"compared": phase.bars, "wrong_by_grade": letters, "lost": phase.lost, "duplicate": phase.twice}


def _quota(phase: Phase) -> dict[str, dict[str, int]]:
    names = sorted({*phase.theirs, *phase.ours, *phase.over})
    return {n: {"theirs": phase.theirs.get(n, 0), "ours": phase.ours.get(n, 0), "over": phase.over.get(n, 0)} for n in names}


def markdown(told: Mapping[str, Any]) -> str:
    """The report for people."""
    head = [
        f"# {told['title']}",
        "",
        f"**{told['verdict']}**: {told['why']}.",
        "",
        f"Experiment `{told['experiment']}`, drills {', '.join(told['drills']) or 'none'}; seed {told['seed']}; time {told['time']}.",
        f"Phases: {', '.join(f'{name} {seconds:g} s' for name, seconds in told['phases'].items())}.",
        f"Again: `{told['replay']}`",
        f"Sources: {', '.join(f'{name} ({plan})' for name, plan in told['sources'].items())}.",
        f"Versions: {', '.join(f'{name} {number}' for name, number in told['versions'].items())}.",
    ]
    parts = [_claims(told), _faults(told), _calls(told), _spreads(told), _counts(told)]
    rest = ["## Not tested", "", *(f"- {text}" for text in told["not_tested"])]
    return "\n".join([*head, *(line for part in parts for line in ("", *part)), "", *rest]) + "\n"


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table of Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def _claims(told: Mapping[str, Any]) -> list[str]:
    rows = []
    for row in told["hypothesis"]:
        limit = f"at least {row['at_least']:g}" if "at_least" in row else f"at most {row['at_most']:g}"
        marks = [f"{_cell(row[name])}{_MARKS[row['held'].get(name)]}" for name in PHASES]
        rows.append([row["probe"], f"{limit} {row['unit']}".strip(), *marks])
    return ["## Hypothesis", "", *table(["probe", "limit", *PHASES], rows)]


_MARKS = {True: " ok", False: " **not kept**", None: ""}


def _cell(value: object) -> str:
    if isinstance(value, dict):
        good, of = value["of"]
        return f"{value['value']:.4f} ({good}/{of})"
    return "no samples" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)


def _faults(told: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            one["kind"],
            ", ".join(one["sources"]),
            f"{one['from']:g}-{one['until']:g} s",
            f"{one['probability']:g}",
            ", ".join(f"{k} {v:g}" if isinstance(v, float | int) else f"{k} {v}" for k, v in one["settings"].items()) or "-",
            one["struck"],
        ]
        for one in told["faults"]
    ]
    return ["## Faults", "", *table(["kind", "sources", "when", "probability", "settings", "struck"], rows)] if rows else ["No faults."]


def _calls(told: Mapping[str, Any]) -> list[str]:
    shares = {k: v for k, v in told["availability"].items() if k != "by_what"} | told["availability"]["by_what"]
    rows = [[name, f"{v['answered']}/{v['asked']}", f"{v['beyond_reach_answered']}/{v['beyond_reach']}"] for name, v in shares.items()]
    lost = [f"{name}: {', '.join(f'{n} {why}' for why, n in whys.items())}" for name, whys in told["failed_calls"].items() if whys]
    words = ["", "Not answered " + "; ".join(lost) + "."] if lost else []
    return ["## Availability", "", *table(["calls", "answered", "beyond reach, answered all the same"], rows), *words]


def _spreads(told: Mapping[str, Any]) -> list[str]:
    named = [(f"latency {name}", v) for name, v in told["latency_seconds"].items()]
    named += [("failover", v) for v in told["failover_seconds"].values()]
    rows = [[name, v["samples"], *(f"{v[s]:g}" if s in v else "-" for s in _SHARES)] for name, v in named]
    return ["## Seconds", "", *table(["", "samples", *_SHARES], rows)]


def _counts(told: Mapping[str, Any]) -> list[str]:
    bars = [
        [name, v["compared"], ", ".join(f"{n} of grade {g}" for g, n in v["wrong_by_grade"].items()) or 0, v["lost"], v["duplicate"]]
        for name, v in told["bars"].items()
    ]
    quota = [[name, source, v["theirs"], v["ours"], v["over"]] for name, of in told["quota"].items() for source, v in of.items()]
    changes = [f"{name}: {', '.join(f'{of} {n}' for of, n in v.items())}" for name, v in told["breaker_changes"].items() if v]
    refusals = [f"{name}: {', '.join(f'{of} {n}' for of, n in v.items())}" for name, v in told["refusals"].items() if v]
    return [
        "## Bars against the truth of the sandbox",
        "",
        *table(["", "compared", "wrong", "lost", "duplicate"], bars),
        "",
        "## Requests",
        "",
        *table(["", "source", "as the provider counts", "as the ledger counts", "refused: quota used"], quota),
        "",
        f"Breakers changed {'; '.join(changes) or 'nothing'}. Refused with 429: {'; '.join(refusals) or 'none'}.",
    ]
