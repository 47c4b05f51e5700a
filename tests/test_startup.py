"""Start-up is a feature: what a command does not need is not loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROBE = """
import json, os, sys
code = 0
try:
    from mdagent.cli import run
    run()
except SystemExit as end:
    code = end.code
finally:
    sys.stdout.flush()
    with open(os.environ["PROBE_FILE"], "w") as out:
        json.dump({"code": code, "modules": sorted(sys.modules)}, out)
"""
HEAVY = frozenset("numpy pandas scipy duckdb httpx httpcore exchange_calendars yaml asyncio sqlite3 watchdog rich ssl matplotlib".split())
CLOCK = "2024-06-03T12:00:00Z"


def loaded(home: Path, *words: str, clock: str = CLOCK) -> frozenset[str]:
    """The heavy libraries that a command, having done its work, had loaded."""
    file = home / "modules.json"
    quiet = {k: v for k, v in os.environ.items() if not k.startswith(("MDAGENT_", "COVERAGE_"))}  # coverage itself loads sqlite3
    environ = quiet | {"MDAGENT_HOME": str(home), "MDAGENT_SANDBOX": "1", "MDAGENT_CLOCK": clock, "PROBE_FILE": str(file)}
    run = [sys.executable, "-c", PROBE, *words]
    done = subprocess.run(run, cwd=home, env=environ, capture_output=True, text=True, timeout=120, check=False)
    told = json.loads(file.read_text())
    assert told["code"] == 0, done.stderr
    return HEAVY & {name.partition(".")[0] for name in told["modules"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose store has a year of AAPL."""
    folder = tmp_path_factory.mktemp("home")
    assert "duckdb" in loaded(folder, "fetch", "AAPL", "--period", "1y", "--csv")
    return folder


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(tmp_path: Path, word: str) -> None:
    assert loaded(tmp_path, word) == set()


def test_the_help_of_a_command_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded(tmp_path, "fetch", "--help") == set()


@pytest.mark.parametrize("form", ["--csv", "--json"])
def test_a_cached_fetch_loads_duckdb_and_nothing_heavier(home: Path, form: str) -> None:
    assert loaded(home, "fetch", "AAPL", "--period", "1y", form) == {"duckdb"}


def test_export_and_query_load_duckdb_and_nothing_heavier(home: Path) -> None:
    assert loaded(home, "export", "AAPL", "--csv") == {"duckdb"}
    assert loaded(home, "query", "SELECT * FROM bars LIMIT 5", "--csv") == {"duckdb"}


@pytest.mark.parametrize(
    "words", ["grade --csv", "grade --history --json", "grade --by month --csv", "override --list --csv", "diff AAPL --csv"]
)
def test_what_is_known_of_stored_bars_is_told_by_duckdb_alone(home: Path, words: str) -> None:
    assert loaded(home, *words.split()) == {"duckdb"}


def test_a_bar_is_explained_and_decided_about_by_duckdb_alone(home: Path) -> None:
    assert loaded(home, "explain", "AAPL", "2024-05-15", "--json") == {"duckdb"}
    assert loaded(home, "override", "AAPL", "2024-05-15", "--accept", "--reason", "x", "--csv") == {"duckdb"}
    assert loaded(home, "export", "AAPL", "--csv") == {"duckdb"}


def test_the_file_of_bars_is_looked_at_and_copied_by_duckdb_alone(home: Path) -> None:
    for words in ("store stats --csv", "store check --json", "store compact --json", "export -o copied.parquet --force"):
        assert loaded(home, *words.split()) == {"duckdb"}


def test_a_repair_judges_and_draws_nothing(home: Path) -> None:
    assert loaded(home, "repair", "AAPL", "--csv") == {"duckdb", "numpy"}


def test_what_is_missing_is_told_by_the_store_the_ledger_and_numpy(home: Path) -> None:
    assert loaded(home, "gaps", "--csv") <= {"duckdb", "numpy", "sqlite3"}


def test_pinned_bars_are_written_as_columns_and_listed_and_verified_by_duckdb_alone(home: Path) -> None:
    assert loaded(home, "freeze", "study", "AAPL", "--csv", clock="2024-06-03T13:00:00Z") == {"duckdb", "numpy", "pandas"}
    assert loaded(home, "freeze", "--list", "--csv") == {"duckdb"}
    assert loaded(home, "freeze", "study", "--verify", "--csv") == {"duckdb"}


def test_the_status_of_the_sources_needs_the_ledger_and_no_library(home: Path) -> None:
    assert loaded(home, "sources", "status", "--csv") == {"sqlite3"}


def test_the_facts_of_the_sources_need_the_ledger_alone(home: Path) -> None:
    assert loaded(home, "sources", "list", "--csv") == {"sqlite3"}


def test_a_backfill_that_finds_nothing_missing_draws_and_judges_nothing(home: Path) -> None:
    told = loaded(home, "backfill", "AAPL", "--start", "2024-01-02", "--end", "2024-05-01", "--progress", "plain")
    assert told & {"pandas", "rich", "matplotlib", "scipy", "exchange_calendars"} == set()


def test_a_settings_file_costs_its_parser(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mdagent.yaml"
    file.write_text("fetch:\n  deadline: 30\n")
    file.chmod(0o600)
    assert loaded(home, "--config", str(file), "fetch", "AAPL", "--period", "1y", "--csv") == {"duckdb", "yaml"}


def test_a_file_is_judged_with_numpy_alone_once_its_calendar_is_kept(tmp_path: Path) -> None:
    rows = [f"2024-01-{day:02},10,11,9,10.{day:02},{day}000" for day in range(2, 13) if day not in (6, 7)]
    (tmp_path / "AAPL.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows]))
    assert "exchange_calendars" in loaded(tmp_path, "validate", "--file", "AAPL.csv", "--json")
    for form in ("--json", "--csv"):
        assert loaded(tmp_path, "validate", "--file", "AAPL.csv", form) == {"numpy"}
    assert loaded(tmp_path, "import", "AAPL.csv", "--currency", "USD", "--json") == {"numpy", "duckdb", "pandas"}  # as any write


def test_the_help_of_a_judgement_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded(tmp_path, "validate", "--help") == set()
