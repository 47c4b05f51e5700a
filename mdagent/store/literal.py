"""Values as SQL text, and times as DuckDB holds them."""

from __future__ import annotations

from datetime import UTC, date, datetime

Literal = str | int | float | date | datetime | None


def literal(word: Literal) -> str:
    """A value as SQL text. A text keeps every character: only its quotes are doubled."""
    if isinstance(word, datetime):
        return f"TIMESTAMP '{word.isoformat(sep=' ')}'"
    if isinstance(word, date):
        return f"DATE '{word}'"
    if word is None:
        return "NULL"
    if isinstance(word, float):
        return f"'{word!r}'::DOUBLE"  # without quotes it would be a DECIMAL first, and lose its last digit
    if isinstance(word, int):
        return str(word)
    return "'" + word.replace("\0", "").replace("'", "''") + "'"


def naive(instant: datetime) -> datetime:
    """The UTC time without its zone, as DuckDB's TIMESTAMP columns hold it."""
    return instant.astimezone(UTC).replace(tzinfo=None)


def aware(stored: datetime) -> datetime:
    """A stored TIMESTAMP as an aware UTC instant."""
    return stored.replace(tzinfo=UTC)
