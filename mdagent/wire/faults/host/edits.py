"""A configuration that is edited again and again: every second time it is good, and every other time it is not."""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING, Final

from mdagent.wire.faults.host.nearby import spoilt

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from random import Random

GOOD, BAD = "mdagent-edit", "mdagent-bad-edit"
_NAMED: Final = re.compile(rf"(?:{GOOD}|{BAD})-[0-9]+".encode())
_WAYS: Final = ("syntax", "unknown", "value", "half", "bytes", "added")


def edits(config: Path, dice: Random) -> Generator[str]:
    """Each step is an edit, which takes the file's place at once, as editors do; closed, the file is as it was. The file says
    `mdagent-edit-0` where a good edit has a number of its own, and a bad one `mdagent-bad-edit-` with its number: so whoever sees a
    request can tell which settings were in force. Yields that word."""
    before = config.read_bytes()
    try:
        for number in count(1):
            word = f"{BAD if number % 2 else GOOD}-{number}"
            whole = _NAMED.sub(word.encode(), before)
            _renewed(config, _bad(whole, dice.choice(_WAYS)) if number % 2 else whole)
            yield word
    finally:
        _renewed(config, before)


def _bad(whole: bytes, how: str) -> bytes:
    """Most of these are what was written, with a mistake in it."""
    return whole + b"fetsch: {deadline: 10}\n" if how == "added" else spoilt(whole, how)


def _renewed(config: Path, content: bytes) -> None:
    new = config.with_name(f".{config.name}.new")
    new.write_bytes(content)
    new.replace(config)
