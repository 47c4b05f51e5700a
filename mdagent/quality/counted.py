"""Numbers of things in words."""

from __future__ import annotations


def many(count: float, noun: str = "bar") -> str:
    """So many of them, one or several: "1 bar", "5 bars"."""
    return f"{int(count)} {noun}" if count == 1 else f"{int(count)} {noun}s"
