"""sources status: how each provider does, told by the ledger alone."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mdagent.cli.exits import ExitCode
from mdagent.cli.page import Page
from mdagent.cli.sources import AsCsv, AsJson, Format, choose, disabled, moment, show
from mdagent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdagent.agent import Agent
    from mdagent.cli.sources_state import Standing
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)

_OLDER = "source state why until sent_1h failed_1h median_ms quota_left last_request last_failure"
_NEWER = (
    "since next_probe success_1h p95_ms sent_24h success_24h median_ms_24h p95_ms_24h quota_resets usd_today usd_month grade score waiting"
)
STATUS = (*_OLDER.split(), *_NEWER.split())
_WATCHED = ("source", "state", "until", "sent_1h", "success_1h", "median_ms", "p95_ms", "quota_left", "usd_today", "grade", "waiting")
_EVERY = "2"


class _Watching(Page):
    """`--watch` stands alone, or has the seconds behind it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  typer's context
        told = list(args)
        for i, word in enumerate(args):
            if word == "--watch" and (i + 1 == len(args) or args[i + 1][:1] not in "0123456789."):
                told[i] = f"--watch={_EVERY}"
        return super().parse_args(ctx, told)


@app.command(cls=_Watching)
def status(
    ctx: typer.Context,
    *,
    watch: Annotated[
        float | None, typer.Option(metavar="[SECONDS]", min=0.1, max=3600.0, help=f"draw it anew so often, until Ctrl-C; default {_EVERY}")
    ] = None,
    form: Format = None,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """How each source does now, and what is left of its quota.

    Told by the ledger that all processes share. A state is ready, degraded, disabled, no key, retired, not entitled, quota spent,
    budget spent, throttled (asked to be left alone), breaker open, being tested or forced open. Rates and times are of the last hour,
    or of 24 hours where the name says so. Exit code 4 when a source that you use (enabled, with its key, still there) cannot be asked
    now.

    \b
    Examples:
      mdagent sources status
      mdagent sources status --json
      mdagent sources status --watch 5
    """
    terminal: Terminal = ctx.obj
    chosen = choose(terminal, form, as_json=as_json, as_csv=as_csv)
    if watch is not None:
        _refuse_watch(terminal, chosen)
    with terminal.agent() as agent:
        while True:
            told = _status(agent, terminal)
            if watch is None:
                break
            _draw(told, watch, terminal)
            agent.clock.pause(watch)
    show(chosen, STATUS, [row for row, _ in told], terminal)
    if any(not at.serves and not at.idle for _, at in told):
        terminal.code = int(ExitCode.NO_SOURCE)


def _refuse_watch(terminal: Terminal, chosen: str) -> None:
    if terminal.out.isatty() and chosen == "table":
        return
    msg = f"--watch draws on a terminal, not {chosen}" if terminal.out.isatty() else "--watch needs a terminal: standard output is none"
    raise UsageError(msg, "leave out --watch, and ask as often as you like: it costs no request")


class _Frame(StringIO):
    """A screen that is drawn before it is shown, so that it does not flicker."""

    def isatty(self) -> bool:
        return True


def _draw(told: Sequence[tuple[tuple[object, ...], Standing]], seconds: float, terminal: Terminal) -> None:
    """A screen of it: the columns that change, and below them why a source does not serve."""
    from mdagent.cli.table import print_table, words

    frame = _Frame()
    picked = [STATUS.index(name) for name in _WATCHED]
    print_table(_WATCHED, [[row[i] for i in picked] for row, _ in told], frame, terminal)
    frame.writelines(f"{row[0]}: {words(at.why)}\n" for row, at in told if at.why and not at.idle)
    clear = "" if terminal.environ.get("TERM") == "dumb" else "\x1b[H\x1b[2J"
    title = f"{terminal.clock.now():%Y-%m-%d %H:%M:%S}Z, every {seconds:g} s; Ctrl-C ends it"
    terminal.out.write(f"{clear}{title}\n{frame.getvalue()}")
    terminal.out.flush()


def _status(agent: Agent, terminal: Terminal) -> list[tuple[tuple[object, ...], Standing]]:
    """A row for each source, and its standing."""
    from mdagent.cli.sources_state import standing

    off = disabled(agent, terminal)
    found = []
    for source, told in agent.sources():
        at = standing(agent, source, told, off.get(source.spec.name))
        found.append((_row(agent, source.spec.name, at), at))
    return found


def _row(agent: Agent, name: str, at: Standing) -> tuple[object, ...]:
    from mdagent.quality.letters import letter
    from mdagent.store.recall import grade_of, last_at, quota_left, speed, waiting

    now, ledger, account = agent.clock.now(), agent.ledger, agent.roster.account(name)
    hour, day = (speed(ledger, name, account, now - timedelta(hours=h)) for h in (1, 24))
    lefts = quota_left(ledger, name, agent.roster.windows(name), account, now)
    score = grade_of(ledger, name, account)
    return (
        *(name, at.state, at.why, moment(at.until), hour.sent, hour.failed, _rounded(hour.p50)),
        ", ".join(f"{max(0, x.window.limit - x.used)} of {x.window.text}" for x in lefts),
        *(moment(last_at(ledger, name, account)), day.last_failure, moment(at.since), moment(at.probe)),
        *(_rounded(hour.success, 4), _rounded(hour.p95), day.sent, _rounded(day.success, 4), _rounded(day.p50), _rounded(day.p95)),
        ", ".join(f"{x.window.text} at {x.until:%Y-%m-%d %H:%M:%S}Z" for x in lefts if x.until),
        *_spent(agent, name),
        *(None if score is None else letter(score), _rounded(score), len(waiting(ledger, account, now))),
    )


def _spent(agent: Agent, name: str) -> tuple[float, float]:
    """USD today and this month, as the budgets count them."""
    from mdagent.guard.limits import Window, span
    from mdagent.store.quota import spent

    now = agent.clock.now()
    day, month = (span(Window(0, per), now) for per in ("day", "month"))
    return agent.ledger.reading(lambda db: (spent(db, day, name), spent(db, month, name)))


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)
