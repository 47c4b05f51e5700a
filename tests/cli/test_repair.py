"""`mdagent repair`: proposed corrections with their evidence, applied only when told to, and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.three import HALF, alone, change, lots, spike, swap, tenfold

if TYPE_CHECKING:
    from tests.cli.shell import Said, Shell


def export(shell: Shell, day: str) -> dict[str, str]:
    after = f"{day[:-2]}{int(day[-2:]) + 1:02}"
    (row,) = shell.good("export", "AAPL", "--start", day, "--end", after, "--source", "yahoo").rows
    return row


def by_day(said: Said) -> dict[str, dict[str, str]]:
    return {r["ts"]: r for r in said.rows}


def test_a_sound_store_calls_for_nothing(three_sources: Shell) -> None:
    said = three_sources.good("repair", "AAPL", "--csv")
    assert said.rows == []
    assert "no bar calls for a repair" in said.err


def test_a_dry_run_is_the_default_and_writes_nothing(three_sources: Shell) -> None:
    tenfold(three_sources)
    before = (three_sources.home / "bars.duckdb").read_bytes()
    said = three_sources.good("repair", "AAPL", "--csv")
    assert said.out == three_sources.good("repair", "AAPL", "--dry-run", "--csv").out
    assert (three_sources.home / "bars.duckdb").read_bytes() == before
    (row,) = said.rows
    assert (row["ts"], row["source"], row["type"], row["status"], row["factor"]) == (
        "2023-06-14",
        "yahoo",
        "decimal_shift",
        "proposed",
        "100",
    )
    assert float(row["new_close"]) == pytest.approx(100 * float(row["close"]))
    assert "the bars beside it" not in row["evidence"]
    assert "bars beside it are near" in row["evidence"]
    assert "nothing is changed yet" in said.err


def test_each_defect_has_its_own_evidence(three_sources: Shell) -> None:
    for spoil in (tenfold, spike, lots, swap):
        spoil(three_sources)
    told = by_day(three_sources.good("repair", "AAPL", "--csv"))
    assert told["2023-06-14"]["type"] == "decimal_shift"
    assert told["2023-08-08"]["type"] == "bad_tick"
    assert told["2023-08-08"]["evidence"].startswith("polygon, tiingo say 183.")
    assert (told["2023-09-05"]["type"], told["2023-09-05"]["factor"]) == ("volume_scale", "100")
    assert told["2023-09-05"]["close"] == told["2023-09-05"]["new_close"], "prices are left as they are"
    assert told["2023-11-07"]["type"] == "high_low_swapped"
    assert (told["2023-11-07"]["new_high"], told["2023-11-07"]["new_low"]) == (told["2023-11-07"]["low"], told["2023-11-07"]["high"])


def test_without_two_that_agree_nothing_is_invented(three_sources: Shell) -> None:
    spike(three_sources)
    alone(three_sources)
    (row,) = three_sources.good("repair", "AAPL", "--csv").rows
    assert (row["status"], row["new_close"]) == ("no evidence", "")
    assert "fewer than two other sources agree" in row["evidence"]
    said = three_sources.good("repair", "AAPL", "--apply", "--csv")
    assert "nothing was applied" in said.err
    assert export(three_sources, "2023-08-08")["source"] == "yahoo"


def test_applied_the_repaired_row_comes_out_under_its_mark(three_sources: Shell) -> None:
    spike(three_sources)
    delivered = three_sources.good("query", "SELECT * FROM bars WHERE ts = '2023-08-08'").out
    said = three_sources.good("repair", "AAPL", "--apply", "--csv", "--by", "ann")
    assert "repair 1: 1 bar of yahoo (bad_tick) stored as yahoo~repaired; mdagent repair AAPL --undo 1 takes it back" in said.err
    assert [(r["status"], r["number"]) for r in said.rows] == [("applied", "1")]
    row = export(three_sources, "2023-08-08")
    assert (row["source"], row["score"], row["grade"]) == ("yahoo~repaired", "86", "B")
    assert float(row["close"]) == pytest.approx(183.42)
    assert three_sources.good("query", "SELECT * FROM bars WHERE ts = '2023-08-08'").out == delivered, "what the source said stays"
    journal = three_sources.good("query", "SELECT source, inserted FROM journal WHERE source LIKE '%repaired'").rows
    assert journal == [{"source": "yahoo~repaired", "inserted": "1"}]
    (kept,) = three_sources.good("query", "SELECT who, was_close, close, evidence FROM repairs").rows
    assert kept["who"] == "ann"


def test_a_better_source_goes_before_the_repaired_row_and_that_before_the_bad_one(three_sources: Shell) -> None:
    spike(three_sources)
    three_sources.good("repair", "AAPL", "--apply")
    window = ("--start", "2023-08-08", "--end", "2023-08-09")
    assert three_sources.good("export", "AAPL", *window).rows[0]["source"] == "polygon"
    change(three_sources, "UPDATE bars SET score = 60 WHERE source <> 'yahoo'")
    assert three_sources.good("export", "AAPL", *window).rows[0]["source"] == "yahoo~repaired"
    consolidated = "SELECT source FROM consolidated WHERE ts = '2023-08-08' AND adjustment = 'splits'"
    assert three_sources.good("query", consolidated).rows == [{"source": "yahoo~repaired"}]
    assert three_sources.good("fetch", "AAPL", *window, "--source", "yahoo").rows[0]["source"] == "yahoo~repaired"


def test_applying_twice_does_nothing_twice(three_sources: Shell) -> None:
    for spoil in (spike, lots, swap):
        spoil(three_sources)
    three_sources.good("repair", "AAPL", "--apply")
    before = three_sources.good("query", "SELECT * FROM repairs").out
    said = three_sources.good("repair", "AAPL", "--apply", "--csv")
    assert "nothing was applied" in said.err
    assert {r["status"] for r in said.rows} == {"applied"}
    assert three_sources.good("query", "SELECT * FROM repairs").out == before


def test_a_quarantined_row_that_is_put_right_is_a_bar(three_sources: Shell) -> None:
    swap(three_sources)
    three_sources.good("repair", "AAPL", "--apply")
    row = export(three_sources, "2023-11-07")
    assert row["source"] == "yahoo~repaired"
    assert float(row["high"]) > float(row["low"])


def test_undone_what_the_source_says_stands_again(three_sources: Shell) -> None:
    spike(three_sources)
    before = export(three_sources, "2023-08-08")
    three_sources.good("repair", "AAPL", "--apply")
    said = three_sources.good("repair", "AAPL", "--undo", "1")
    assert "repair 1 is undone: 1 bar of yahoo (bad_tick) again what the source says" in said.err
    assert export(three_sources, "2023-08-08") == before
    assert three_sources.good("query", "SELECT undone_at IS NULL u FROM repairs").rows == [{"u": "false"}]
    again = three_sources.run("repair", "AAPL", "--undo", "1")
    assert again.code == 2
    assert "repair 1 was undone at" in again.err


def test_a_repair_ends_when_the_source_tells_the_bar_anew(three_sources: Shell) -> None:
    spike(three_sources)
    three_sources.good("repair", "AAPL", "--apply")
    three_sources.good("fetch", "AAPL", *HALF, "--source", "yahoo", "--refresh")
    assert export(three_sources, "2023-08-08")["source"] == "yahoo"
    assert "superseded" in three_sources.good("explain", "AAPL", "2023-08-08").out
    assert three_sources.good("repair", "AAPL", "--csv").rows == []


def test_an_export_as_of_a_time_before_the_repair_has_the_old_row(three_sources: Shell) -> None:
    spike(three_sources)
    before = f"{three_sources.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    three_sources.clock.pause(3600)
    three_sources.good("repair", "AAPL", "--apply")
    window = ("--start", "2023-08-08", "--end", "2023-08-09", "--source", "yahoo")
    assert three_sources.good("export", "AAPL", *window, "--as-of", before).rows[0]["source"] == "yahoo"
    now = f"{three_sources.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    assert three_sources.good("export", "AAPL", *window, "--as-of", now).rows[0]["source"] == "yahoo~repaired"


def test_prices_before_a_listed_split_are_divided_by_it(three_sources: Shell) -> None:
    change(three_sources, "INSERT INTO actions VALUES ('AAPL', 'yahoo', 'split', '2023-08-01', 4, NULL, '2023-08-01', 1, false, NULL)")
    alone(three_sources)
    prices = ", ".join(f"{c} = {c} * 4" for c in ("open", "high", "low", "close"))
    change(three_sources, f"UPDATE bars SET {prices} WHERE ts < '2023-08-01'")
    said = three_sources.good("repair", "AAPL", "--csv")
    split = [r for r in said.rows if r["type"].startswith("unadjusted_split")]
    assert len(split) == 41
    assert {r["factor"] for r in split} == {"0.25"}
    assert "the split of 4 for 1 on 2023-08-01, listed by yahoo, is not in this price" in split[0]["evidence"]
    assert float(split[0]["new_close"]) == pytest.approx(float(split[0]["close"]) / 4)


def test_a_rejected_bar_needs_no_repair(three_sources: Shell) -> None:
    spike(three_sources)
    three_sources.good("override", "AAPL", "2023-08-08", "--reject", "--source", "yahoo", "--reason", "x")
    assert three_sources.good("repair", "AAPL", "--csv").rows == []


def test_a_person_gets_runs_of_bars_in_a_line(three_sources: Shell) -> None:
    lots(three_sources)
    three_sources.screens = (True, False)
    said = three_sources.good("repair", "AAPL")
    assert "2023-09-01 .. 2023-09-29" in said.out.replace("\n", " ")


def test_json_is_strict_and_names_old_and_new(three_sources: Shell) -> None:
    spike(three_sources)
    (row,) = three_sources.good("repair", "AAPL", "--json").json
    assert {"open", "new_open", "close", "new_close", "factor", "evidence", "status"} <= set(row)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("NVDA",), 12, "the store has no such bars of NVDA"),
        (("AAPL", "-i", "1h"), 12, "the store has no such bars of AAPL"),
        (("AAPL", "--source", "nobody"), 2, "use one of polygon, tiingo, yahoo"),
        (("AAPL", "--undo", "9"), 2, "there is no repair 9 of AAPL"),
        (("AAPL", "--undo", "9", "--apply"), 2, "exclude each other"),
        (("AAPL", "--dry-run", "--apply"), 2, "exclude each other"),
        (("AAPL", "-i", "2h"), 2, "is not an interval"),
    ],
)
def test_what_means_nothing_is_refused(three_sources: Shell, words: tuple[str, ...], code: int, said: str) -> None:
    told = three_sources.run("repair", *words)
    assert (told.code, told.out) == (code, "")
    assert said in told.err


def test_without_a_store_it_is_no_data(shell: Shell) -> None:
    assert shell.run("repair", "AAPL").code == 12
    assert not shell.files()
