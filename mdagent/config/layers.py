"""Layers of settings, lowest first: what each file, environment variable and flag says, and where it says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.config.files import Node
from mdagent.config.refused import UNSAID, Refused
from mdagent.config.scalars import did_you_mean, shown
from mdagent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdagent.config.files import Document
    from mdagent.config.schema import Leaf, Schema
    from mdagent.config.tree import Where

OVERLAYS = "environments"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ENVIRONMENT = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}\Z")


class Entry(NamedTuple):
    """One value as written. `origin` names the place; a relative path counts from `base`."""

    raw: object
    origin: str
    base: Path


Layer = dict["Where", Entry]


class FileLayers(NamedTuple):
    """What one file says: to all, and to each environment."""

    base: Layer
    overlays: dict[str, Layer]


def dotted(path: Where) -> str:
    """The path as people write it."""
    return ".".join(path)


def from_document(document: Document, schema: Schema) -> FileLayers:
    """The layers of a file, every one of them checked, chosen or not. Raises ConfigError."""
    base: Layer = {}
    overlays: dict[str, Layer] = {}
    if document.root is None:
        return FileLayers(base, overlays)
    root = _mapping(document.root, document.path, ())
    _Reader(document, schema, "", base).walk(Node({key: node for key, node in root.items() if key != OVERLAYS}, document.root.line), ())
    for name, node in _mapping(root.get(OVERLAYS, Node(None, 0)), document.path, (OVERLAYS,)).items():
        if not _ENVIRONMENT.match(name):
            msg = f"{document.path}:{node.line}: {OVERLAYS}: {shown(name)} cannot name an environment"
            raise ConfigError(msg, "use a letter, then letters, digits, - and _")
        overlays[name] = {}
        _Reader(document, schema, f"{OVERLAYS}.{name}", overlays[name]).walk(node, ())
    return FileLayers(base, overlays)


def _mapping(node: Node, file: Path, path: Where) -> dict[str, Node]:
    if node.value is None:
        return {}
    if isinstance(node.value, dict):
        return node.value
    what = "a list" if isinstance(node.value, list) else "a single value"
    msg = f"{file}:{node.line}: {dotted(path) or 'the settings file'} must be a mapping of settings, and is {what}"
    raise ConfigError(msg, "see the template: mdagent config init")


class _Reader(NamedTuple):
    """Walks one document, or one overlay of it, into a layer."""

    document: Document
    schema: Schema
    prefix: str
    layer: Layer

    def walk(self, node: Node, path: Where) -> None:
        """Collect the leaves below `path`."""
        file = self.document.path
        for key, child in _mapping(node, file, path).items():
            here = (*path, key)
            leaf = self.schema.leaf(here)
            if leaf is not None:
                self._collect(here, leaf, child)
            elif here in self.schema.sections:
                self.walk(child, here)
            else:
                known = self.schema.sections[path] + (() if path or self.prefix else (OVERLAYS,))
                msg = f"{file}:{child.line}: {self._said(path) or 'top level'}: unknown setting {shown(key)}"
                raise ConfigError(msg, did_you_mean(key, known))

    def _collect(self, path: Where, leaf: Leaf, node: Node) -> None:
        origin = f"{self.document.path}:{node.line}" + (f" ({self.prefix})" if self.prefix else "")
        entry = Entry(node.plain(), origin, self.document.path.parent)
        check(path, leaf, entry)
        if self.document.open_to_others and leaf.kind.secret and _is_inline(leaf, entry.raw):
            msg = f"{origin}: {dotted(path)} stands in a file that others may read"
            raise ConfigError(msg, f"chmod 600 {self.document.path}, or write ${{VARIABLE}} and keep the secret in the environment")
        self.layer[path] = entry

    def _said(self, path: Where) -> str:
        return ".".join(part for part in (self.prefix, *path) if part)


def _is_inline(leaf: Leaf, raw: object) -> bool:
    if not isinstance(raw, str):
        return False
    return not _VARIABLE.fullmatch(raw.strip()) if leaf.kind.expands else "@" in raw


def check(path: Where, leaf: Leaf, entry: Entry) -> None:
    """Refuse what cannot become a setting; a value with `${VAR}` is judged when the variable is known. Raises ConfigError."""
    has_variable = _has_variable(entry.raw) or (leaf.kind.expands and isinstance(entry.raw, list) and any(map(_has_variable, entry.raw)))
    if has_variable and not leaf.kind.expands:
        msg = f"{entry.origin}: {dotted(path)} is {shown(entry.raw)}: ${{VARIABLE}} is read in api_key and base_url only"
        raise ConfigError(msg, "use an MDAGENT_ variable or an environment of the file instead")
    if not has_variable:
        _read(path, leaf, entry)


def _has_variable(raw: object) -> bool:
    return isinstance(raw, str) and "${" in raw


def settle(path: Where, leaf: Leaf, entry: Entry, environ: Mapping[str, str]) -> tuple[Any, str]:
    """The setting itself and a note on it, or "". Expands `${VAR}`, makes paths absolute. Raises ConfigError."""
    raw = [_expand(path, leaf, entry._replace(raw=item), environ) for item in entry.raw] if isinstance(entry.raw, list) else entry.raw
    raw = _expand(path, leaf, entry, environ) if isinstance(raw, str) else raw
    value = _read(path, leaf, Entry(raw, entry.origin, entry.base), written=entry.raw)
    if isinstance(value, Path):
        return absolute(value, entry.base, environ), ""
    if isinstance(value, dict):  # of files, among others
        return {name: absolute(told, entry.base, environ) if isinstance(told, Path) else told for name, told in value.items()}, ""
    trimmed = leaf.kind.secret and isinstance(raw, str) and raw != raw.strip()
    return value, f"{entry.origin}: {dotted(path)}: white space around the secret was dropped" if trimmed else ""


def _expand(path: Where, leaf: Leaf, entry: Entry, environ: Mapping[str, str]) -> object:
    if not leaf.kind.expands or not isinstance(entry.raw, str):
        return entry.raw

    def value(match: re.Match[str]) -> str:
        if found := environ.get(match[1], ""):
            return found
        msg = f"{entry.origin}: {dotted(path)}: the environment variable {match[1]} is not set"
        raise ConfigError(msg, f"set {match[1]}, or take the setting out")

    if "${" in _VARIABLE.sub("", entry.raw):
        msg = f"{entry.origin}: {dotted(path)}: a ${{ without its variable and }}"
        raise ConfigError(msg, "write ${NAME}")
    return _VARIABLE.sub(value, entry.raw)


def _read(path: Where, leaf: Leaf, entry: Entry, written: object = UNSAID) -> Any:  # noqa: ANN401 - a setting of any kind
    """`written` is shown in an error instead of what a variable held."""
    if entry.raw is None and leaf.optional:
        return None
    try:
        return leaf.kind.read(entry.raw)
    except Refused as exc:
        where = f"{entry.origin}: {dotted(path)}{exc.at}"
        if exc.unknown:
            msg = f"{where}: unknown setting"
            raise ConfigError(msg, exc.hint) from None
        said = entry.raw if written is UNSAID else written
        value = exc.value if exc.value is not UNSAID else said[exc.item] if exc.item is not None and isinstance(said, list) else said
        is_value = "" if leaf.kind.secret else f" is {shown(value)}"
        msg = f"{where}{is_value}: it must be {exc.words}"
        raise ConfigError(msg, exc.hint) from None
    except ConfigError as exc:
        msg = f"{entry.origin}: {dotted(path)}: {exc.message}"
        raise ConfigError(msg, exc.hint) from None


def absolute(path: Path, base: Path, environ: Mapping[str, str]) -> Path:
    """The path from `base`, `~` being the home directory. Touches no file."""
    if path.parts[:1] == ("~",):
        path = user_home(environ).joinpath(*path.parts[1:])
    return Path(_normal(str(base / path)))


def _normal(path: str) -> str:
    import os.path

    return os.path.normpath(path)  # Path keeps "..", and resolve() would follow links


def user_home(environ: Mapping[str, str]) -> Path:
    """The user's home directory. Raises ConfigError where there is none."""
    if home := environ.get("HOME"):
        return Path(home)
    try:
        return Path.home()
    except RuntimeError:
        msg = "there is no home directory: HOME is not set"
        raise ConfigError(msg, "set MDAGENT_HOME to a folder for mdagent") from None
