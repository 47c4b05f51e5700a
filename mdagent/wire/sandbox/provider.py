"""The simulated providers: referees that count what they are asked, and say no.

They share no code with mdagent's own limits on purpose: when both agree that a quota held, it did.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from mdagent.wire.sandbox.dialects import Ask, dialects, sandbox_key
from mdagent.wire.sandbox.distortion import Distortion, distorted
from mdagent.wire.sandbox.trouble import ASKS, REFUSALS, REPLIES, RETIRED, Gone, Hour, allowed, renamed, reshaped

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from mdagent.clock import Clock
    from mdagent.wire.faults import Fault, Plan
    from mdagent.wire.sandbox.dialects import Allowance, Dialect, Reply

__all__ = ["RETIRED", "Gone", "Provider", "Seen"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that arrived, and what became of it. `agent` is how the client named itself."""

    at: datetime
    host: str
    path: str
    status: int
    agent: str = ""


@dataclass(eq=False)
class Provider:
    """All providers, simulated; `only` one of them behind a loopback address of its own. `allowances` takes the place of a plan's own.
    Refused requests are seen and logged, but do not count against a quota. `faults` says what goes wrong here, and when. Safe to use
    from several threads."""

    clock: Clock
    only: str | None = None
    allowances: Mapping[str, tuple[Allowance, ...]] = field(default_factory=dict)
    log: list[Seen] = field(default_factory=list)
    overruns: list[str] = field(default_factory=list)  # whose quota was used when a request came, once for each
    faults: Plan | None = None
    _granted: dict[tuple[str, str], deque[tuple[float, int]]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    @property
    def requests(self) -> int:
        """How many requests arrived, refused ones included."""
        return len(self.log)

    def under(self, faults: Plan) -> Provider:
        """The same providers, with the same books, while such faults are on."""
        return replace(self, faults=faults)

    def dialect_at(self, host: str) -> Dialect | None:
        """Whose address that is."""
        if self.only is not None:
            return dialects()[self.only]
        return next((d for d in dialects().values() if host in d.hosts), None)

    def answer(self, dialect: Dialect, ask: Ask, client: str = "local") -> tuple[Reply, dict[str, str]]:
        """The reply to a GET, and its headers. Raises Gone."""
        now = self.clock.now()
        ask = replace(ask, now=int(now.timestamp()))
        striking = self.faults.striking("provider", dialect.name) if self.faults else []
        reply, told = self._judged(dialect, ask, client, now, striking)
        with self._lock:
            self.log.append(Seen(now, ask.origin.partition("//")[2], ask.path, reply.status, ask.headers.get("user-agent", "")))
            number = len(self.log)
        return reply, {**_headers(reply, now, number), **told, **reply.headers}

    def _judged(self, dialect: Dialect, ask: Ask, client: str, now: datetime, striking: list[Fault]) -> tuple[Reply, Mapping[str, str]]:
        """The answer of this client's plan, as far as its quota lasts and no fault has it otherwise."""
        for fault in self._struck(striking, REFUSALS, dialect.name):
            return REFUSALS[fault.kind](fault, dialect, ask, self._hour(fault, now)), {}
        plan, who = next(iter(dialect.plans)), client
        if dialect.key_in is not None:
            who = dialect.key_in(ask)
            known = {sandbox_key(dialect.name, name): name for name in (*dialect.plans, RETIRED)}
            if who not in known:
                return dialect.refuse(ask, "bad key" if who else "no key"), {}
            plan = known[who]
            if plan == RETIRED:
                raise Gone(dialect.name)
        if self._struck(striking, ("downgraded",), dialect.name):
            plan = next(iter(dialect.plans))
        ask = replace(ask, plan=plan)
        windows = self.allowances.get(dialect.name, dialect.plans[plan])
        for fault in self._struck(striking, ("quota_cut",), dialect.name):
            windows = allowed(fault, windows)
        weight = dialect.weight(ask)
        with self._lock:
            spent = self._spent(windows, self._past(dialect.name, who, now), weight, now)
            if spent is not None:
                self.overruns.append(dialect.name)
        if spent is not None:
            return dialect.refuse(ask, spent), {}
        reply = self._told(dialect, ask, now, striking)
        cost = weight if reply.cost is None else reply.cost
        with self._lock:
            past = self._past(dialect.name, who, now)
            past.append((now.timestamp(), cost))
            left = windows[0].limit - _used(windows[0], past, now) if windows else 0
        return reply, dialect.headers(cost, left)

    def _told(self, dialect: Dialect, ask: Ask, now: datetime, striking: list[Fault]) -> Reply:
        """What the provider has to say, through the faults that change the question or the answer."""
        meant = ask
        for fault in self._struck(striking, ASKS, dialect.name):
            meant = ASKS[fault.kind](fault, meant, self._hour(fault, now))
        with distorted(self._distortions(dialect.name, now)):
            reply = dialect.answer(meant)
        if any(fault.kind == "unknown_symbol" for fault in striking):
            reply = renamed(ask, reply)
        for fault in self._struck(striking, REPLIES, dialect.name):
            reply = reshaped(fault, dialect, ask, reply)
        return reply

    def _distortions(self, name: str, now: datetime) -> list[Distortion]:
        """What it has wrong about the market at the moment."""
        if self.faults is None:
            return []
        salt, made = f"{self.faults.salt} {name}", []
        for fault in self.faults.striking("truth", name):
            self.faults.note(fault, name)
            began = now.timestamp() - self._hour(fault, now).since
            made.append(Distortion(fault.kind, fault.settings, int(began), salt))
        return made

    def _struck(self, striking: list[Fault], kinds: Container[str], name: str) -> list[Fault]:
        """Those of some kinds, written down as having struck."""
        found = [fault for fault in striking if fault.kind in kinds]
        for fault in found:
            if self.faults is not None:
                self.faults.note(fault, name)
        return found

    def _hour(self, fault: Fault, now: datetime) -> Hour:
        return Hour(now, self.faults.elapsed - fault.start if self.faults else 0.0)

    def _past(self, name: str, who: str, now: datetime) -> deque[tuple[float, int]]:
        past, moment = self._granted.setdefault((name, who), deque()), now.timestamp()
        while past and (past[0][0] < moment - 32 * 86400 or past[0][0] > moment):  # later than now: the clock was set back
            past.popleft()
        return past

    def _spent(self, windows: tuple[Allowance, ...], past: deque[tuple[float, int]], weight: int, now: datetime) -> Allowance | None:
        return next((w for w in windows if _used(w, past, now) + (weight if w.of == "credits" else 1) > w.limit), None)


def _used(window: Allowance, past: deque[tuple[float, int]], now: datetime) -> int:
    if isinstance(window.per, str):
        local = now.astimezone(ZoneInfo(window.zone)).replace(second=0, microsecond=0)
        if window.per != "minute":
            local = local.replace(hour=0, minute=0)
        since = (local.replace(day=1) if window.per == "month" else local).timestamp() - 1e-6
    else:
        since = now.timestamp() - window.per
    used = 0
    for at, cost in reversed(past):
        if at <= since:
            break
        used += cost if window.of == "credits" else 1
    return used


def _headers(reply: Reply, now: datetime, number: int) -> dict[str, str]:
    from email.utils import format_datetime

    headers = {"content-type": reply.content_type, "date": format_datetime(now, usegmt=True)}
    headers["x-request-id"] = f"sandbox{number:06d}"
    headers["x-mdagent-world"] = "sandbox"  # so that a live store refuses what comes from here
    return headers
