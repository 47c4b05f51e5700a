"""`mdagent explain`: one bar, who said what of it, which value won and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.three import change, spike, swap
from tests.docs.readme import read_command

if TYPE_CHECKING:
    from tests.cli.shell import Shell

DAY = ("AAPL", "2023-08-08")


def test_a_screen_tells_what_is_served_and_why(three_sources: Shell) -> None:
    said = three_sources.good("explain", *DAY)
    assert "AAPL 1d 2023-08-08, splits prices" in said.out
    assert "its score of 96.0 is as high as that of tiingo; of equals the first by name is taken" in said.out
    for name in ("polygon", "tiingo", "yahoo"):
        assert f"{name} told it 2024-02-05 22:00:0" in said.out
    assert "completeness  0.25 x 100.0" in said.out
    assert "sandbox: these prices are synthetic" in said.err


def test_the_higher_score_wins(three_sources: Shell) -> None:
    change(three_sources, "UPDATE bars SET score = 98 WHERE source = 'yahoo' AND ts = '2023-08-08'")
    assert "its score of 98.0 is the highest, before polygon with 96.0" in three_sources.good("explain", *DAY).out


def test_a_final_bar_goes_before_a_provisional_one(three_sources: Shell) -> None:
    change(three_sources, "UPDATE bars SET provisional = true WHERE source <> 'yahoo' AND ts = '2023-08-08'")
    assert "it is final, all others are provisional" in three_sources.good("explain", *DAY).out


def test_a_row_is_shown_on_the_basis_asked_for_with_its_factor(three_sources: Shell) -> None:
    change(three_sources, "INSERT INTO actions VALUES ('AAPL', 'tiingo', 'split', '2023-10-02', 4, NULL, '2023-10-02', 1, false, NULL)")
    told = three_sources.good("explain", *DAY, "--json").json
    tiingo = next(row for row in told["told"] if row["source"] == "tiingo")
    assert tiingo["price_factor"] == 0.25
    assert tiingo["volume_factor"] == 4
    assert tiingo["brought"]["close"] == pytest.approx(tiingo["close"] / 4)
    out = three_sources.good("explain", *DAY).out
    assert "tiingo: split of 4 for 1 on 2023-10-02" in out
    assert "x 0.25, volume x 4" in out


def test_json_has_every_part_under_its_name(three_sources: Shell) -> None:
    swap(three_sources)
    told = three_sources.good("explain", "AAPL", "2023-11-07", "--json").json
    parts = "told findings grades quarantine revisions agreements actions asked overrides repairs commands absent bar".split()
    assert set(parts) <= set(told)
    assert told["schema_version"] == 1
    assert told["bar"]["source"] == "polygon"
    assert told["quarantine"][0]["check"] == "ohlc"
    assert "high and low stand in each other's place (ohlc)" in three_sources.good("explain", "AAPL", "2023-11-07").out


def test_findings_agreement_and_revisions_of_the_bar_are_told(three_sources: Shell) -> None:
    change(
        three_sources,
        "INSERT INTO findings SELECT max(batch), 'AAPL', '1d', 'yahoo', 'ticks', 'high', '2023-08-01', '2023-08-20', 2, NULL, NULL,"
        " 'two bars', 'bad_tick', [TIMESTAMP '2023-08-08', TIMESTAMP '2023-08-08', TIMESTAMP '2023-08-20', TIMESTAMP '2023-08-20']"
        " FROM grades WHERE source = 'yahoo'",
    )
    change(
        three_sources,
        "INSERT INTO agreements VALUES ('AAPL', '1d', '2023-08-08', 'splits', 'yahoo', 3, 0.67, 183.4, 0.3, true, '2024-02-05')",
    )
    change(
        three_sources,
        "INSERT INTO revisions SELECT symbol, interval, ts, source, adjustment, open, high, low, 1, volume, score, fetched_at, batch,"
        " fetched_at, batch, currency, lot, raw_volume, 'revision' FROM bars WHERE source = 'yahoo' AND ts = '2023-08-08'",
    )
    out = three_sources.good("explain", *DAY).out
    assert "yahoo splits: high bad_tick (ticks): two bars" in out
    assert "67% of 3 sources near 183.40, apart by 30.0000%, outvoted" in out
    assert "(revision): open 182.38" in out
    assert "bad_tick" not in three_sources.good("explain", "AAPL", "2023-08-09").out, "it lies between the runs of the finding"


def test_its_commands_run_and_give_the_same(three_sources: Shell) -> None:
    told = three_sources.good("explain", *DAY, "--json").json
    assert len(told["commands"]) == 5
    for text in told["commands"]:
        command = read_command(text)
        assert command is not None
        said = three_sources.good(*command.words)
        if "export" in command.words:
            assert float(said.rows[0]["close"]) == told["bar"]["close"]


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2024-01-01", "2024-01-01 is a Monday, but no trading day of XNYS: a holiday"),
        ("2024-01-06", "2024-01-06 is a Saturday: XNYS has no session"),
        ("2024-03-01", "it lies in the future"),
        ("2023-12-04", "no source was asked for it yet"),
        ("1970-01-06", "it was not listed yet: yahoo tells 1980-12-12 as the first day of trading"),
    ],
)
def test_a_date_without_a_bar_says_why(stocked: Shell, day: str, said: str) -> None:
    told = stocked.run("explain", "AAPL", day)
    assert told.code == 12
    assert said in told.out
    assert said in told.err or "not listed" in said
    assert stocked.run("explain", "AAPL", day, "--json").json["bar"] is None


def test_a_bar_in_quarantine_says_so(stocked: Shell) -> None:
    change(stocked, "DELETE FROM bars WHERE symbol = 'AAPL' AND ts = '2024-01-03'")
    change(
        stocked,
        "INSERT INTO quarantine VALUES ('AAPL', '1d', '2024-01-03', 'yahoo', 'splits', 'positivity', 'a price of zero', '{}',"
        " '2024-02-05', 1)",
    )
    told = stocked.run("explain", "AAPL", "2024-01-03")
    assert told.code == 12
    assert "yahoo's row is in quarantine: a price of zero (positivity)" in told.err


def test_a_source_that_was_asked_and_has_none_is_named(stocked: Shell) -> None:
    change(stocked, "DELETE FROM bars WHERE symbol = 'AAPL' AND ts = '2024-01-03'")
    assert "yahoo was asked at 2024-02-05 22:00Z, and its answer had no such bar" in stocked.run("explain", "AAPL", "2024-01-03").err


def test_an_intraday_bar_is_found_by_a_time_within_it(stocked: Shell) -> None:
    stocked.good("fetch", "AAPL", "-i", "1h", "--start", "2024-02-01", "--end", "2024-02-02")
    assert "AAPL 1h 2024-02-01T15:30:00Z" in stocked.good("explain", "AAPL", "2024-02-01T15:59:00Z", "-i", "1h").out
    told = stocked.run("explain", "AAPL", "2024-02-01", "-i", "1h")
    assert told.code == 12
    assert "outside the session of 2024-02-01, which is 14:30Z to 21:00Z" in told.err


@pytest.mark.parametrize(("interval", "ts"), [("1w", "2024-01-08"), ("1mo", "2024-01-01")])
def test_a_week_and_a_month_are_found_by_any_of_their_days(stocked: Shell, interval: str, ts: str) -> None:
    stocked.good("fetch", "AAPL", "-i", interval, "--start", "2024-01-01", "--end", "2024-02-01")
    assert f"AAPL {interval} {ts}" in stocked.good("explain", "AAPL", "2024-01-10", "-i", interval).out


def test_a_symbol_that_is_not_stored_is_no_data_with_a_suggestion(stocked: Shell) -> None:
    told = stocked.run("explain", "APPL", "2024-01-03")
    assert told.code == 12
    assert "the store has nothing of APPL: did you mean AAPL?" in told.err


@pytest.mark.parametrize(
    "words", [("AAPL", "yesterday"), ("AAPL", "2024-01-03", "--adjust", "x"), ("AAPL", "2024-01-03", "-i", "2h"), ("AAPL",)]
)
def test_words_that_mean_nothing_are_refused(stocked: Shell, words: tuple[str, ...]) -> None:
    told = stocked.run("explain", *words)
    assert (told.code, told.out) == (2, "")


def test_without_a_store_it_is_no_data(shell: Shell) -> None:
    assert shell.run("explain", "AAPL", "2024-01-03").code == 12
    assert not shell.files()


def test_a_repair_and_a_decision_are_part_of_the_story(three_sources: Shell) -> None:
    spike(three_sources)
    three_sources.good("repair", "AAPL", "--apply", "--by", "ann")
    three_sources.good("override", *DAY, "--reject", "--source", "polygon", "--reason", "x", "--by", "bob")
    out = three_sources.good("explain", *DAY).out
    assert "repair 1 (in force), ann, 2024-02-05 22:00:0" in out
    assert "repaired (1)" in out
    assert "rejected by bob (override 2)" in out


def test_a_source_that_cannot_be_brought_to_the_basis_is_left_out_with_the_reason(three_sources: Shell) -> None:
    change(three_sources, "DELETE FROM coverage WHERE interval = 'actions' AND source = 'yahoo'")
    assert "left out: it has splits prices, and its splits" in three_sources.good("explain", *DAY, "--adjust", "raw").out
