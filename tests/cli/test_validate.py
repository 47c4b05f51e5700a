"""`mdagent validate --file`: what is wrong with a file of bars, and how good it is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.cli.drawn import HEADER, META, judge, put, sessions, text, types, walk
from tests.cli.shell import Shell, strict

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ["schema_version", "symbol", "interval", "source", "bars", "expected", "mode", "grade", "findings", "checks"]


@pytest.fixture
def shell(almanac: Shell) -> Shell:
    return almanac


# ---- what is told


def test_a_good_file_is_told_whole(shell: Shell) -> None:
    told = judge(shell, text(walk()))
    assert list(told)[: len(KEYS)] == KEYS
    assert (told["symbol"], told["interval"], told["source"], told["mode"]) == ("ACME", "1d", "acme", "balanced")
    assert told["bars"] == told["expected"] == len(sessions())
    assert told["findings"] == []
    assert (told["grade"]["letter"], told["grade"]["band"], told["grade"]["score"]) == ("A", "A", 96)
    assert {"letter", "band", "score", "dimensions", "penalties", "actions"} <= told["grade"].keys()
    assert {"check": "others", "reason": "no other source to compare with"} in told["checks"]["skipped"]
    assert "ohlc" in told["checks"]["ran"]


def test_a_finding_is_told_once_for_each_run_of_bars(shell: Shell) -> None:
    bars = walk()
    for n in (20, 21, 60):
        bars[n] = replace(bars[n], high=bars[n].low, low=bars[n].high)
    found = [f for f in judge(shell, text(bars))["findings"] if f["type"] == "high_low_swapped"]
    days = [d.isoformat() for d in sessions()]
    assert [(f["start"], f["end"], f["count"], f["total"]) for f in found] == [(days[20], days[21], 2, 3), (days[60], days[60], 1, 3)]
    assert {f["severity"] for f in found} == {"medium"}
    assert {"check", "type", "severity", "start", "end", "count", "value", "expected", "message"} <= found[0].keys()


def test_missing_days_are_told_with_how_many_they_are(shell: Shell) -> None:
    days = sessions()
    bars = [b for b in walk() if b.day not in days[40:42]]
    told = judge(shell, text(bars))
    gap = next(f for f in told["findings"] if f["type"] == "missing_rows")
    assert (gap["start"], gap["count"]) == (days[40].isoformat(), 2)
    assert told["grade"]["band"] == "C"
    assert told["grade"]["actions"]


def test_what_is_about_the_set_as_a_whole_has_no_stamp(shell: Shell) -> None:
    bars = walk()
    told = judge(shell, text([*bars[:50], bars[51], bars[50], *bars[52:]]))
    found = next(f for f in told["findings"] if f["type"] == "unsorted_rows")
    assert (found["start"], found["end"]) == (None, None)
    assert told["grade"]["band"] == "B"


def test_intraday_stamps_are_instants(shell: Shell) -> None:
    rows = [f"2023-03-0{d}T{14 + n}:30:00Z,10,10.{n}1,9.9,10.0{n},{1000 + n}" for d in (1, 2, 3) for n in range(7)]
    rows[9] = rows[9].replace(",9.9,", ",19.9,")
    told = judge(shell, "\n".join([HEADER, *rows]), meta={"interval": "1h", "requested_start": "2023-03-01", "requested_end": "2023-03-03"})
    assert told["expected"] == 21
    assert "2023-03-02T16:30:00Z" in {f["start"] for f in told["findings"]}


def test_no_number_is_infinite_or_none_at_all(shell: Shell) -> None:
    bars = walk()
    bars[30] = replace(bars[30], close=float("inf"), high=float("nan"))
    bars[31] = replace(bars[31], close=1e300)
    assert judge(shell, text(bars))["quarantined"] == 2  # strict JSON, or it would not have been read


# ---- what is not known


def test_without_meta_what_is_not_known_is_said(shell: Shell) -> None:
    put(shell.cwd / "prices.csv", text(walk()))
    told = shell.good("validate", "--file", "prices.csv", "--json").json
    assert told["symbol"] == ""
    assert {"gaps", "non_session", "dividends", "others"} <= {s["check"] for s in told["checks"]["skipped"]}
    notes = " ".join(told["notes"])
    assert "symbol" in notes
    assert "range" in notes
    assert "1d" in notes
    assert all(a["command"] == "" for a in told["grade"]["actions"])


def test_a_symbol_on_the_command_line_brings_its_calendar(shell: Shell) -> None:
    days = sessions()
    put(shell.cwd / "x.csv", text(b for b in walk() if b.day not in days[30:32]))
    told = shell.good("validate", "aapl", "--file", "x.csv", "--interval", "1d", "--json").json
    assert (told["symbol"], told["expected"]) == ("AAPL", len(days))
    assert types(told) == {"missing_rows"}


def test_a_window_on_the_command_line_is_what_was_asked_for(shell: Shell) -> None:
    put(shell.cwd / "AAPL.csv", text(walk()))
    told = shell.good("validate", "--file", "AAPL.csv", "--start", "2022-10-03", "--end", "2023-07-01", "--json").json
    assert "truncated_history" in types(told)
    told = shell.good("validate", "--file", "AAPL.csv", "--start", "2023-03-01", "--end", "2023-04-01", "--json").json
    assert (told["bars"], told["expected"]) == (23, 23)


def test_rows_after_the_day_of_asking_are_told(shell: Shell) -> None:
    told = judge(shell, text(walk()), meta={"asof": "2023-06-01", "requested_end": "2023-05-31"})
    assert "future_timestamp" in types(told)


def test_a_split_that_is_listed_and_not_taken_out_is_told(shell: Shell) -> None:
    day = sessions()[60].isoformat()
    bars = [
        replace(b, open=b.open / 4, high=b.high / 4, low=b.low / 4, close=b.close / 4) if b.day.isoformat() >= day else b for b in walk()
    ]
    actions = [{"date": day, "type": "split", "ratio": 4.0}]
    told = judge(shell, text(bars), meta={"actions": actions})
    assert ("unadjusted_split", day) in {(f["type"], f["start"]) for f in told["findings"]}
    assert judge(shell, text(bars), meta={"actions": actions, "adjustment": "raw"})["grade"]["band"] == "A"


# ---- other sources


def test_other_sources_are_heard(shell: Shell) -> None:
    bars = walk()
    others = [put(shell.cwd / f"{name}.csv", text(bars)) for name in ("b", "c")]
    against = [word for path in others for word in ("--against", path)]
    told = judge(shell, text(bars), *against)
    assert told["confirmed_by"] == ["b", "c"]
    assert (told["grade"]["letter"], told["grade"]["score"]) == ("A+", 100)
    bars[50] = replace(bars[50], close=bars[50].close * 1.06, high=bars[50].close * 1.06)
    told = judge(shell, text(bars), *against)
    assert ("bad_tick", bars[50].day.isoformat()) in {(f["type"], f["start"]) for f in told["findings"]}


def test_two_sources_of_one_name_are_two_voices(shell: Shell) -> None:
    others = [put(shell.cwd / folder / "acme.csv", text(walk())) for folder in ("b", "c")]
    assert len(judge(shell, text(walk()), "--against", others[0], "--against", others[1])["confirmed_by"]) == 2


def test_another_basis_is_left_out_and_said(shell: Shell, stocked: Shell) -> None:
    for basis in ("splits", "raw"):
        rows = [",".join([*bar.cells, basis]) for bar in walk()]
        put(stocked.cwd / f"{basis}.csv", "\n".join([f"{HEADER},adjustment", *rows]))
    told = stocked.good("validate", "--file", "splits.csv", "--against", "raw.csv", "--json").json
    assert told["confirmed_by"] == []
    assert "raw.csv is left out: it has raw prices, these are splits" in told["notes"]


def test_cross_source_without_another_source_says_who_is_missing(shell: Shell) -> None:
    put(shell.cwd / "a.csv", text(walk()))
    said = shell.run("validate", "--file", "a.csv", "--mode", "cross-source", "--json")
    assert said.code == 4
    assert "the mode cross-source needs 2 sources" in said.err
    assert "--against FILE" in said.err
    put(shell.cwd / "b.csv", text(walk()))
    assert (
        shell.good("validate", "--file", "a.csv", "--against", "b.csv", "--mode", "cross-source", "--json").json["mode"] == "cross-source"
    )


# ---- modes, grades, exit codes


def test_below_the_grade_asked_for_is_exit_6(shell: Shell) -> None:
    bars = walk()
    assert judge(shell, text(bars), "--min-grade", "A")["grade"]["letter"] == "A"
    bars[50] = replace(bars[50], high=bars[50].low, low=bars[50].high)
    assert judge(shell, text(bars))["grade"]["band"] == "C"
    assert judge(shell, text(bars), "--min-grade", "c-")["grade"]["band"] == "C"
    judge(shell, text(bars), "--min-grade", "B", code=6)
    judge(shell, text(bars), "--mode", "strict", code=6)
    judge(shell, text(bars), "--mode", "strict", "--min-grade", "D")


def test_emergency_looks_for_no_anomalies_and_says_so(shell: Shell) -> None:
    told = judge(shell, text(walk()), "--mode", "emergency")
    assert told["mode"] == "emergency"
    assert {"ticks", "levels", "others"} <= {s["check"] for s in told["checks"]["skipped"]}


# ---- many files, and ways to tell


def test_a_folder_is_judged_file_by_file_with_the_meta_beside_each(shell: Shell) -> None:
    for name in ("one", "two"):
        sources = [{"name": "prov_a", "file": "a.csv"}, {"name": "prov_b", "file": "b.csv"}]
        put(shell.cwd / "cases" / name / "case.json", json.dumps(META | {"symbol": name.upper(), "sources": sources}))
        for file in ("a", "b"):
            put(shell.cwd / "cases" / name / f"{file}.csv", text(walk()))
    put(shell.cwd / "cases" / "three" / "empty.csv", "")
    said = shell.run("validate", "--file", "cases", "--json")
    told = [strict(line) for line in said.out.splitlines()]
    assert [(t["symbol"], t["source"], t["confirmed_by"]) for t in told] == [
        ("ONE", "prov_a", ["prov_b"]), ("ONE", "prov_b", ["prov_a"]), ("TWO", "prov_a", ["prov_b"]), ("TWO", "prov_b", ["prov_a"]),
    ]  # fmt: skip
    assert said.code == 12
    assert "empty.csv" in said.err


def test_of_several_files_the_worst_makes_the_exit_code(shell: Shell) -> None:
    put(shell.cwd / "AAPL.csv", text(walk()))
    bars = walk()
    put(shell.cwd / "MSFT.csv", text([*bars[:30], *bars[45:]]))
    both = ("--file", "AAPL.csv", "--file", "MSFT.csv", "--min-grade", "A", "--json")
    said = shell.run("validate", *both)
    assert said.code == 6
    assert len(said.out.splitlines()) == 2
    assert "MSFT (MSFT): grade" in said.err
    assert shell.run("validate", *both, "--file", "gone.csv").code == 2


def test_in_a_pipe_a_line_is_a_run_of_bars(shell: Shell) -> None:
    bars = walk()
    for n in (20, 60):
        bars[n] = replace(bars[n], high=bars[n].low, low=bars[n].high)
    put(shell.cwd / "AAPL.csv", text(bars))
    said = shell.good("validate", "--file", "AAPL.csv")
    assert [(r["symbol"], r["grade"], r["type"], r["start"]) for r in said.rows] == [
        ("AAPL", "C", "high_low_swapped", bars[n].day.isoformat()) for n in (20, 60)
    ]
    assert "AAPL 1d, AAPL, splits: grade C" in said.err
    assert shell.good("-q", "validate", "--file", "AAPL.csv").err == ""


def test_on_a_terminal_a_page_tells_all(shell: Shell) -> None:
    bars = walk()
    for n in (20, 30, 40, 50, 60):
        bars[n] = replace(bars[n], high=bars[n].low, low=bars[n].high)
    put(shell.cwd / "AAPL.csv", text(bars))
    page = shell.good("validate", "--file", "AAPL.csv", "--format", "table").out
    assert page.startswith("AAPL 1d, AAPL, splits: grade ")
    for word in ("consistency", "high_low_swapped", "and 2 more", "not checked: others", "to do (+", "nothing tells the range"):
        assert word in page, word
    said = Shell(shell.cwd, shell.environ, screens=(True, True)).good("validate", "--file", "AAPL.csv")
    assert said.out.splitlines()[0] == page.splitlines()[0]
    assert said.err == ""


def test_a_file_is_judged_without_store_or_ledger(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    put(tmp_path / "AAPL.csv", text(walk()))
    shell.good("validate", "--file", "AAPL.csv", "--json")
    assert {f.rpartition("/")[0] for f in shell.files()} == {"", "home/sandbox/calendars"}


def test_a_calendar_is_built_once_and_again_when_its_closures_change(tmp_path: Path) -> None:
    shell, folder = Shell(tmp_path), tmp_path / "home" / "sandbox" / "calendars"
    put(tmp_path / "AAPL.csv", text(walk()))
    first = shell.good("validate", "--file", "AAPL.csv", "--json").json
    (kept,) = folder.iterdir()
    inode = kept.stat().st_ino
    assert shell.good("validate", "--file", "AAPL.csv", "--json").json == first
    assert [p.stat().st_ino for p in folder.iterdir()] == [inode]
    kept.write_bytes(b"not a calendar")
    assert shell.good("validate", "--file", "AAPL.csv", "--json").json == first
    put(tmp_path / "mdagent.yaml", "sessions: {closures: {XNYS: [2023-03-01]}}\n")
    (tmp_path / "mdagent.yaml").chmod(0o600)
    told = shell.good("validate", "--file", "AAPL.csv", "--json").json
    assert types(told) == {"non_trading_day_bar"}
    (anew,) = folder.iterdir()
    assert anew.name != kept.name


def test_a_home_that_cannot_be_written_is_no_hindrance(tmp_path: Path) -> None:
    put(tmp_path / "AAPL.csv", text(walk()))
    put(tmp_path / "home", "a file where a folder should be")
    assert Shell(tmp_path).good("validate", "--file", "AAPL.csv", "--json").json["expected"] == len(sessions())
