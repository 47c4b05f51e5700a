"""The scale: scores from 0 to 100 as twelve letters."""

from __future__ import annotations

LETTERS = (
    ("A+", 97.0),
    ("A", 93.0),
    ("A-", 90.0),
    ("B+", 87.0),
    ("B", 83.0),
    ("B-", 80.0),
    ("C+", 77.0),
    ("C", 73.0),
    ("C-", 70.0),
    ("D+", 67.0),
    ("D", 60.0),
    ("F", 0.0),
)


def letter(score: float) -> str:
    """One of the twelve letters, A+ to F."""
    return next((name for name, least in LETTERS if score >= least), "F")


def letter_named(text: str) -> str:
    """The letter that `text` names, whatever its case; a bare A, B, C or D is that letter itself. Raises UsageError."""
    from mdagent.errors import UsageError

    word = text.strip().upper()
    if word not in dict(LETTERS):
        msg = f"{text[:20]!a} is not a grade"
        raise UsageError(msg, f"use one of {', '.join(name for name, _ in LETTERS)}")
    return word


def band(score: float) -> str:
    """The letter without its sign: A, B, C, D or F."""
    return letter(score)[0]
