"""The commented template: every setting with its default, written from the tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdagent.config.scalars import text_of
from mdagent.config.tree import Settings, default_of, nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

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


_SHOWN = "yahoo"  # the source whose settings stand for those of all


def template() -> str:
    """The text of `config.example.yaml`, which is also what `mdagent config init` writes."""
    return _HEAD + "".join(f"{line}\n" for line in _lines(Settings, 0)) + _TAIL


def _lines(tree: type, depth: int) -> Iterator[str]:
    space = "  " * depth
    for name, node in nodes(tree):
        if depth == 0:
            yield ""
        if node.kind is not None:
            value = "{}" if node.table else text_of(node.kind.show(default_of(tree, name)))
            yield f"{space}{name}: {value}  # {node.about}"
        elif node.tree is not None:
            yield f"{space}{name}:"
            if node.table:
                yield f"{space}  # Every source has these settings; mdagent sources list names sources and plans. For example:"
                yield f"{space}  #   polygon: {{api_key: '${{POLYGON_API_KEY}}', plan: starter}}"
                yield f"{space}  {_SHOWN}:"
            yield from _lines(node.tree, depth + (2 if node.table else 1))
