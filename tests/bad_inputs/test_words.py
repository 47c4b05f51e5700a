"""Bad words are refused before anything is sent; odd ones are understood, and it is said how."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.bad_inputs.cases import TEN
from tests.bad_inputs.others import ARGUMENTS, SYMBOLS, Other
from tests.bad_inputs.stage import Stage, Turns, said
from tests.wire.nasty import NastyServer

if TYPE_CHECKING:
    from pathlib import Path

WORDS = (sys.executable, "-m", "mdagent")


@pytest.mark.parametrize("case", [*SYMBOLS, *ARGUMENTS], ids=str)
def test_a_bad_word_is_a_usage_error_and_nothing_is_sent(case: Other, stage: Stage) -> None:
    with NastyServer(Turns([said(TEN)])) as server:
        ran = stage.run(*case.words, server=server)
        assert server.requests == []
    assert ran.code == case.exit
    assert ran.out == ""
    assert case.says in ran.err
    assert "Traceback" not in ran.err
    assert len(ran.err) < 400
    assert not [ch for ch in ran.err if ch < " " and ch != "\n"]
    assert stage.sent() == []


def test_a_symbol_named_three_times_is_asked_for_once(stage: Stage) -> None:
    with NastyServer(Turns([said(TEN)])) as server:
        ran, line = stage.fetch(server, "fetch", "AAPL,AAPL,aapl", "--start", "2024-01-02", "--end", "2024-01-17")
        assert len(server.requests) == 1
    assert (ran.code, line["bars"]) == (0, 10)
    assert ran.out.count("\n") == 11


def test_an_end_in_the_future_is_taken_as_now_and_that_is_said(stage: Stage) -> None:
    with NastyServer(Turns([said(TEN)])) as server:
        ran, line = stage.fetch(server, "fetch", "AAPL", "--start", "2024-01-02", "--end", "2999-01-01")
    assert ran.code == 0
    assert "2999-01-01 lies in the future" in ran.err
    assert line["end"] < "2024-01-19"


def test_1M_is_a_month_and_never_a_minute(stage: Stage) -> None:  # noqa: N802  the case matters
    with NastyServer(Turns([said(TEN)])) as server:
        stage.run("fetch", "AAPL", "--interval", "1M", "--start", "2023-12-01", "--end", "2024-01-01", server=server)
        asked = parse_qs(urlsplit(server.requests[0].split()[1].decode()).query)
    assert asked["interval"] == ["1mo"]


def _environ(home: Path) -> dict[str, str]:
    return {**os.environ, "MDAGENT_HOME": str(home), "HOME": str(home)}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")  # noqa: PTH110  asked once, at import
@pytest.mark.parametrize("where", ["file", "stdout", "query"])
def test_a_full_device_is_never_a_success(where: str, january_home: Path) -> None:
    words = {
        "file": ("export", "AAPL", "--output", "/dev/full"),
        "stdout": ("export", "AAPL", "--csv"),
        "query": ("query", "SELECT * FROM range(100000)", "--csv"),
    }[where]
    with open("/dev/full", "wb") as full:  # noqa: PTH123  a device
        out = subprocess.PIPE if where == "file" else full
        done = subprocess.run([*WORDS, *words], stdout=out, stderr=subprocess.PIPE, env=_environ(january_home), check=False, timeout=60)
    assert done.returncode == 10, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert b"No space left on device" in done.stderr
    assert b"rows written" not in done.stderr


@pytest.mark.parametrize("words", [("export", "AAPL", "--csv"), ("query", "SELECT * FROM range(100000)", "--csv"), ("--help",)], ids=str)
def test_a_reader_that_goes_away_is_no_error(words: tuple[str, ...], january_home: Path) -> None:
    reader, writer = os.pipe()
    with subprocess.Popen([*WORDS, *words], stdout=writer, stderr=subprocess.PIPE, env=_environ(january_home)) as running:
        os.close(writer)
        os.close(reader)
        _, told = running.communicate(timeout=60)
    assert running.returncode in (0, 141)
    assert b"Traceback" not in told
    assert b"Broken pipe" not in told


def test_head_takes_one_line_of_many_and_nobody_complains(january_home: Path) -> None:
    command = f"{sys.executable} -m mdagent query 'SELECT * FROM range(100000)' --csv | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, env=_environ(january_home), check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"range\n", b"")
