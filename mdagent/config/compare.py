"""Settings side by side: flat, masked, and what differs."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from mdagent.config.layers import dotted
from mdagent.config.scalars import text_of
from mdagent.config.tree import nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mdagent.config.kinds import Kind
    from mdagent.config.tree import Settings, Where

_RUN = ("home", "ledger", "world", "replay", "record", "environment", "clock", "quiet", "verbose")


class Change(NamedTuple):
    """One setting that differs; None where one side does not have it."""

    path: str
    old: str | None
    new: str | None


def plain(settings: Settings, *, shared: bool = False) -> Mapping[str, object]:
    """By dotted path the value as plain YAML data, secrets masked. `shared`: without what belongs to this run alone."""
    flat: dict[str, object] = {}
    for name in () if shared else _RUN:
        value = getattr(settings, name)
        flat[name] = value.isoformat() if isinstance(value, datetime) else value if isinstance(value, bool | int | None) else str(value)
    flat.update((dotted(path), value if kind is None else kind.show(value)) for path, kind, value in _leaves(type(settings), settings, ()))
    return MappingProxyType(flat)


def _leaves(tree: type, section: object, path: Where) -> Iterator[tuple[Where, Kind | None, object]]:
    for name, node in nodes(tree):
        value = getattr(section, name)
        here = (*path, name)
        entries = [((*here, key), item) for key, item in value.items()] if node.table else [(here, value)]
        for where, item in entries:
            if node.tree is None:
                yield where, node.kind, item
            else:
                yield from _leaves(node.tree, item, where)


def flatten(settings: Settings, *, shared: bool = False) -> Mapping[str, str]:
    """By dotted path the value as one line of text, secrets masked but told apart by their fingerprint."""
    return MappingProxyType({path: text_of(value) for path, value in plain(settings, shared=shared).items()})


def compare(old: Mapping[str, str], new: Mapping[str, str]) -> list[Change]:
    """What differs between two flat settings, in the order of the new ones."""
    return [Change(path, old.get(path), new.get(path)) for path in dict.fromkeys((*new, *old)) if old.get(path) != new.get(path)]


def diff(old: Settings, new: Settings) -> list[Change]:
    """What differs between two settings."""
    return compare(flatten(old), flatten(new))


def fingerprint(settings: Settings) -> str:
    """Sixteen hexadecimal digits that are equal when all shared settings are: those that a file can hold."""
    import hashlib

    lines = (f"{path}={value!r}\n" for path, value in flatten(settings, shared=True).items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
