"""The commented template: every setting with its default, written from the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.config.scalars import text_of
from mdagent.config.tree import KNOWN_SOURCES, Settings, default_of, nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD = """\
# Settings of mdagent. Every line shows its default, so each may be left out.
# What wins: flags, MDAGENT_* variables, ./mdagent.yaml, the user's file (mdagent config path), the defaults.
# Each setting is also a variable: sources.yahoo.timeout.total is MDAGENT_SOURCES__YAHOO__TIMEOUT__TOTAL.
# null leaves the choice to mdagent. ${VARIABLE} is read in api_key and base_url.
"""
_TAIL = """
# Changes for one environment, chosen with --env NAME or MDAGENT_ENV, laid over the settings above. For example:
#   environments:
#     dev: {log: {level: debug}}
#     prod: {sources: {yahoo: {timeout: {total: 30}}}}
environments: {}
"""


def template(sources: Iterable[str] = KNOWN_SOURCES) -> str:
    """The text of `config.example.yaml`, which is also what `mdagent config init` writes."""
    return _HEAD + "".join(f"{line}\n" for line in _lines(Settings, 0, tuple(sources))) + _TAIL


def _lines(tree: type, depth: int, sources: tuple[str, ...]) -> Iterator[str]:
    space = "  " * depth
    for name, node in nodes(tree):
        if depth == 0:
            yield ""
        if node.kind is not None:
            value = "{}" if node.table else text_of(default_of(tree, name))
            yield f"{space}{name}: {value}  # {node.about}"
        elif node.tree is not None:
            yield f"{space}{name}:"
            for source in sources if node.table else ():
                yield f"{space}  {source}:"
                yield from _lines(node.tree, depth + 2, sources)
            if not node.table:
                yield from _lines(node.tree, depth + 1, sources)
