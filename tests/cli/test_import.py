"""`mdagent import`: files of bars as sources of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.drawn import HEADER, META, Bar, put, sessions, text, walk
from tests.cli.shell import JANUARY, Said, Shell, strict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PRICES = ("open", "high", "low", "close", "volume")
AS_ACME = ("--symbol", "ACME", "--currency", "USD", "--interval", "1d", "--adjust", "splits")
TABLES = ("bars", "revisions", "quarantine", "findings", "grades", "coverage", "journal", "actions")


def taken(shell: Shell, *words: str, code: int = 0) -> list[Any]:
    """An import, and what it says of each series."""
    said = shell.run("import", *words, "--json")
    assert said.code == code, said.err
    return [strict(line) for line in said.out.splitlines()]


def all_rows(shell: Shell) -> dict[str, str]:
    return {name: shell.good("query", f"SELECT * FROM {name} ORDER BY ALL", "--csv").out for name in TABLES}


def named(bars: Iterable[Bar], symbol: str) -> str:
    return "".join(f"{symbol},{','.join(bar.cells)}\n" for bar in bars)


def exported(shell: Shell, *words: str) -> list[list[str]]:
    return [[row["ts"], *(row[name] for name in PRICES)] for row in shell.good("export", *words).rows]


def told_by(said: Said, source: str) -> int:
    return sum(row["source"] == source for row in said.rows)


def test_what_is_imported_comes_out_again_under_the_name_of_the_file(shell: Shell) -> None:
    bars = walk()
    [told] = taken(shell, put(shell.cwd / "acme.csv", text(bars)), *AS_ACME)
    assert (told["symbol"], told["source"], told["bars"], told["inserted"], told["grade"]) == ("ACME", "file:acme", 124, 124, "A")
    assert exported(shell, "ACME", "--source", "file:acme") == [
        [b.day.isoformat(), *(repr(p).removesuffix(".0") for p in (b.open, b.high, b.low, b.close)), str(b.volume)] for b in bars
    ]
    assert exported(shell, "ACME") == exported(shell, "ACME", "--source", "file:acme")
    row = shell.good("query", "SELECT DISTINCT source, currency, provisional FROM consolidated").rows
    assert row == [{"source": "file:acme", "currency": "USD", "provisional": "false"}]


def test_of_bars_as_good_as_a_providers_the_providers_are_served(shell: Shell) -> None:
    shell.good("fetch", "AAPL", *JANUARY, "--source", "yahoo")
    shell.good("export", "AAPL", "-o", "copy.csv")
    told = shell.good("fetch", "AAPL", *JANUARY).rows
    taken(shell, str(shell.cwd / "copy.csv"), "--symbol", "AAPL", "--source", "acme")
    assert {row["source"] for row in shell.good("query", "SELECT DISTINCT source FROM bars").rows} == {"file:acme", "yahoo"}
    for words in (("fetch", "AAPL", *JANUARY), ("export", "AAPL")):
        assert shell.good(*words).rows == told
    assert "of equals a provider comes before a file" in shell.good("explain", "AAPL", told[3]["ts"]).out
    assert {row["source"] for row in shell.good("query", "SELECT DISTINCT source FROM consolidated").rows} == {"yahoo"}


def test_the_same_file_again_changes_nothing(shell: Shell) -> None:
    file = put(shell.cwd / "acme.csv", text(walk()))
    taken(shell, file, *AS_ACME)
    before = all_rows(shell)
    shell.clock.pause(86400)
    [told] = taken(shell, file, *AS_ACME)
    assert (told["unchanged"], told["inserted"], told["revised"]) == (True, 0, 0)
    assert all_rows(shell) == before
    assert "the store has them already" in shell.good("import", file, *AS_ACME).err


def test_a_corrected_file_revises_and_a_longer_one_adds(shell: Shell) -> None:
    bars = walk()
    file = shell.cwd / "acme.csv"
    taken(shell, put(file, text(bars[:100])), *AS_ACME)
    corrected = text(bars).replace(bars[7].cells[4], f"{bars[7].close + 0.01:.2f}", 1)
    [told] = taken(shell, put(file, corrected), *AS_ACME)
    assert (told["inserted"], told["revised"], told["unchanged"]) == (24, 1, False)
    assert len(shell.good("query", "SELECT * FROM revisions").rows) == 1


def test_a_file_with_too_many_bad_rows_stores_nothing(shell: Shell) -> None:
    rows = text(walk()).splitlines()
    broken = "\n".join([rows[0], *(row if n % 2 else row.replace(".", "x") for n, row in enumerate(rows[1:]))])
    said = shell.run("import", put(shell.cwd / "acme.csv", broken), *AS_ACME)
    assert said.code == 6
    assert "62 of 124 rows of ACME cannot be right" in said.err
    assert "nothing of the file was stored" in said.err
    assert not (shell.home / "bars.duckdb").exists()


def test_of_two_symbols_in_a_file_one_that_is_refused_keeps_the_other_out(shell: Shell) -> None:
    good, bad = named(walk(), "GOOD"), named(walk(), "BAD").replace(".", "x")
    [_, _] = taken(shell, put(shell.cwd / "both.csv", f"symbol,{HEADER}\n{good}{bad}"), "--currency", "USD", code=6)
    assert not (shell.home / "bars.duckdb").exists()


def test_some_bad_rows_are_quarantined(shell: Shell) -> None:
    rows = text(walk()).splitlines()
    rows[30] = rows[30].replace(rows[30].split(",")[4], "-1")
    [told] = taken(shell, put(shell.cwd / "acme.csv", "\n".join(rows)), *AS_ACME)
    assert (told["bars"], told["quarantined"]) == (123, 1)
    quarantined = shell.good("query", "SELECT source, ts, check_name FROM quarantine").rows
    assert [(r["source"], r["ts"][:10]) for r in quarantined] == [("file:acme", sessions()[29].isoformat())]
    assert shell.good("query", "SELECT count(*) n FROM findings WHERE source = 'file:acme'").rows[0]["n"] != "0"


def test_a_symbol_that_nothing_tells_must_be_given(shell: Shell) -> None:
    file = put(shell.cwd / "prices of my broker.csv", text(walk()))
    said = shell.run("import", file)
    assert (said.code, "nothing tells the symbol" in said.err, "--symbol AAPL" in said.err) == (2, True, True)
    [told] = taken(shell, file, "--symbol", "acme")
    assert (told["symbol"], told["source"]) == ("ACME", "file:prices-of-my-broker")


def test_a_file_of_many_symbols_is_one_transaction(shell: Shell) -> None:
    rows = named(walk(), "ACME") + named(walk(seed=8), "BETA")
    told = taken(shell, put(shell.cwd / "all.csv", f"symbol,{HEADER}\n{rows}"), "--currency", "USD", "--source", "vendor")
    assert [(t["symbol"], t["source"], t["inserted"]) for t in told] == [("ACME", "file:vendor", 124), ("BETA", "file:vendor", 124)]
    assert len(shell.good("query", "SELECT DISTINCT kept_at FROM journal").rows) == 1
    one = taken(shell, str(shell.cwd / "all.csv"), "--symbol", "BETA", "--source", "vendor", "--currency", "USD")
    assert [(t["symbol"], t["unchanged"]) for t in one] == [("BETA", True)]
    put(shell.cwd / "all.csv", f"symbol,{HEADER}\n{rows},2023-06-30,1,1,1,1,1\n")
    assert "1 of its 249 rows name no symbol" in shell.run("import", "all.csv").err


def test_a_folder_imports_every_file_in_it(shell: Shell) -> None:
    put(shell.cwd / "in" / "ACME.csv", text(walk()))
    put(shell.cwd / "in" / "more" / "BETA.csv", text(walk(seed=8)))
    put(shell.cwd / "in" / "notes.md", "no bars")
    told = taken(shell, "in", "--currency", "USD", "--source", "vendor")
    assert [(t["symbol"], t["source"]) for t in told] == [("ACME", "file:vendor"), ("BETA", "file:vendor")]
    put(shell.cwd / "in" / "empty.csv", "")
    said = shell.run("import", "in", "--currency", "USD", "--source", "vendor")
    assert (said.code, "empty.csv is empty" in said.err) == (5, True)
    (shell.cwd / "none").mkdir()
    assert shell.run("import", "none").code == 12


def test_a_parquet_export_of_the_store_comes_in_as_another_source(stocked: Shell) -> None:
    stocked.good("export", "-o", "all.parquet")
    told = taken(stocked, "all.parquet")
    assert [(t["symbol"], t["source"], t["currency"], t["bars"]) for t in told] == [
        ("AAPL", "file:all", "USD", 21),
        ("MSFT", "file:all", "USD", 21),
    ]
    assert exported(stocked, "--source", "file:all") == exported(stocked, "--source", "yahoo")


def test_imported_bars_stand_beside_the_providers(stocked: Shell) -> None:
    stocked.good("export", "AAPL", "-o", "mine.csv")
    text = (stocked.cwd / "mine.csv").read_text("utf-8").splitlines()
    cells = text[5].split(",")
    cells[6] = repr(float(cells[6]) - 0.02)
    put(stocked.cwd / "mine.csv", "\n".join([*text[:5], ",".join(cells), *text[6:], ""]))
    taken(stocked, "mine.csv")
    assert "of 2 sources compared" in stocked.good("compare", "AAPL", *JANUARY, "--stored").err
    both = stocked.good("compare", "AAPL", *JANUARY, "--source", "yahoo", "--source", "file:mine")
    assert {"yahoo", "file:mine"} <= set(both.rows[0])
    judged = [strict(line) for line in stocked.good("validate", "AAPL", "--json").out.splitlines()]
    assert {one["source"]: one["confirmed_by"] for one in judged} == {"yahoo": ["file:mine"], "file:mine": ["yahoo"]}
    [alone] = [strict(line) for line in stocked.good("validate", "AAPL", "--source", "file:mine", "--json").out.splitlines()]
    assert alone["source"] == "file:mine"
    assert {one["source"] for one in stocked.good("explain", "AAPL", "2024-01-03", "--json").json["told"]} == {"yahoo", "file:mine"}
    assert {row["source"] for row in stocked.good("grade", "--by", "source").rows} == {"yahoo", "file:mine"}


def test_a_fetch_serves_imported_bars_and_asks_nobody_for_them(stocked: Shell) -> None:
    stocked.good("export", "AAPL", "-o", "all.csv")
    rows = (stocked.cwd / "all.csv").read_text("utf-8")
    put(stocked.cwd / "old.csv", rows.splitlines()[0] + "\n" + "AAPL,1d,2024-01-02,1,1,1,1,1,x,splits,USD,A,96,false\n")
    taken(stocked, "old.csv")
    sent = stocked.good("sources", "status", "--csv").rows[0]["sent_1h"]
    fetched = stocked.good("fetch", "AAPL", *JANUARY)
    assert told_by(fetched, "yahoo") + told_by(fetched, "file:old") == 21
    assert stocked.good("sources", "status", "--csv").rows[0]["sent_1h"] == sent
    assert told_by(stocked.good("fetch", "AAPL", *JANUARY, "--source", "yahoo"), "file:old") == 0
    for command in ("fetch", "plan"):
        said = stocked.run(command, "AAPL", "--source", "file:old")
        assert (said.code, "mdagent export --source file:old" in said.err) == (2, True)


def test_bars_of_a_file_alone_do_not_keep_a_provider_from_being_asked(shell: Shell) -> None:
    put(shell.cwd / "AAPL.csv", f"{HEADER}\n2024-01-02,213,218,213,216,1000\n")
    taken(shell, "AAPL.csv", "--currency", "USD")
    _, report = shell.fetch("AAPL", *JANUARY)
    assert (report["symbols"][0]["source"], report["symbols"][0]["requests"]) == ("yahoo", 1)


def test_the_meta_tells_what_the_rows_do_not(shell: Shell) -> None:
    actions = [{"type": "split", "date": "2023-03-01", "ratio": 2.0}, {"type": "dividend", "date": "2023-05-02", "amount": 0.5}]
    put(shell.cwd / "case.json", json.dumps(META | {"adjustment": "raw", "actions": actions}))
    [told] = taken(shell, put(shell.cwd / "bars.csv", text(walk())))
    assert (told["symbol"], told["adjustment"], told["currency"], told["end"]) == ("ACME", "raw", "USD", "2023-07-01T00:00:00Z")
    raw = shell.good("export", "ACME", "--adjust", "raw").rows
    halved = shell.good("export", "ACME", "--adjust", "splits").rows
    assert float(halved[0]["close"]) == pytest.approx(float(raw[0]["close"]) / 2)
    assert shell.good("export", "ACME", "--adjust", "all").rows[0]["close"] < halved[0]["close"]


def test_a_dry_run_judges_and_stores_nothing(shell: Shell) -> None:
    file = put(shell.cwd / "acme.csv", text(walk()))
    [told] = taken(shell, file, *AS_ACME, "--dry-run")
    assert (told["grade"], told["stored"], told["bars"]) == ("A", False, 124)
    assert "nothing was stored (--dry-run)" in shell.good("import", file, *AS_ACME, "--dry-run").err
    assert not (shell.home / "bars.duckdb").exists()


BAD_WORDS = {
    "source": (("--source", "a b"), "'a b' cannot be the name of a source"),
    "repaired": (("--source", "x~repaired"), "cannot be the name of a source"),
    "currency": (("--currency", "dollars"), "'dollars' is not a currency"),
    "adjust": (("--adjust", "most"), "most"),
    "interval": (("--interval", "2d"), "2d"),
    "symbol": (("--symbol", "a b"), "is not a symbol"),
    "mode": (("--mode", "nice"), "nice"),
}


@pytest.mark.parametrize("name", BAD_WORDS)
def test_a_wrong_word_is_told(shell: Shell, name: str) -> None:
    words, told = BAD_WORDS[name]
    said = shell.run("import", put(shell.cwd / "ACME.csv", text(walk())), *words)
    assert (said.code, told in said.err) == (2, True), said.err


def test_another_currency_under_the_same_name_is_refused(shell: Shell) -> None:
    file = put(shell.cwd / "ACME.csv", text(walk()))
    taken(shell, file, *AS_ACME)
    said = shell.run("import", file, "--currency", "EUR")
    assert (said.code, "file:ACME has ACME in USD; here it is in EUR" in said.err) == (2, True)
    [told] = taken(shell, file, "--currency", "EUR", "--source", "euro")
    assert told["source"] == "file:euro"


def test_below_the_lowest_grade_of_its_mode_it_is_stored_and_told(shell: Shell) -> None:
    few = text(walk()[::3])
    [told] = taken(shell, put(shell.cwd / "ACME.csv", few), *AS_ACME, "--mode", "strict", code=6)
    assert told["stored"] is True


def test_a_store_that_is_kept_for_reading_alone_is_told(shell: Shell, tmp_path: Path) -> None:
    file = put(shell.cwd / "ACME.csv", text(walk()))
    (tmp_path / "taken").write_text("x")
    assert shell.run("import", file, "--store", str(tmp_path / "taken" / "bars.duckdb")).code == 3
