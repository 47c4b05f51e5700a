"""`mdagent chaos run --live`: refused without a bound, and never past it. The real world is a server on loopback here."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mdagent.cli.exits import ExitCode
from mdagent.clock import SystemClock
from mdagent.store.ledger import open_ledger
from mdagent.wire.sandbox.provider import Provider
from mdagent.wire.sandbox.server import serve
from tests.cli.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mdagent.wire.sandbox.dialects import Ask, Dialect, Reply

LIVE = """\
title: The first source cannot be reached
clock: 2024-02-05T15:00:00Z
sources: [yahoo]
phases: {before: 600ms, during: 600ms, after: 600ms}
load: [{who: prompt, asks: quote, every: 250ms, symbols: [AAPL]}]
hypothesis: {undisturbed: 100%, uncounted_requests: 0, wrong_bars: 0}
faults: [{kind: latency, delay: 10ms}]
"""


class Unmarked(Provider):
    """Providers that do not say that they are simulated, as real ones do not."""

    def answer(self, dialect: Dialect, ask: Ask, client: str = "local") -> tuple[Reply, dict[str, str]]:
        reply, headers = super().answer(dialect, ask, client)
        return reply, {name: value for name, value in headers.items() if name != "x-mdagent-world"}


@contextmanager
def world(shell: Shell) -> Iterator[Provider]:
    provider = Unmarked(SystemClock(), only="yahoo")
    with serve(provider.clock, names=("yahoo",), provider=provider) as running:
        (shell.cwd / "mdagent.yaml").write_text(f"sources: {{yahoo: {{base_url: '{running.base_urls['yahoo']}'}}}}\n", "utf-8")
        yield provider


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {"MDAGENT_SANDBOX": ""}, SystemClock())  # type: ignore[arg-type]


def test_it_counts_what_leaves_and_the_true_ledger_knows_of_it(shell: Shell) -> None:
    (shell.cwd / "x.yaml").write_text(LIVE, "utf-8")
    with world(shell) as provider:
        said = shell.run("chaos", "run", "x.yaml", "--live", "--budget", "50", "--json")
        told = said.json
    assert (said.code, told["verdict"]) == (ExitCode.OK, "held"), told["why"]
    assert told["time"] == "real, against real providers"
    assert told["replay"] == "mdagent chaos run x.yaml --seed 1 --live --budget 50"
    assert [row["probe"] for row in told["hypothesis"]] == ["undisturbed", "uncounted_requests"]
    assert any(text.startswith("wrong_bars") for text in told["not_tested"])
    sent = sum(of["yahoo"]["theirs"] for of in told["quota"].values())
    assert sent == provider.requests > 0
    ledger = next(shell.cwd.rglob("ledger.db"))
    with open_ledger(ledger, SystemClock()) as opened:
        assert opened.rows("SELECT count(*), max(state) FROM attempts WHERE source = 'yahoo'") == [(sent, "sent")]
    assert not [name for name in shell.files() if "bars" in name], "the store was thrown away"


def test_what_reaches_nobody_is_no_request(shell: Shell) -> None:
    (shell.cwd / "x.yaml").write_text(LIVE, "utf-8")
    with world(shell) as provider:
        pass
    told = shell.run("chaos", "run", "x.yaml", "--live", "--budget", "50", "--json").json
    assert told["verdict"] == "failed"
    assert provider.requests == sum(of.get("yahoo", {}).get("theirs", 0) for of in told["quota"].values()) == 0
    assert not {row["probe"]: row["before"] for row in told["hypothesis"]}["uncounted_requests"]


def test_no_request_passes_the_budget(shell: Shell) -> None:
    (shell.cwd / "x.yaml").write_text(LIVE.replace("600ms", "20s"), "utf-8")
    with world(shell) as provider:
        told = shell.run("chaos", "run", "x.yaml", "--live", "--budget", "2", "--json").json
    assert (told["verdict"], told["why"]) == ("aborted", "stopped: the budget of 2 requests is spent")
    assert provider.requests == 2


@pytest.mark.parametrize(
    ("old", "new", "words", "code", "message"),
    [
        ("", "", ("--live",), ExitCode.USAGE, "no budget is told\n  → add --budget REQUESTS"),
        ("", "", ("--budget", "3"), ExitCode.USAGE, "--budget is the bound of --live"),
        ("", "", ("--live", "--budget", "3", "--real-time"), ExitCode.USAGE, "--live and --real-time exclude each other"),
        (
            "",
            "",
            ("--live", "--budget", "3", "--sandbox"),
            ExitCode.CONFIG,
            "the world of these settings is sandbox\n  → leave out --sandbox",
        ),
        ("latency, delay: 10ms", "waf", ("--live", "--budget", "3"), ExitCode.CONFIG, "fault waf cannot be had with --live"),
        ("latency, delay: 10ms", "bad_tick", ("--live", "--budget", "3"), ExitCode.CONFIG, "fault bad_tick cannot be had with --live"),
        ("latency, delay: 10ms", "killed", ("--live", "--budget", "3"), ExitCode.CONFIG, "fault killed cannot be had with --live"),
        ("[AAPL]", "[SYM00001]", ("--live", "--budget", "3"), ExitCode.CONFIG, "prompt asks for SYM00001, which only the sandbox trades"),
        ("symbols: [AAPL]", "fresh: true", ("--live", "--budget", "3"), ExitCode.CONFIG, "prompt asks for fresh symbols"),
        ("asks: quote", "asks: read", ("--live", "--budget", "3"), ExitCode.CONFIG, "prompt cannot be had with --live"),
        (
            "undisturbed: 100%, uncounted_requests: 0, ",
            "",
            ("--live", "--budget", "3"),
            ExitCode.CONFIG,
            "none of its claims can be measured",
        ),
        ("[yahoo]", "[iexcloud]", ("--live", "--budget", "3"), ExitCode.CONFIG, "none of the sources of x is enabled: iexcloud"),
    ],
)
def test_what_may_not_be_asked_of_real_providers_is_refused_before_anything_is_sent(  # noqa: PLR0917  a table
    shell: Shell, old: str, new: str, words: tuple[str, ...], code: ExitCode, message: str
) -> None:
    (shell.cwd / "x.yaml").write_text(LIVE.replace(old, new, 1), "utf-8")
    with world(shell) as provider:
        if "iexcloud" in new:
            config = shell.cwd / "mdagent.yaml"
            config.write_text("sources: {iexcloud: {enabled: false}}\n", "utf-8")
        said = shell.run("chaos", "run", "x.yaml", *words)
        assert (said.code, said.out, provider.requests) == (code, "", 0)
    assert message in said.err
