"""Global options may stand anywhere: before the words are parsed, they are moved to the front."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VALUED = ("--config", "--store", "--env", "--replay", "--record", "--log-format", "--log-file", "--lock-wait")
PLAIN = ("--sandbox", "--quiet", "--verbose", "--no-color", "-q", "-v", "-vv", "-vvv")


def hoist(words: Sequence[str]) -> list[str]:
    """The words with every global option (and its value) first. Nothing after `--` is touched."""
    front: list[str] = []
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--":
            return [*front, *rest, word, *left]
        if word in PLAIN or (word.partition("=")[0] in VALUED and "=" in word):
            front.append(word)
        elif word in VALUED and left:
            front += [word, left.pop(0)]
        else:
            rest.append(word)
    return front + rest
