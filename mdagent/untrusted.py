"""Text from outside, made safe to show: one line, no control or direction characters, bounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]+")


def one_line(text: str, limit: int = 300) -> str:
    """`text` with every run of C0, C1, bidi, invisible and half characters as one space, cut at `limit` characters."""
    flat = _UNSAFE.sub(" ", text[: 4 * limit]).strip()
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


_TELLING = 4  # characters of a secret that say something of it


def without(text: str, secrets: Iterable[str]) -> str:
    """`text` with every secret blanked, and with the beginning of one where the text was cut in the middle of it."""
    for secret in secrets:
        text = text.replace(secret, "***")
        body = text.removesuffix("…")
        for length in range(min(len(secret), len(body)), _TELLING - 1, -1):
            if body.endswith(secret[:length]):
                text = body[:-length] + "***" + text[len(body) :]
                break
    return text
