"""Text from outside is one bounded line, without control or direction characters."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdagent.untrusted import one_line, without


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("two\r\nlines", "two lines"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("\x1b]8;;http://evil\x07link", "]8;;http://evil link"),
        ("a\u202eb\u2066c\u200bd\ufeffe", "a b c d e"),
        ("tab\there", "tab here"),
        ("null\x00byte", "null byte"),
        ("\x9b31m", "31m"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
        ("  spaced  ", "spaced"),
        ("naïve Ørsted 東京", "naïve Ørsted 東京"),
    ],
)
def test_text_is_shown_on_one_line(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_long_text_is_cut_and_says_so() -> None:
    assert one_line("x" * 500, 10) == "x" * 9 + "…"
    assert one_line("x" * 10, 10) == "x" * 10
    assert len(one_line("é" * 10_000_000)) == 300


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_no_text_breaks_a_line_or_passes_its_limit(text: str, limit: int) -> None:
    shown = one_line(text, limit)
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(c) == "Cc" or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" for c in shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("the key CANARY-7f3a is refused", "the key *** is refused"),
        ("CANARY-7f3a and CANARY-7f3a", "*** and ***"),
        ("cut in the middle: CANARY-7…", "cut in the middle: ***…"),
        ("cut in the middle: CANA", "cut in the middle: ***"),
        ("ends in C", "ends in C"),
        ("nothing of it", "nothing of it"),
    ],
)
def test_a_secret_is_blanked_also_where_the_text_was_cut_in_the_middle_of_it(text: str, shown: str) -> None:
    assert without(text, ["CANARY-7f3a"]) == shown
