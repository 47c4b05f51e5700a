"""The settings tree laid flat: which paths are leaves, which are sections, and what may stand in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.config.tree import Settings, default_of, nodes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdagent.config.kinds import Kind
    from mdagent.config.tree import Where


class Leaf(NamedTuple):
    """One setting: its kind, its default, what it does. `optional`: null is a value."""

    kind: Kind
    about: str
    default: Any
    optional: bool


class Schema(NamedTuple):
    """All leaves by path; `sections` maps each section to its children; `tables` are sections whose leaves all have the same kind."""

    leaves: dict[Where, Leaf]
    sections: dict[Where, tuple[str, ...]]
    tables: dict[Where, Leaf]

    def leaf(self, path: Where) -> Leaf | None:
        """The leaf at that path, in an open table too."""
        found = self.leaves.get(path)
        if found is None and path[-1:] and path[-1] in self.sections.get(path[:-1], ()):
            return self.tables.get(path[:-1])
        return found


def schema(sources: Iterable[str]) -> Schema:
    """The settings there are when these sources are known."""
    flat = Schema({}, {}, {})
    _lay(flat, (), Settings, tuple(sources))
    return flat


def _lay(flat: Schema, path: Where, tree: type, sources: tuple[str, ...]) -> None:
    flat.sections[path] = tuple(name for name, _ in nodes(tree))
    for name, node in nodes(tree):
        here = (*path, name)
        if node.kind is not None:
            default = None if node.table else default_of(tree, name)
            leaf = Leaf(node.kind, node.about, default, optional=default is None and not node.table)
            if node.table:
                flat.sections[here] = node.names
            (flat.tables if node.table else flat.leaves)[here] = leaf
        elif node.tree is not None and node.table:
            flat.sections[here] = sources
            for source in sources:
                _lay(flat, (*here, source), node.tree, sources)
        elif node.tree is not None:
            _lay(flat, here, node.tree, sources)
