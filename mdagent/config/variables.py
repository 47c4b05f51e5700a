"""Environment variables: the `MDAGENT_*` names there are, and what they set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.config.layers import Entry, check
from mdagent.config.scalars import did_you_mean, shown
from mdagent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mdagent.config.layers import Layer
    from mdagent.config.schema import Schema
    from mdagent.config.tree import Where

PREFIX = "MDAGENT_"
RUN = ("HOME", "CONFIG", "ENV", "SANDBOX", "REPLAY", "RECORD", "QUIET", "VERBOSE", "NO_COLOR", "CLOCK")
_SHORT: dict[str, Where] = {"LOG_FORMAT": ("log", "format"), "LOG_FILE": ("log", "file"), "LOG_LEVEL": ("log", "level")}


def from_environ(environ: Mapping[str, str], schema: Schema, cwd: Path) -> Layer:
    """What `MDAGENT_*` variables say of settings; an empty one says nothing. Raises ConfigError for a name that is none."""
    names = _names(schema)
    layer: Layer = {}
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in RUN:
            continue
        path = names.get(name)
        leaf = None if path is None else schema.leaf(path)
        if path is None or leaf is None:
            msg = f"the environment variable {shown(variable)} is unknown"
            raise ConfigError(msg, did_you_mean(variable, (PREFIX + known for known in (*RUN, *names))) or "unset it")
        if not environ[variable].strip():
            continue
        if path in layer:
            msg = f"{variable} and {layer[path].origin} set the same thing"
            raise ConfigError(msg, "unset one of them")
        entry = Entry(leaf.kind.scan(environ[variable]), variable, cwd)
        check(path, leaf, entry)
        layer[path] = entry
    return layer


def _names(schema: Schema) -> dict[str, Where]:
    paths = [*schema.leaves, *((*table, name) for table in schema.tables for name in schema.sections[table])]
    long = {"__".join(path).upper(): path for path in paths}
    keys = {f"{source.upper()}_API_KEY": ("sources", source, "api_key") for source in schema.sections[("sources",)]}
    return {**long, **_SHORT, **keys}
