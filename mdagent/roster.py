"""The sources under the settings: each with its plan and key, the name of its account in the ledger, and the rules that it is asked by."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mdagent.errors import UsageError
from mdagent.market import FILE

if TYPE_CHECKING:
    from mdagent.clock import Clock
    from mdagent.config import Settings
    from mdagent.guard.limits import Window
    from mdagent.sources.base import Plan, Source
    from mdagent.store.quota import Rules
    from mdagent.work.gate import Policy


@dataclass(slots=True)
class Roster:
    """One for each state of the settings."""

    settings: Settings
    clock: Clock
    _sources: dict[str, Source] = field(default_factory=dict)
    _kept_rules: dict[str, Rules] = field(default_factory=dict)
    _policies: dict[str, Policy] = field(default_factory=dict)

    def policy(self, name: str) -> Policy:
        """The rules for one source, by its facts and the settings in force now."""
        if name not in self._policies:
            self._policies[name] = self._policy(name)
        return self._policies[name]

    def _policy(self, name: str) -> Policy:
        from mdagent.wire.bounds import Limits
        from mdagent.work.gate import Policy

        told, spec = self.settings.sources[name], self.source(name).spec
        return Policy(
            windows=self.windows(name),
            limits=Limits(connect=told.timeout.connect, read=told.timeout.read, total=told.timeout.total),
            concurrency=told.concurrency or spec.concurrency,
            cooldown=spec.cooldown,
            bases=told.base_url or spec.bases,
            secrets=self.settings.secrets(),
            rules=self.rules(name),
            usd=told.cost or 0.0,
        )

    def rules(self, name: str) -> Rules:
        """What the ledger is to go by for this source."""
        from mdagent.guard.cost import Budget
        from mdagent.store.quota import Rules

        told, kept = self.settings, self._kept_rules.get(name)
        if kept is not None:
            return kept
        own = told.sources[name]
        bounds = ((budget, per, of) for budget, of in ((own.budget, name), (told.budget, "")) for per in ("day", "month"))
        budgets = tuple(Budget(usd, per, of) for budget, per, of in bounds if (usd := getattr(budget, per)) is not None)  # type: ignore[arg-type]
        others = tuple(self.account(n) for n, s in told.sources.items() if n != name and s.enabled and not self._unready(n))
        lease = own.timeout.total + 5.0
        self._kept_rules[name] = Rules(self.account(name), budgets, own.pace, own.observe_only, lease, others, own.overage)
        return self._kept_rules[name]

    def account(self, name: str) -> str:
        """What the ledger calls a source under its key: quota, breakers and pace belong to it. Not the key itself, but its fingerprint."""
        key = self._key(name)
        if key is None:
            return name
        from mdagent.config.secret import fingerprint_of

        return f"{name}:{fingerprint_of(key)}"

    def _key(self, name: str) -> str | None:
        """The key of the settings; in the sandbox that of the plan stands in for one that is not set, and a replay needs none."""
        from mdagent.sources import spec_of

        told, world, spec = self.settings.sources[name], self.settings.world, spec_of(name)
        if told.api_key or not spec.needs_key or world == "live":
            return told.api_key.reveal() if told.api_key else None
        return f"sandbox-{name}-{self._plan(name).name}" if world == "sandbox" else "replay"

    def _plan(self, name: str) -> Plan:
        """The plan of the settings with their quotas; in the sandbox the largest one stands in for it."""
        from mdagent.sources import spec_of
        from mdagent.sources.base import Quota

        told, spec = self.settings.sources[name], spec_of(name)
        plan = spec.plan(told.plan or (spec.plans[-1].name if self.settings.world == "sandbox" else None))
        if told.limits is None:
            return plan
        return replace(plan, quotas=tuple(Quota(q.limit, q.per, q.zone) for q in told.limits))

    def _unready(self, name: str) -> bool:
        from mdagent.work.fit import unready

        return unready(self.source(name), self.settings.world, self.clock.now().date()) is not None

    def windows(self, name: str) -> tuple[Window, ...]:
        """The quota windows of one source: those of the settings, else those of its facts."""
        from mdagent.guard.limits import Window

        return tuple(Window(q.limit, q.per, q.zone, q.of) for q in self.source(name).plan.quotas)  # type: ignore[arg-type]

    def source(self, name: str) -> Source:
        """The source of that name, under the plan and with the key of the settings."""
        if name not in self._sources:
            from mdagent.sources import load

            told, key, plan = self.settings.sources[name], self._key(name), self._plan(name)
            self._sources[name] = load(name, api_key=key, base_url=told.base_url, user_agent=told.user_agent, plan=plan)
        return self._sources[name]

    def names(self, source: str) -> tuple[str, ...]:
        """The sources that may serve: the one named, or all that are enabled."""
        known = self.settings.sources
        if source == "auto":
            return tuple(name for name, told in known.items() if told.enabled)
        if source.startswith(FILE):
            msg = f"{source[:60]} is a file that was imported: nobody can be asked for its bars"
            raise UsageError(msg, f"mdagent export --source {source[:60]} tells what is stored; mdagent import FILE brings more")
        if source not in known:
            import difflib

            near = difflib.get_close_matches(source, known, 1)
            msg = f"no source is called {source[:40]!a}"
            raise UsageError(msg, f"did you mean {near[0]}?" if near else f"use auto, or one of {', '.join(known)}")
        if not known[source].enabled:
            msg = f"the source {source} is disabled"
            raise UsageError(msg, f"set sources.{source}.enabled to true")
        return (source,)
