"""What the commands about sources load: those that read the ledger alone need no library besides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.test_startup import loaded

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    "words",
    ["status --csv", "status --json", "limits --csv", "log --json", "costs --csv", "explain yahoo --csv", "disable yahoo", "open yahoo"],
)
def test_a_command_of_the_ledger_needs_no_library(tmp_path: Path, words: str) -> None:
    assert loaded(tmp_path, "sources", *words.split()) == {"sqlite3"}


@pytest.mark.parametrize("words", ["list --csv", "--help", "status --help", "rank --help"])
def test_facts_and_help_need_none_at_all(tmp_path: Path, words: str) -> None:
    assert loaded(tmp_path, "sources", *words.split()) == set()


@pytest.mark.parametrize("words", ["rank AAPL --csv", "reputation --csv"])
def test_what_ranks_needs_no_store_and_no_network(tmp_path: Path, words: str) -> None:
    assert not loaded(tmp_path, "sources", *words.split()) & {"duckdb", "httpx", "numpy", "pandas", "exchange_calendars"}
