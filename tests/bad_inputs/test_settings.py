"""A bad settings file is refused with its line; a running mdagent keeps the settings it has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.bad_inputs.cases import TEN
from tests.bad_inputs.others import SETTINGS, Other
from tests.bad_inputs.stage import CANARY, FETCH, Stage, Turns, said
from tests.wire.nasty import NastyServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.wire.nasty import Step

EVERY = (("config", "check"), FETCH, ("sources", "list"))


def write(stage: Stage, text: str, mode: int = 0o600) -> Path:
    """A settings file of the user."""
    path = stage.home / "config.yaml"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("case", SETTINGS, ids=str)
def test_a_bad_settings_file_is_a_configuration_error(case: Other, stage: Stage) -> None:
    path = write(stage, case.text)
    for words in EVERY:
        ran = stage.run(*words)
        assert ran.code == case.exit, words
        assert str(path) in ran.err
        assert case.says in ran.err
        assert "Traceback" not in ran.err
        assert ran.out == ""
    assert stage.sent() == []
    assert not (stage.cwd / "pwned").exists()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read in /proc")
def test_an_alias_bomb_costs_less_than_a_second_and_100_mb(stage: Stage) -> None:
    write(stage, next(case.text for case in SETTINGS if case.id == "CF01"))
    code = """
import os, pathlib, re, resource
from mdagent.cli import main
from mdagent.cli.terminal import Terminal
assert main(["config", "check"], Terminal(os.environ, pathlib.Path.cwd())) == 3
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, re.search("VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **stage.environ()}, capture_output=True, text=True, check=True, timeout=60
    )
    seconds, kib = done.stdout.split()
    assert float(seconds) < 1.5  # of work, the interpreter's own start included
    assert int(kib) < 100 * 1024


def test_an_empty_settings_file_means_the_defaults_and_that_is_said(stage: Stage) -> None:
    path = write(stage, "")
    ran = stage.run("config", "check")
    assert ran.code == 0
    assert f"{path} is empty" in ran.err


def test_a_key_in_a_file_that_others_can_read_is_refused_and_not_echoed(stage: Stage) -> None:
    path = write(stage, f"sources: {{yahoo: {{api_key: {CANARY}}}}}\n", 0o644)
    ran = stage.run("config", "check")
    assert ran.code == 3
    assert "chmod 600" in ran.err
    path.unlink()  # the canary stands in the file that the user wrote, and nowhere else


@pytest.mark.parametrize("key", ["abc\ndef", "abc\x00def", "\N{KEY}"])
def test_a_key_that_fits_no_header_is_refused(key: str, stage: Stage) -> None:
    stage.more = {"MDAGENT_YAHOO_API_KEY": key}
    ran = stage.run("config", "check")
    assert ran.code == 3
    assert "MDAGENT_YAHOO_API_KEY" in ran.err
    assert "abc" not in ran.err


def test_white_space_behind_a_key_is_dropped_and_that_is_said(stage: Stage) -> None:
    stage.more = {"MDAGENT_YAHOO_API_KEY": f"{CANARY}\n"}
    ran = stage.run("config", "check")
    assert ran.code == 0
    assert "MDAGENT_YAHOO_API_KEY" in ran.err


class _Spoiling:
    """Publishes good settings and breaks the file behind them while the first request waits for its answer."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __iter__(self) -> Iterator[Step]:
        write(self._stage, "color: never\n")
        self._stage.run("config", "reload")
        write(self._stage, "sources: [\n")
        yield from said(TEN)


def test_a_running_mdagent_keeps_its_settings_when_the_file_breaks(stage: Stage) -> None:
    stage.more = {"MDAGENT_SOURCES__YAHOO__CONCURRENCY": "1"}
    with NastyServer(Turns([_Spoiling(stage), said(TEN)])) as server:
        ran = stage.run("fetch", "AAPL", "MSFT", "--start", "2024-01-02", "--end", "2024-01-17", server=server)
        assert len(server.requests) == 2
    assert "were not adopted, the old ones stay" in ran.err
    assert ran.code == 5  # MSFT was answered with AAPL's bars; AAPL is there
    number = stage.ledger("SELECT max(number) FROM epochs")
    assert stage.run("config", "reload").code == 3
    assert stage.ledger("SELECT max(number) FROM epochs") == number
