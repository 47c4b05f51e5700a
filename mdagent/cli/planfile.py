"""A plan as a file: what a backfill would ask chunk by chunk, and what all of it may cost at most when it is applied."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.errors import MdagentError, UsageError
from mdagent.guard.allowance import Allowance
from mdagent.market import Adjustment, BarRequest, Interval, Priority, Symbol, parse_instant
from mdagent.work.backfill import Chunk
from mdagent.work.rehearse import IDLE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from mdagent.work.report import Line

SCHEMA_VERSION = 1
_KIND = "mdagent plan"


class Plan(NamedTuple):
    """A plan that was read: its chunks in groups as they were planned, and its bounds."""

    id: str
    groups: list[list[Chunk]]
    allowance: Allowance

    @property
    def tag(self) -> str:
        """How the names of its runs end in the ledger."""
        return f"-plan-{self.id}"


def plan_of(found: Iterable[tuple[int, Chunk, Line]], world: str, now: datetime) -> dict[str, Any]:
    """The plan as JSON values; additive changes only within a `schema_version`."""
    chunks: list[dict[str, Any]] = []
    unserved: list[dict[str, Any]] = []
    there = 0
    for number, chunk, line in found:
        steps = [step for step in line.planned if step.requests]
        if line.failure and not steps:
            unserved.append(_chunk(chunk, line) | {"kind": line.failure.kind.value, "why": line.failure.detail})
        elif any(step.requests or step.note not in IDLE for step in line.planned):  # that of another may serve it, too
            costs = {
                "requests": sum(s.requests for s in steps),
                "credits": sum(s.credits for s in steps),
                "usd": round(sum(s.usd for s in steps), 6),
                "seconds": round(max((s.seconds for s in steps), default=0.0), 3),
                "note": "; ".join(dict.fromkeys(s.note for s in line.planned if s.note)),
            }
            chunks.append({"group": number} | _chunk(chunk, line) | costs)
        else:
            there += 1
    head = {"schema_version": SCHEMA_VERSION, "what": _KIND, "id": _digest(chunks), "world": world, "made_at": now.isoformat()}
    sums = {name: sum(c[name] for c in chunks) for name in ("requests", "credits", "usd")}
    whole = {"usd": round(sums.pop("usd"), 6), "seconds": max((c["seconds"] for c in chunks), default=0.0)}
    return head | sums | whole | {"there": there, "chunks": chunks, "unserved": unserved}


def _chunk(chunk: Chunk, line: Line) -> dict[str, Any]:
    asked, steps = chunk.request, [step for step in line.planned if step.requests]
    return {
        "id": chunk.id,
        "symbol": asked.symbol.ticker,
        "interval": asked.interval.value,
        "adjustment": asked.adjustment.value,
        "start": asked.start.isoformat(),
        "end": asked.end.isoformat(),
        "priority": asked.priority.name.lower(),
        "refresh": chunk.refresh,
        "source": steps[-1].source if steps else chunk.source or line.source or "",
    }


def _digest(chunks: Iterable[dict[str, Any]]) -> str:
    """Of what is asked of whom, and of what it may cost: another plan has another one."""
    told = [[c[name] for name in ("id", "source", "refresh", "requests", "credits", "usd")] for c in chunks]
    return blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()


def read_plan(path: Path, world: str) -> Plan:
    """Raises UsageError for a file that is no plan, that was changed since, or that was made for another world."""
    try:
        told = json.loads(path.read_text("utf-8"))
        made = _plan(told)
    except OSError as error:
        msg = f"the plan {path} cannot be read: {error.strerror}"
        raise UsageError(msg, "make one: mdagent plan SYMBOL... -o FILE") from error
    except (ValueError, KeyError, TypeError, AttributeError, MdagentError) as error:
        msg = f"{path} is no plan of mdagent, or it was changed since it was made"
        raise UsageError(msg, "make one: mdagent plan SYMBOL... -o FILE") from error
    if told["world"] != world:
        msg = f"the plan {path} was made for {told['world']}, this is {world}"
        raise UsageError(msg, "apply it with the --sandbox or --replay that it was made with")
    return made


def _plan(told: dict[str, Any]) -> Plan:
    if told["what"] != _KIND or told["schema_version"] != SCHEMA_VERSION or told["id"] != _digest(told["chunks"]):
        raise ValueError
    groups: dict[int, list[Chunk]] = {}
    for one in told["chunks"]:
        window = parse_instant(one["start"]), parse_instant(one["end"])
        words = Adjustment.parse(one["adjustment"]), Priority.parse(one["priority"])
        chunk = Chunk(
            BarRequest(Symbol.parse(one["symbol"]), Interval.parse(one["interval"]), *window, *words), one["source"], one["refresh"]
        )
        if chunk.id != one["id"]:
            raise ValueError
        groups.setdefault(one["group"], []).append(chunk)
    most = {name: sum(one[name] for one in told["chunks"]) for name in ("requests", "credits", "usd")}
    return Plan(told["id"], list(groups.values()), Allowance(**most, words="the plan"))
