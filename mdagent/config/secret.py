"""A secret: text that never prints."""

from __future__ import annotations

from typing import NoReturn

from mdagent.errors import ConfigError

MASK = "***"
_LONGEST = 4096


class Secret:
    """A key or password. Every way of printing it gives `***`; only `reveal()` gives the text.

    White space around the text is dropped. Raises ConfigError, which never holds the text, if it is empty, longer
    than 4096 characters, a mask copied from the output of mdagent, or not printable ASCII (it must fit a header).
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        text = text.strip()
        if why := _wrong(text):
            msg = f"the secret {why}"
            raise ConfigError(msg, "copy the key again, on one line")
        self._text = text

    def reveal(self) -> str:
        """The text itself: for the header or query of a request, and nothing else."""
        return self._text

    def spellings(self) -> tuple[str, ...]:
        """The text as an answer or an URL may repeat it, longest first: each is to be blanked in whatever is shown."""
        from base64 import b64encode
        from urllib.parse import quote, quote_plus

        coded = b64encode(self._text.encode()).decode().rstrip("=")
        found = {self._text, quote(self._text), quote(self._text, safe=""), quote_plus(self._text), coded}
        return tuple(sorted(found, key=len, reverse=True))

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change when the secret does, and do not lead back to it."""
        return fingerprint_of(self._text)

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        msg = "a Secret is never pickled"
        raise TypeError(msg)


def fingerprint_of(text: str) -> str:
    """Eight hexadecimal digits for a text that may not be shown."""
    import hashlib

    return hashlib.sha256(b"mdagent secret " + text.encode()).hexdigest()[:8]


def _wrong(text: str) -> str:
    if not text:
        return "is empty"
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST} characters"
    if text.startswith(MASK):
        return f"begins with {MASK}: that is a mask, not a key"
    for index, char in enumerate(text):
        if not " " <= char <= "~":
            return f"holds a line break, control character or non-ASCII character at position {index + 1}"
    return ""
