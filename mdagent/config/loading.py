"""Loading: defaults < user file < project file < `MDAGENT_*` < flags, made into one frozen tree."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from mdagent.config.addresses import is_private
from mdagent.config.files import read_file
from mdagent.config.layers import OVERLAYS, Entry, FileLayers, check, dotted, from_document, settle
from mdagent.config.places import find_places, home_of
from mdagent.config.run import Run, flag_of, run_of
from mdagent.config.scalars import did_you_mean, shown
from mdagent.config.schema import Schema, schema
from mdagent.config.tree import KNOWN_SOURCES, Settings, nodes
from mdagent.config.variables import from_environ
from mdagent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mdagent.config.layers import Layer
    from mdagent.config.places import Flags, Places
    from mdagent.config.tree import Where

T = TypeVar("T")
DEFAULT = "default"


class Loaded(NamedTuple):
    """The settings; by path, who set what (`default`, `FILE:LINE`, a variable or a flag); the files read; notes for stderr."""

    settings: Settings
    origins: Mapping[str, str]
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def load(flags: Flags, environ: Mapping[str, str], cwd: Path, sources: Iterable[str] = KNOWN_SOURCES) -> Loaded:
    """Read and merge all layers; all or nothing, and nothing is written. Raises ConfigError, or UsageError for clashing flags."""
    flat = schema(sources)
    places = find_places(flags, environ, cwd)
    run = run_of(flags, environ, cwd)
    notes: list[str] = []
    files = _read(places, flat, notes)
    environment, environment_origin = _environment(flags, environ, files)
    merged: Layer = {}
    for layers in files.values():
        merged |= layers.base
        merged |= layers.overlays.get(environment or "", {})
    merged |= _talk_layer(run, cwd, from_environ(environ, flat, cwd), _shell(environ, cwd))
    merged |= _flag_layer(flags, run, flat, cwd)
    values, origins = _settle(merged, flat, environ, notes)
    origins |= {"home": places.home_origin, "ledger": places.home_origin} | run.origins
    origins |= {"environment": environment_origin} if environment else {}
    settings = _build(values, run, environment, home_of(run.world, places.home))
    _check_whole(settings, origins)
    return Loaded(settings, MappingProxyType(origins), tuple(files), tuple(notes))


def defaults(flags: Flags, environ: Mapping[str, str], cwd: Path, sources: Iterable[str] = KNOWN_SOURCES) -> Settings:
    """The settings of one who has set nothing, in the same home and world. Raises as `load` does for a clash of worlds."""
    run = run_of(flags, environ, cwd)
    values = {path: leaf.default for path, leaf in schema(sources).leaves.items()}
    return _build(values, run, None, home_of(run.world, find_places(flags, environ, cwd).home))


def _read(places: Places, flat: Schema, notes: list[str]) -> dict[Path, FileLayers]:
    files: dict[Path, FileLayers] = {}
    for path in places.present():
        document = read_file(path)
        if document.root is None:
            notes.append(f"{path} is empty: it changes nothing")
        files[path] = from_document(document, flat)
    return files


def _environment(flags: Flags, environ: Mapping[str, str], files: Mapping[Path, FileLayers]) -> tuple[str | None, str]:
    name, origin = (flags.env, "--env") if flags.env else (environ.get("MDAGENT_ENV", "").strip(), "MDAGENT_ENV")
    if not name:
        return None, ""
    known = {key for layers in files.values() for key in layers.overlays}
    if name not in known:
        where = " and ".join(map(str, files)) or "no settings file was found"
        msg = f"{origin}: there is no environment {shown(name)} under {OVERLAYS} ({where})"
        raise ConfigError(msg, did_you_mean(name, known))
    return name, origin


def _shell(environ: Mapping[str, str], cwd: Path) -> Layer:
    """The customs of other programs: NO_COLOR, FORCE_COLOR, TERM=dumb."""
    for variable, value in (("MDAGENT_NO_COLOR", "never"), ("NO_COLOR", "never"), ("FORCE_COLOR", "always")):
        if flag_of(variable, environ) if variable == "MDAGENT_NO_COLOR" else environ.get(variable):
            return {("color",): Entry(value, variable, cwd)}
    return {("color",): Entry("never", "TERM", cwd)} if environ.get("TERM") == "dumb" else {}


def _level(run: Run) -> str | None:
    return "error" if run.quiet else ("info" if run.verbose == 1 else "debug") if run.verbose else None


def _talk_layer(run: Run, cwd: Path, variables: Layer, shell: Layer) -> Layer:
    """The variables, filled up by what quiet and verbose mean for the log and by the customs of the shell."""
    level = _level(run)
    origin = run.origins.get("quiet") or run.origins.get("verbose", "")
    talk: Layer = {("log", "level"): Entry(level, origin, cwd)} if level and origin.startswith("MDAGENT_") else {}
    return {**talk, **shell, **variables}


def _flag_layer(flags: Flags, run: Run, flat: Schema, cwd: Path) -> Layer:
    talk = run.origins.get("quiet") or run.origins.get("verbose", "")
    typed: dict[Where, tuple[object, str]] = {
        ("store",): (flags.store, "--store"),
        ("color",): ("never" if flags.no_color else None, "--no-color"),
        ("log", "level"): (_level(run) if flags.quiet or flags.verbose else None, talk),
        ("log", "format"): (flags.log_format, "--log-format"),
        ("log", "file"): (flags.log_file, "--log-file"),
    }
    layer: Layer = {path: Entry(str(raw), origin, cwd) for path, (raw, origin) in typed.items() if raw is not None}
    for path, entry in layer.items():
        check(path, flat.leaves[path], entry)
    return layer


def _settle(merged: Layer, flat: Schema, environ: Mapping[str, str], notes: list[str]) -> tuple[dict[Where, Any], dict[str, str]]:
    values = {path: leaf.default for path, leaf in flat.leaves.items()}
    origins = {dotted(path): DEFAULT for path in flat.leaves}
    for path, entry in merged.items():
        leaf = flat.leaf(path)
        if leaf is None:
            continue
        values[path], note = settle(path, leaf, entry, environ)
        origins[dotted(path)] = entry.origin
        if note:
            notes.append(note)
    return values, origins


def _build(values: dict[Where, Any], run: Run, environment: str | None, home: Path) -> Settings:
    store = values.pop(("store",)) or home / "bars.duckdb"
    return _grow(
        Settings,
        (),
        values,
        {
            "home": home,
            "ledger": home / "ledger.db",
            "world": run.world,
            "replay": run.replay,
            "record": run.record,
            "environment": environment,
            "clock": run.clock,
            "quiet": run.quiet,
            "verbose": run.verbose,
            "store": store,
        },
    )


def _grow(tree: type[T], path: Where, values: Mapping[Where, Any], given: Mapping[str, Any]) -> T:
    """One section and all below it. `given` are fields whose value is already known."""
    made: dict[str, Any] = dict(given)
    for name, node in nodes(tree):
        here = (*path, name)
        if name in made:
            continue
        if not node.table:
            made[name] = values[here] if node.tree is None else _grow(node.tree, here, values, {})
            continue
        names = dict.fromkeys(key[len(here)] for key in values if key[: len(here)] == here)
        made[name] = MappingProxyType(
            {item: values[(*here, item)] if node.tree is None else _grow(node.tree, (*here, item), values, {}) for item in names}
        )
    return tree(**made)


def _check_whole(settings: Settings, origins: Mapping[str, str]) -> None:
    """What no setting can tell alone."""
    for name, source in settings.sources.items():
        hosts = [urlsplit(url).hostname or "" for url in source.base_url or ()]
        private = next(filter(is_private, hosts), None)
        if private is not None and not settings.wire.allow_private_hosts:
            path = f"sources.{name}.base_url"
            msg = f"{origins[path]}: {path}: {private} is an address of a private network"
            raise ConfigError(msg, "if that is meant, set wire.allow_private_hosts: true")
    if settings.wire.ca_file is not None and not settings.wire.ca_file.is_file():
        msg = f"{origins['wire.ca_file']}: wire.ca_file is {settings.wire.ca_file}: there is no such file"
        raise ConfigError(msg, "name a file of certificates in PEM form")
