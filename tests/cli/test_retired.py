"""A provider that is no more: refused where it would be asked, and still of use where a recording or the sandbox answers for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mdagent.clock import VirtualClock
from mdagent.store.ledger import open_ledger
from mdagent.store.recall import sent_since
from tests.cli.shell import NOW

if TYPE_CHECKING:
    from tests.cli.shell import Said, Shell

LIVE = {"MDAGENT_SANDBOX": "", "MDAGENT_IEXCLOUD_API_KEY": "pk_of-mine-4711"}
DAYS = ("--start", "2024-01-02", "--end", "2024-01-04")
IEX = (*DAYS, "--source", "iexcloud", "--adjust", "raw")
END = datetime(2024, 9, 2, 12, tzinfo=UTC)
TRADED = (("2024-01-02", 187.15, 188.44, 183.89, 185.64, 82488700), ("2024-01-03", 184.22, 185.88, 183.43, 184.25, 58414500))
BODY = [
    {
        "symbol": "AAPL", "date": day, "open": o, "high": h, "low": lo, "close": c, "volume": v, "uOpen": o, "uHigh": h, "uLow": lo,
        "uClose": c, "uVolume": v, "fOpen": o, "fHigh": h, "fLow": lo, "fClose": c, "fVolume": v,
    }
    for day, o, h, lo, c, v in TRADED
]  # fmt: skip


@pytest.fixture
def later(shell: Shell) -> Shell:
    """After the end of August 2024."""
    shell.clock.set(END)
    return shell


def requests(shell: Shell) -> int:
    """How many requests the live ledger knows of."""
    path = shell.cwd / "home" / "ledger.db"
    if not path.exists():
        return 0
    ledger = open_ledger(path, VirtualClock(END))
    try:
        return sent_since(ledger, "iexcloud", NOW)
    finally:
        ledger.close()


def refused(said: Said) -> None:
    assert said.code == 4
    assert "IEX Cloud was retired on 2024-08-31" in said.err
    assert "pk_of-mine" not in said.out + said.err


@pytest.mark.parametrize(
    "command", [("fetch", "AAPL", *IEX), ("quote", "AAPL", "--source", "iexcloud"), ("search", "apple", "--source", "iexcloud")]
)
def test_it_is_not_asked_on_the_live_wire(later: Shell, command: tuple[str, ...]) -> None:
    refused(later.run(*command, **LIVE))
    assert requests(later) == 0


def test_a_dry_run_says_so_too(later: Shell) -> None:
    refused(later.run("fetch", "AAPL", *IEX, "--dry-run", **LIVE))


def test_it_is_left_out_where_any_source_may_answer(later: Shell) -> None:
    only = {f"MDAGENT_SOURCES__{n}__ENABLED": "false" for n in ("YAHOO", "ALPHAVANTAGE", "FINNHUB", "POLYGON", "TWELVEDATA", "TIINGO")}
    known = {k: v for k, v in only.items() if later.run("sources", "list", **LIVE, **{k: v}).code == 0}
    refused(later.run("fetch", "AAPL", *DAYS, "--adjust", "raw", **LIVE, **known))


def test_it_is_probed_without_a_request(later: Shell) -> None:
    said = later.run("sources", "probe", "iexcloud", **LIVE)
    assert said.code != 0
    assert "2024-08-31" in said.out + said.err
    assert requests(later) == 0


def test_a_recording_answers_for_it(later: Shell) -> None:
    tape = later.cwd / "tape"
    tape.mkdir()
    dry = later.good("fetch", "AAPL", *IEX, "--dry-run")
    assert "would be sent" in dry.err
    (tape / "one.json").write_text(json.dumps(BODY), "utf-8")
    query = {"from": "20240102", "to": "20240103"}
    line = {
        "file": "one.json", "kind": "bars", "provenance": "written", "status": 200, "headers": {"content-type": "application/json"},
        "request": {"host": "cloud.iexapis.com", "path": "/stable/stock/AAPL/chart/max", "query": query},
    }  # fmt: skip
    lines = [line]
    for day in ("20240102", "20240103"):
        name = f"{day}.json"
        (tape / name).write_text(json.dumps([b for b in BODY if str(b["date"]).replace("-", "") == day]), "utf-8")
        path = f"/stable/stock/AAPL/chart/date/{day}"
        lines.append(line | {"file": name, "request": {"host": "cloud.iexapis.com", "path": path, "query": {"chartByDay": "true"}}})
    (tape / "recordings.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines), "utf-8")
    said = later.run("--replay", "tape", "fetch", "AAPL", *IEX, MDAGENT_SANDBOX="")
    assert said.code == 0, said.err
    assert [(r["ts"], r["close"], r["source"]) for r in said.rows] == [
        ("2024-01-02", "185.64", "iexcloud"), ("2024-01-03", "184.25", "iexcloud"),
    ]  # fmt: skip
    assert "replay: these prices are recordings" in said.err


def test_the_sandbox_answers_for_it_with_a_key_of_its_plans(later: Shell) -> None:
    assert len(later.good("fetch", "AAPL", *IEX).rows) == 2


def test_the_sandbox_can_show_how_it_is_when_a_provider_is_gone(shell: Shell) -> None:
    said = shell.run("fetch", "AAPL", *IEX, MDAGENT_IEXCLOUD_API_KEY="sandbox-iexcloud-retired")
    assert (said.code, said.rows) == (4, [])
    assert "cloud.iexapis.com: could not connect" in said.err


def test_while_it_lives_it_is_asked(shell: Shell) -> None:
    """Before its end, with a key, in the live world: that it would be asked is all that a dry run shows."""
    said = shell.good("fetch", "AAPL", *IEX, "--dry-run", **LIVE)
    assert "would be sent" in said.err


def test_a_missing_key_is_told_as_such(shell: Shell) -> None:
    said = shell.run("fetch", "AAPL", *DAYS, "--source", "finnhub", MDAGENT_SANDBOX="")
    assert said.code == 11
    assert "set MDAGENT_FINNHUB_API_KEY" in said.err
    assert shell.run("quote", "AAPL", "--source", "finnhub", MDAGENT_SANDBOX="").code == 11
