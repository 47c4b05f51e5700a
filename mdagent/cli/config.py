"""`mdagent config`: write, show, check, find, compare and publish settings."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TextIO

import typer

from mdagent.cli.page import Page
from mdagent.config import (
    DEFAULT,
    Change,
    Flags,
    compare,
    defaults,
    find_places,
    fingerprint,
    flatten,
    home_of,
    load,
    plain,
    prepare_home,
    template,
)
from mdagent.errors import ConfigError
from mdagent.sources import spec_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mdagent.clock import Clock
    from mdagent.config import Loaded

_WORLD = ("MDAGENT_HOME", "MDAGENT_SANDBOX", "MDAGENT_REPLAY")

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    help="Settings: write, show, check, compare, publish.",
)


class Prompt(Protocol):
    """What the root command hands down: the words typed, the surroundings, and two streams (data and talk)."""

    @property
    def flags(self) -> Flags:
        """The global options."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables."""

    @property
    def cwd(self) -> Path:
        """The working folder, absolute."""

    @property
    def clock(self) -> Clock:
        """The clock of this run."""

    @property
    def out(self) -> TextIO:
        """Where data goes."""

    @property
    def err(self) -> TextIO:
        """Where talk goes."""


class Format(StrEnum):
    """How settings are shown."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@app.command(cls=Page)
def init(
    context: typer.Context,
    *,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
    path: Annotated[Path | None, typer.Option(metavar="FILE", help="write it here; default --config, else the user's file")] = None,
    stdout: Annotated[bool, typer.Option("--stdout", help="print it, and write no file")] = False,
) -> None:
    """Write a file of every setting. Each stands with its default and a comment; the file is readable by you alone.

    \b
    Examples:
      mdagent config init                                in your settings folder
      mdagent config init --path mdagent.yaml            for this folder
    """
    prompt = _prompt(context)
    if stdout:
        prompt.out.write(template())
        return
    places = find_places(prompt.flags, prompt.environ, prompt.cwd)
    target = prompt.cwd / path.expanduser() if path is not None else places.explicit or places.user
    _write(target, template(), force=force)
    prompt.err.write("next: edit it, then run: mdagent config check\n")
    prompt.out.write(f"{target}\n")


@app.command(cls=Page)
def show(
    context: typer.Context,
    *,
    origin: Annotated[bool, typer.Option("--origin", help="also say who set each value")] = False,
    format_: Annotated[Format, typer.Option("--format", "-f", metavar="NAME", help="table, json or yaml")] = Format.TABLE,
) -> None:
    """Show the settings in force. Secrets are masked.

    YAML shows what a file can hold, so that it can become one.

    \b
    Examples:
      mdagent config show --origin
      mdagent config show --format yaml > settings.yaml
    """
    prompt = _prompt(context)
    loaded = _load(prompt, prompt.flags)
    if format_ is Format.JSON:
        prompt.out.write(_as_json(loaded, origin=origin))
    elif format_ is Format.YAML:
        prompt.out.write(_as_yaml(loaded, origin=origin))
    else:
        flat = flatten(loaded.settings)
        rows = [(key, text, _origin(loaded, key)) if origin else (key, text) for key, text in flat.items()]
        prompt.out.write(_columns(rows))


@app.command(cls=Page)
def check(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="check this file instead of those in force")] = None,
) -> None:
    """Check the files in force, or one file. Every setting is checked, in every environment.

    \b
    Examples:
      mdagent config check
      mdagent config check mdagent.yaml
    """
    prompt = _prompt(context)
    loaded = _load(prompt, prompt.flags if file is None else prompt.flags._replace(config=file))
    for name, told in loaded.settings.sources.items():
        spec_of(name).plan(told.plan)
    for path in loaded.files:
        prompt.out.write(f"valid  {path}\n")
    if not loaded.files:
        prompt.err.write("no settings file: the defaults are in force (mdagent config init writes one)\n")


@app.command(name="path", cls=Page)
def path_(context: typer.Context) -> None:
    """Tell where settings, bars and ledger are looked for. Works when the settings do not.

    \b
    Examples:
      mdagent config path
      mdagent --sandbox config path                      those of the sandbox
    """
    prompt = _prompt(context)
    places = find_places(prompt.flags, prompt.environ, prompt.cwd)
    rows = [("settings", path, _state(path)) for path in places.watched()]
    try:
        settings = load(prompt.flags, prompt.environ, prompt.cwd).settings
    except ConfigError as exc:
        prompt.err.write(f"the settings are not valid, so these are the places of the live world: {exc.message}\n")
        home = home_of("live", places.home)
        rows += [("home", home, _state(home))]
    else:
        rows += [
            (name, path, _state(path)) for name, path in (("home", settings.home), ("store", settings.store), ("ledger", settings.ledger))
        ]
    prompt.out.write(_columns((name, str(path), state) for name, path, state in rows))


@app.command(cls=Page)
def diff(
    context: typer.Context, file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="compare with this file")] = None
) -> None:
    """Show what differs from the defaults, or from a file. Compared are the settings in force.

    \b
    Examples:
      mdagent config diff
      mdagent --env prod config diff mdagent.yaml
    """
    prompt = _prompt(context)
    now = _load(prompt, prompt.flags).settings
    if file is None:
        old = defaults(prompt.flags, prompt.environ, prompt.cwd)
    else:
        around = {name: value for name, value in prompt.environ.items() if not name.startswith("MDAGENT_") or name in _WORLD}
        old = load(Flags(config=file, sandbox=prompt.flags.sandbox, replay=prompt.flags.replay), around, prompt.cwd).settings
    changes = compare(flatten(old, shared=True), flatten(now, shared=True))
    prompt.out.write(_changes(changes))
    if not changes:
        prompt.err.write(f"no difference from {'the defaults' if file is None else file}\n")


@app.command(cls=Page)
def reload(context: typer.Context) -> None:
    """Check the settings and publish them. Every running mdagent takes them over between two requests.

    Each reads its own files and variables anew; one that finds them wrong keeps its old settings and says why. --config and
    --env tell what is checked here; other flags are not published.

    \b
    Examples:
      mdagent config reload
    """
    from mdagent.store.epochs import last_epoch, publish_epoch
    from mdagent.store.ledger import open_ledger

    prompt = _prompt(context)
    typed = prompt.flags
    settings = _load(prompt, Flags(config=typed.config, env=typed.env, sandbox=typed.sandbox, replay=typed.replay)).settings
    prepare_home(settings)
    flat, mark = flatten(settings, shared=True), fingerprint(settings)
    with open_ledger(settings.ledger, prompt.clock) as ledger:
        last = last_epoch(ledger)
        if last is not None and last.fingerprint == mark:
            prompt.err.write(f"nothing changed: epoch {last.number} of {last.at:%Y-%m-%d %H:%M:%S} UTC stays in force\n")
            return
        before = flatten(defaults(typed, prompt.environ, prompt.cwd), shared=True) if last is None else last.flat
        epoch = publish_epoch(ledger, mark, flat)
    prompt.out.write(_changes(compare(before, flat)))
    prompt.err.write(f"published epoch {epoch.number}{' (compared with the defaults)' if last is None else ''}\n")


def _prompt(context: typer.Context) -> Prompt:
    prompt: Prompt = context.obj
    return prompt


def _load(prompt: Prompt, flags: Flags) -> Loaded:
    loaded = load(flags, prompt.environ, prompt.cwd)
    for note in loaded.notes:
        prompt.err.write(f"note: {note}\n")
    return loaded


def _write(target: Path, text: str, *, force: bool) -> None:
    """Whole or not at all, mode 0600. A file that is there is replaced only by force."""
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.new") if force else target
        if force:
            fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            fresh.replace(target)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
    except OSError as exc:
        if isinstance(exc, FileExistsError) and target.exists():
            msg = f"{target}: there is a file already"
            raise ConfigError(msg, "add --force to replace it, or --path FILE to write another") from None
        msg = f"{target}: the file cannot be written: {exc.strerror}"
        raise ConfigError(msg, "name another place with --path FILE, or set MDAGENT_HOME") from exc


def _origin(loaded: Loaded, path: str) -> str:
    return loaded.origins.get(path, DEFAULT)


def _state(path: Path) -> str:
    return "present" if path.exists() else "absent"


def _columns(rows: Iterable[tuple[str, ...]]) -> str:
    table = [tuple(row) for row in rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in table)


def _changes(changes: Iterable[Change]) -> str:
    return "".join(f"{change.path}: {_side(change.old)} -> {_side(change.new)}\n" for change in changes)


def _side(text: str | None) -> str:
    return "(absent)" if text is None else text


def _as_json(loaded: Loaded, *, origin: bool) -> str:
    import json

    rows = [
        {"path": path, "value": value, **({"origin": _origin(loaded, path)} if origin else {})}
        for path, value in plain(loaded.settings).items()
    ]
    return json.dumps({"schema_version": 1, "settings": rows}, indent=2) + "\n"


def _as_yaml(loaded: Loaded, *, origin: bool) -> str:
    import yaml

    lines: list[str] = []
    open_at: list[str] = []
    for path, value in plain(loaded.settings, shared=True).items():
        *parents, name = path.split(".")
        shared = next(
            (depth for depth, (a, b) in enumerate(zip(parents, open_at, strict=False)) if a != b), min(len(parents), len(open_at))
        )
        lines += [f"{'  ' * depth}{parents[depth]}:" for depth in range(shared, len(parents))]
        open_at = parents
        word: Any = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("...\n").strip()
        said = f"  # {_origin(loaded, path)}" if origin else ""
        lines.append(f"{'  ' * len(parents)}{name}: {word}{said}")
    return "\n".join(lines) + "\n"
