"""`mdagent diff`: what sources changed of what they had told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.cli.three import change

if TYPE_CHECKING:
    from tests.cli.shell import Shell

_OLD = "symbol, interval, ts, source, adjustment, open, high, low, {}, volume, score, fetched_at, batch"
_FACTS = "currency, lot, raw_volume"


def revise(shell: Shell, day: str, close: str, at: str = "2024-02-05 23:00", cause: str = "revision") -> None:
    """What is stored of a day is what it became at a time; before, it said another close."""
    change(
        shell,
        f"INSERT INTO revisions SELECT {_OLD.format(close)}, '{at}', 77, {_FACTS}, '{cause}' FROM bars"
        f" WHERE symbol = 'AAPL' AND interval = '1d' AND ts = '{day}'",
    )


def test_a_revision_tells_old_and_new_when_and_how_much(stocked: Shell) -> None:
    revise(stocked, "2024-01-03", "close * 2")
    (row,) = stocked.good("diff", "AAPL", "--json").json
    assert row["change"] == pytest.approx(-0.5)
    assert row["old_close"] == pytest.approx(2 * row["new_close"])
    assert row["old_open"] == row["new_open"]
    assert row | {
        "symbol": "AAPL", "interval": "1d", "ts": "2024-01-03", "source": "yahoo", "adjustment": "splits", "cause": "revision",
        "told_at": "2024-02-05T22:00:00Z", "changed_at": "2024-02-05T23:00:00Z", "volume_change": 0, "what": "1d bar",
    } == row  # fmt: skip


def test_a_bar_that_changed_twice_is_told_twice_each_against_the_next(stocked: Shell) -> None:
    revise(stocked, "2024-01-03", "100", "2024-02-05 23:00")
    revise(stocked, "2024-01-03", "110", "2024-02-06 23:00")
    rows = {row["changed_at"][:10]: row for row in stocked.good("diff", "AAPL", "--json").json}
    assert (rows["2024-02-05"]["old_close"], rows["2024-02-05"]["new_close"]) == (100, 110)
    assert rows["2024-02-06"]["old_close"] == 110
    assert [r["changed_at"][:10] for r in stocked.good("diff", "AAPL", "--since", "2024-02-06", "--csv").rows] == ["2024-02-06"]


def test_the_worst_stands_first_and_what_is_no_error_last(stocked: Shell) -> None:
    revise(stocked, "2024-01-03", "close", cause="confirmation")
    revise(stocked, "2024-01-04", "close * 4", cause="restatement")
    revise(stocked, "2024-01-05", "close * 1.01")
    revise(stocked, "2024-01-08", "close * 1.5")
    rows = stocked.good("diff", "AAPL", "--csv").rows
    assert [(r["ts"], r["cause"]) for r in rows] == [
        ("2024-01-08", "revision"),
        ("2024-01-05", "revision"),
        ("2024-01-04", "restatement"),
        ("2024-01-03", "confirmation"),
    ]


def test_a_restatement_has_its_factor_and_is_one_line_on_a_terminal(stocked: Shell) -> None:
    for day in ("2024-01-03", "2024-01-04"):
        revise(stocked, day, "close * 4", cause="restatement")
    words = "'AAPL', '1d', 'yahoo', 'splits', 2, '2024-01-03', '2024-01-04', 0.25, '2024-02-05 23:00', 77"
    change(stocked, f"INSERT INTO restatements VALUES ({words})")
    assert [r["factor"] for r in stocked.good("diff", "AAPL", "--csv").rows] == ["0.25", "0.25"]
    stocked.screens = (True, True)
    said = stocked.good("diff", "AAPL", COLUMNS="160")
    assert said.out.count("restatement") == 1
    assert "2 1d bars" in said.out
    assert "-75.0000 %" in said.out
    assert "AAPL: 2 bars restated by a split" in said.err


def test_what_a_real_split_restated_is_told_with_what_it_became(shell: Shell) -> None:
    spring = ("NVDA", "--start", "2024-04-01", "--source", "yahoo")
    shell.clock.set(datetime(2024, 5, 15, 22, 0, tzinfo=UTC))
    shell.good("fetch", *spring, "--end", "2024-05-01")
    shell.clock.set(datetime(2024, 6, 28, 22, 0, tzinfo=UTC))
    shell.good("fetch", *spring, "--end", "2024-06-29")
    dividend, *rows = shell.good("diff", "NVDA", "--csv").rows
    assert (dividend["what"], dividend["cause"]) == ("dividend", "told otherwise")
    assert float(dividend["change"]) == pytest.approx(-0.9), "in shares of today"
    assert len(rows) == 22
    for row in rows:
        assert row["cause"] == "restatement"
        assert float(row["new_close"]) == pytest.approx(float(row["old_close"]) / 10)
        assert float(row["factor"]) == pytest.approx(0.1)


def test_splits_and_dividends_told_otherwise_or_taken_back_are_told(stocked: Shell) -> None:
    change(
        stocked,
        "DELETE FROM actions; INSERT INTO actions VALUES"
        " ('AAPL', 'yahoo', 'split', '2020-08-31', 4, NULL, '2024-02-01', 1, false, '2024-02-03'),"
        " ('AAPL', 'yahoo', 'split', '2020-08-31', 5, NULL, '2024-02-03', 2, false, NULL),"
        " ('AAPL', 'yahoo', 'dividend', '2023-11-10', 0.24, 'USD', '2024-02-01', 1, true, '2024-02-04')",
    )
    rows = stocked.good("diff", "AAPL", "--csv").rows
    assert [(r["ts"], r["what"], r["cause"], r["old"], r["new"], r["changed_at"][:10]) for r in rows] == [
        ("2023-11-10", "dividend", "taken back", "0.24", "", "2024-02-04"),
        ("2020-08-31", "split", "told otherwise", "4", "5", "2024-02-03"),
    ]
    assert float(rows[1]["change"]) == pytest.approx(0.25)


def test_only_the_source_and_interval_asked_for_are_told(stocked: Shell) -> None:
    revise(stocked, "2024-01-03", "close * 2")
    assert stocked.good("diff", "AAPL", "--source", "tiingo", "--json").json == []
    assert stocked.good("diff", "AAPL", "--interval", "1h", "--json").json == []
    assert len(stocked.good("diff", "AAPL", "MSFT", "--source", "yahoo", "-i", "1d", "--json").json) == 1


def test_where_nothing_changed_that_is_said(stocked: Shell) -> None:
    assert "AAPL: nothing that was told has changed" in stocked.good("diff", "AAPL").err


def test_a_terminal_shows_the_largest_revisions_and_says_how_many_are_left_out(stocked: Shell) -> None:
    change(
        stocked,
        f"INSERT INTO revisions SELECT {_OLD.format('close * (1 + n / 1000)')}, TIMESTAMP '2024-02-05 23:00' + INTERVAL 1 HOUR * n, n,"
        f" {_FACTS}, 'revision' FROM bars, range(1, 3) r(n) WHERE symbol = 'AAPL'",
    )
    stocked.screens = (True, False)
    said = stocked.good("diff", "AAPL", COLUMNS="160")
    assert "2 smaller revisions are left out (--csv has all)" in said.err
    assert said.out.count("revision") == 40


def test_nothing_stored_is_no_data(shell: Shell, stocked: Shell) -> None:
    assert stocked.run("diff", "NVDA").code == 12
    some = stocked.run("diff", "AAPL", "NVDA", "--json")
    assert (some.code, some.json) == (5, [])
    assert "the store has nothing of NVDA" in some.err


def test_no_store_is_no_data(shell: Shell) -> None:
    assert shell.run("diff", "AAPL").code == 12
    assert not shell.files()


def test_a_word_that_is_wrong_is_usage(stocked: Shell) -> None:
    assert stocked.run("diff").code == 2
    assert stocked.run("diff", "AAPL", "--since", "then").code == 2
    assert stocked.run("diff", "AAPL", "--source", "yaho").code == 2
