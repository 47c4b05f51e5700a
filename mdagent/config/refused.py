"""A refusal: why a value cannot be that of a setting, before the file and the path are known."""

from __future__ import annotations

from typing import Final

UNSAID: Final = object()


class Refused(ValueError):
    """`words` ends "must be ..."; `at` is the place inside the value, such as `[0].limit`, and `value` what stands there; `item` is the
    place in a list of what is shown as it was written."""

    def __init__(  # noqa: PLR0913  where it is, and what helps
        self, words: str, *, at: str = "", value: object = UNSAID, hint: str = "", unknown: bool = False, item: int | None = None
    ) -> None:
        super().__init__(words)
        self.words = words
        self.at = at if item is None else f"[{item}]"
        self.item = item
        self.value = value
        self.hint = hint
        self.unknown = unknown
