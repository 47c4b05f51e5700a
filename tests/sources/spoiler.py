"""What can be wrong with a body: a good one with a few things changed in it, or plain noise. A hundred thousand in two seconds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s"\[\]{}:,]+')
_JUNK: tuple[bytes, ...] = (
    *b"null true false 0 -1 1 1.5 -0.0 1e20 1e308 1e400 -1e400 NaN Infinity -Infinity 9007199254740993 9300000000 -86400".split(),
    *b"253402300800 -62135596800 1704205800 1704205800000 1704205800000000000 1e-320 1e18 9223372036854775808".split(),
    *b'"" "x" "0" "187.15" "1,234.5" "1e5" "NaN" "inf" "1_0" "-" "N/A" "null" "USD" "GBp" "AAPL" "MSFT" "ok" "error" "no_data"'.split(),
    *b'"2024-01-02" "2024-13-45" "0000-00-00" "9999-12-31" "2024-01-02T00:00:00.000Z" "10000-01-01" "US/Eastern" "../../etc"'.split(),
    *b"[] {} [[]] [null] [{}] [1,2] [[1],[2]]".split(),
    *rb'"\ud800" "\u0000" "\u001b[31m" "\u0661\u0662" {"a":1} {"":null} {"error":"x"} {"code":401,"message":"x"} "A-B" "^X" "A:B"'.split(),
    b'"2024-01-02 09:30:00"',
    b'"Thank you! Our standard API rate limit is 25 requests per day."',
    b'"' + b"9" * 400 + b'"',
    b"9" * 400,
    b"9" * 5000,
    b'"' + b"x" * 6000 + b'"',
    b"[" * 40 + b"]" * 40,
    b"[" * 3000,
)
_BYTES: tuple[bytes, ...] = (
    b"\xff",
    b"\x00",
    b'"',
    b"{",
    b"}",
    b"]",
    b",",
    b"\xef\xbb\xbf",
    b"\\",
    b"\xed\xa0\x80",
    b"<",
    b" ",
    b"\n",
    b"e",
)


class Spoiler:
    """A good body as tokens, and what can be done to them. `spans` are the values, each from its first token to past its last;
    `members` the same with their keys."""

    def __init__(self, content: bytes) -> None:
        self.tokens = _TOKEN.findall(content)
        self.spans: list[tuple[int, int]] = []
        self.members: list[tuple[int, int]] = []
        begun: list[int] = []
        for at, token in enumerate(self.tokens):
            if token in (b"{", b"["):
                begun.append(at)
            elif token in (b"}", b"]") and begun:
                self.spans.append((begun.pop(), at + 1))
            elif token not in (b":", b","):
                self.spans.append((at, at + 1))
        ends = dict(self.spans)
        self.members = [(at - 1, ends[at + 1]) for at, token in enumerate(self.tokens) if token == b":" and at + 1 in ends]
        keys = {start for start, _ in self.members}
        self.spans = [span for span in self.spans if span[0] not in keys]

    def spoilt(self, chance: random.Random) -> bytes:
        """One body."""
        if chance.random() < 0.03:
            return noise(chance)
        tokens = self.tokens
        if len(self.spans):
            for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4))):
                tokens = self._changed(tokens, chance)
        content = b"".join(tokens)
        if chance.random() < 0.15:
            content = _torn(content, chance)
        return content

    def _changed(self, tokens: list[bytes], chance: random.Random) -> list[bytes]:
        """One value replaced, taken out, given twice, or put where another was. Places are those of the good body: after a first
        change they may be off, which spoils it the more."""
        low, high = chance.choice(self.spans)
        what = chance.random()
        if what < 0.55:
            return [*tokens[:low], chance.choice(_JUNK), *tokens[high:]]
        if what < 0.7:
            a, b = chance.choice(self.spans)
            return [*tokens[:low], *tokens[a:b], *tokens[high:]]
        if self.members and what < 0.85:
            low, high = chance.choice(self.members)
            if what < 0.77:
                return [*tokens[:high], b",", tokens[low] if low < len(tokens) else b'""', b":", chance.choice(_JUNK), *tokens[high:]]
            comma = tokens[high : high + 1] == [b","]
            return [*tokens[:low], *tokens[high + comma :]]
        if self.members and what < 0.93:
            low, _ = chance.choice(self.members)
            key = chance.choice(
                (b'""', b'"error"', b'"Note"', b'"x"', tokens[chance.choice(self.members)[0] % len(tokens)] if tokens else b'""')
            )
            return [*tokens[:low], key, *tokens[low + 1 :]]
        comma = tokens[high : high + 1] == [b","]
        return [*tokens[:low], *tokens[high + comma :]]


def _torn(content: bytes, chance: random.Random) -> bytes:
    """Cut, or with a byte that does not belong."""
    at = chance.randrange(len(content) + 1)
    if chance.random() < 0.4:
        return content[:at]
    return content[:at] + chance.choice(_BYTES) + content[at + chance.randrange(2) :]


def noise(chance: random.Random) -> bytes:
    """Bytes of any kind, or JSON of any kind."""
    if chance.random() < 0.3:
        return chance.randbytes(chance.randrange(60))
    return b"".join(
        chance.choice((*_JUNK[:60], b"{", b"}", b"[", b"]", b",", b":", b'"c":', b'"t":[', b" ")) for _ in range(chance.randrange(12))
    )
