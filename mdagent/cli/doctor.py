"""doctor: is everything in order? Reads, never mends."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from mdagent.cli.page import Page
from mdagent.errors import MdagentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.agent import Agent
    from mdagent.cli.terminal import Terminal

app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
_LEAST_DISK = 256 * 1024 * 1024
_QUICK = 2_000_000  # bars that are hashed in some seconds
_SHORT_CALENDAR = 60  # days ahead


class Check(NamedTuple):
    """One thing looked at: `ok`, `note` or `bad`, with what was seen and what to do."""

    name: str
    state: str
    seen: str
    next_step: str = ""


@app.command(cls=Page)
def doctor(
    ctx: typer.Context,
    *,
    form: Annotated[
        str | None, typer.Option("--format", "-f", metavar="NAME", help="table, csv, json or ndjson; default table on a terminal, else csv")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="same as --format json")] = False,
) -> None:
    """Look at versions, settings, clock, store, ledger, keys and disk; say what is wrong and what to do. Changes nothing.

    \b
    Examples:
      mdagent doctor
      mdagent doctor --json
    """
    from mdagent.cli.exits import ExitCode, of_error
    from mdagent.cli.render import choose_format, write_rows

    terminal: Terminal = ctx.obj
    chosen = choose_format(form, as_json=as_json, as_csv=False, output=None, tty=terminal.out.isatty())
    checks: list[Check] = []
    worst: MdagentError | None = None
    with terminal.agent() as agent:
        for look in (_versions, _settings, _clock, _disk, _keys, _ledger, _store, _contents):
            if look is _contents and any(c.name == "store" and c.state == "bad" for c in checks):
                break  # what cannot be read cannot be hashed
            try:
                checks += look(agent, terminal)
            except MdagentError as error:
                checks.append(Check(look.__name__.strip("_"), "bad", error.message, error.hint))
                worst = error
    write_rows(chosen, Check._fields, iter(checks), terminal.out, terminal)
    if worst is not None:
        terminal.code = int(of_error(worst))
    elif any(c.state == "bad" for c in checks):
        terminal.code = int(ExitCode.CONFIG)


def _versions(agent: Agent, terminal: Terminal) -> Iterator[Check]:
    del agent, terminal
    import platform
    from importlib.metadata import version

    from mdagent import __version__

    parts = ", ".join(f"{p} {version(p)}" for p in ("duckdb", "httpx", "exchange-calendars", "typer"))
    yield Check("versions", "ok", f"mdagent {__version__}, Python {platform.python_version()}, {parts}")


def _settings(agent: Agent, terminal: Terminal) -> Iterator[Check]:
    files = ", ".join(map(str, terminal.loaded.files)) or "none; all defaults"
    yield Check("settings", "ok", f"files: {files}; world {agent.settings.world}; home {agent.settings.home}")
    if agent.settings.wire.proxy:
        yield Check("proxy", "note", "requests go through the proxy of wire.proxy")


def _clock(agent: Agent, terminal: Terminal) -> Iterator[Check]:
    del terminal
    from datetime import UTC, datetime
    from pathlib import Path

    import mdagent

    built = datetime.fromtimestamp(Path(mdagent.__file__).stat().st_mtime, UTC)
    now = agent.clock.now()
    wrong = agent.settings.world == "live" and (built - now).days > 1
    yield Check("clock", "bad" if wrong else "ok", f"{now:%Y-%m-%d %H:%M:%S}Z", "set the machine's clock" if wrong else "")


def _disk(agent: Agent, terminal: Terminal) -> Iterator[Check]:
    del terminal
    place = agent.settings.store.parent
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    low = free < _LEAST_DISK
    yield Check("disk", "bad" if low else "ok", f"{free / 2**30:.1f} GiB free at {place}", "free some space" if low else "")


def _keys(agent: Agent, terminal: Terminal) -> Iterator[Check]:
    """A missing key is no fault: most people have one or two."""
    del terminal
    from mdagent.guard.outcome import FailureKind
    from mdagent.work.fit import unready

    for source, told in agent.sources():
        name = f"key of {source.spec.name}"
        unfit = unready(source, agent.settings.world, agent.clock.now().date())
        if not told.enabled:
            yield Check(name, "ok", "the source is disabled")
        elif unfit and unfit.kind is FailureKind.AUTH:
            yield Check(name, "note", "missing", unfit.why.partition(": ")[2])
        elif unfit:
            yield Check(name, "note", unfit.why, "use another source")
        else:
            world = "" if not source.spec.needs_key else f" in the {agent.settings.world}"
            yield Check(name, "ok", "present" if told.api_key else f"not needed{world}")


def _ledger(agent: Agent, terminal: Terminal) -> Iterator[Check]:
    del terminal
    from mdagent.store.lost import ASIDE

    if not agent.settings.ledger.exists():
        yield Check("ledger", "note", f"none yet at {agent.settings.ledger}")
        return
    told = agent.ledger.check()
    yield Check(
        "ledger",
        "ok" if told == "ok" else "bad",
        f"{agent.settings.ledger}: {told}",
        "" if told == "ok" else ASIDE,
    )
    for name in agent.settings.sources:
        block = agent.ledger.blocked(name)
        if block and block.until > agent.clock.now():
            yield Check(f"quota of {name}", "note", f"{block.reason} until {block.until:%Y-%m-%d %H:%M:%S}Z")


def _store(agent: Agent, terminal: Terminal) -> Iterator[Check]:
    del terminal
    from mdagent.store.lock import holder

    if not agent.store.exists():
        yield Check("store", "note", f"none yet at {agent.settings.store}", "mdagent fetch AAPL makes it")
        return
    yield Check("last writer", "ok", holder(agent.settings.store))
    with agent.store.reading("doctor") as reader:
        sizes, doubled, calendars = reader.sizes(), reader.duplicates(), reader.calendars()
    seen = ", ".join(f"{n} {name}" for name, n in sizes.items())
    yield Check("store", "ok", f"{agent.settings.store}: {seen}")
    today = agent.clock.now().date()
    for code, end in calendars:
        short = (end - today).days < _SHORT_CALENDAR
        yield Check(f"calendar {code}", "note" if short else "ok", f"built to {end}", "the next fetch builds it anew" if short else "")
    yield Check(
        "keys of bars",
        "bad" if doubled else "ok",
        f"{doubled} rows share the key of another",
        "report it: this is a bug" if doubled else "",
    )


def _contents(agent: Agent, terminal: Terminal) -> Iterator[Check]:
    """Raises StoreDamaged where a bar is not what was delivered."""
    del terminal
    from mdagent.errors import StoreDamaged
    from mdagent.store.soundness import BAD, contents

    if not agent.store.exists():
        return
    with agent.store.reading("doctor") as reader:
        bars = reader.sizes()["bars"]
        if bars > _QUICK:
            yield Check("contents", "note", f"{bars:,} bars are not hashed again here", "mdagent store check does it")
            return
        found = contents(reader.ask)
    if found.state == BAD:
        msg = f"the store {agent.settings.store} is damaged: {found.seen}"
        raise StoreDamaged(msg, found.next_step)
    yield Check("contents", "ok", found.seen)
