"""The agent: the parts put together, and the Python API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import mdagent
from mdagent.agent import Agent
from mdagent.clock import VirtualClock
from mdagent.config import Flags, load
from mdagent.errors import ConfigError, MdagentError, StoreBusy, StoreDamaged, UsageError
from mdagent.guard.limits import Window
from mdagent.guard.outcome import Failure, FailureKind
from mdagent.market import BarRequest, Interval, Quote, Symbol
from mdagent.sources import NAMES
from mdagent.store.epochs import epoch_number, publish_epoch
from mdagent.store.ledger import open_ledger
from mdagent.store.lock import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mdagent.config import Settings

NOW = datetime(2024, 2, 5, 22, 0, tzinfo=UTC)
JANUARY = {"start": "2024-01-02", "end": "2024-02-01"}


def settings(folder: Path, **environ: str) -> Settings:
    return load(Flags(), {"MDAGENT_HOME": str(folder / "home"), "MDAGENT_SANDBOX": "1", **environ}, folder).settings


def agent_in(folder: Path, said: list[str] | None = None, **environ: str) -> Agent:
    return Agent(settings(folder, **environ), VirtualClock(NOW), (said if said is not None else []).append)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with agent_in(tmp_path) as made:
        yield made


def ask(symbol: str = "AAPL", start: str = "2024-01-02", end: str = "2024-02-01") -> BarRequest:
    return BarRequest(symbol, "1d", start, end)  # type: ignore[arg-type]


# The Python API


def test_the_public_names_are_loaded_when_they_are_asked_for() -> None:
    assert set(mdagent.__all__) <= set(dir(mdagent))
    for name in mdagent.__all__:
        assert getattr(mdagent, name) is not None
    assert mdagent.Agent is Agent
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mdagent.nothing


def test_bars_are_asked_for_in_words_and_come_as_columns(agent: Agent) -> None:
    bars = agent.bars("AAPL", **JANUARY)
    assert (bars.symbol, bars.interval, bars.source, bars.currency, len(bars)) == (Symbol.parse("AAPL"), Interval.D1, "yahoo", "USD", 21)
    assert bars.complete_until is None
    frame = bars.to_pandas()
    assert (str(frame.index[0].date()), str(frame.index[-1].date())) == ("2024-01-02", "2024-01-31")
    assert (frame["low"] <= frame["close"]).all()


def test_the_last_bar_of_an_open_session_is_known_to_be_provisional(agent: Agent) -> None:
    agent.clock.set(datetime(2024, 2, 5, 17, 0, tzinfo=UTC))  # type: ignore[attr-defined]
    bars = agent.bars("AAPL", start="2024-02-01", end="2024-02-06")
    assert bars.complete_until == datetime(2024, 2, 5, tzinfo=UTC)


def test_bars_that_cannot_be_had_are_an_error_that_says_why(agent: Agent) -> None:
    with pytest.raises(MdagentError, match="does not know this symbol"):
        agent.bars("NOSUCH", **JANUARY)
    with pytest.raises(UsageError, match="is not an interval"):
        agent.bars("AAPL", interval="2h", **JANUARY)


def test_an_agent_can_be_opened_by_the_flags_of_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MDAGENT_HOME", str(tmp_path))
    with Agent.open(sandbox=True) as agent:
        assert agent.settings.world == "sandbox"
        assert agent.store.path == tmp_path / "sandbox" / "bars.duckdb"
    assert list(tmp_path.iterdir()) == [], "opening writes nothing"


# Fetching


def test_equal_requests_are_one(agent: Agent) -> None:
    served = agent.fetch([ask(), ask("aapl"), ask("MSFT")])
    assert [line.request.symbol.ticker for line in served.report.lines] == ["AAPL", "MSFT"]
    assert served.report.requests == 2
    assert len(served.rows) == 42


def test_rows_come_in_the_order_of_the_requests_whatever_was_stored_before(agent: Agent) -> None:
    agent.fetch([ask("MSFT")])
    served = agent.fetch([ask("NVDA"), ask("MSFT"), ask("AAPL")])
    assert list(dict.fromkeys(r[0] for r in served.rows)) == ["NVDA", "MSFT", "AAPL"]
    assert [line.requests for line in served.report.lines] == [1, 0, 1]


def test_a_window_into_the_future_is_one_with_the_window_up_to_now(agent: Agent) -> None:
    first = agent.fetch([ask(start="2024-02-01", end="2030-01-01")])
    again = agent.fetch([ask(start="2024-02-01", end="2035-01-01")])
    assert again.rows == first.rows
    assert again.report.requests == 0


def test_each_symbol_done_is_told(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    with agent_in(tmp_path) as agent:
        agent.progress = lambda done, of, _: heard.append((done, of))
        agent.fetch([ask("AAPL"), ask("MSFT"), ask("NVDA")])
    assert sorted(heard) == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("source", "why"), [("yaho", "no source is called 'yaho'"), ("\x1b[31m", "no source is called")])
def test_an_unknown_source_is_refused_before_anything_is_sent(agent: Agent, source: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        agent.fetch([ask()], source=source)
    assert caught.value.message.isprintable()
    assert not agent.settings.ledger.exists()


def test_a_disabled_source_is_not_chosen_and_cannot_be_named(tmp_path: Path) -> None:
    with agent_in(tmp_path, MDAGENT_SOURCES__YAHOO__ENABLED="false") as agent:
        with pytest.raises(UsageError, match="the source yahoo is disabled"):
            agent.fetch([ask()], source="yahoo")
        (line,) = agent.fetch([ask()]).report.lines
        assert line.source not in (None, "yahoo")
    off = {f"MDAGENT_SOURCES__{name.upper()}__ENABLED": "false" for name in NAMES}
    with agent_in(tmp_path / "nobody", None, **off) as agent:
        (line,) = agent.fetch([ask()]).report.lines
        assert line.failure is not None
        assert "no source is enabled" in line.failure.detail


def test_a_failure_of_the_store_is_told_as_it_is_not_as_a_group(agent: Agent) -> None:
    agent.fetch([ask()])
    agent.store.path.write_bytes(b"broken")
    with pytest.raises(StoreDamaged):
        agent.fetch([ask("MSFT"), ask("NVDA")])


def test_a_busy_store_is_waited_for_as_long_as_the_settings_say(tmp_path: Path) -> None:
    with agent_in(tmp_path, MDAGENT_LOCK__READ_WAIT="3") as agent:
        agent.fetch([ask()])
        with locked(agent.store.path, agent.clock, write=True, wait=0, purpose="backfill"), pytest.raises(StoreBusy, match="backfill"):
            agent.fetch([ask()])
        assert 3.0 <= agent.clock.monotonic() < 3.2


def test_a_quota_is_shared_with_every_other_agent_of_this_home(tmp_path: Path) -> None:
    limits = "[{limit: 3, per: 1h}]"
    with agent_in(tmp_path, MDAGENT_SOURCES__YAHOO__LIMITS=limits) as one, agent_in(tmp_path, MDAGENT_SOURCES__YAHOO__LIMITS=limits) as two:
        assert one.fetch([ask("AAPL"), ask("MSFT")]).report.requests == 2
        assert two.fetch([ask("NVDA")]).report.requests == 1
        (line,) = two.fetch([ask("IBM")], source="yahoo").report.lines
    assert line.failure is not None
    assert line.failure.kind is FailureKind.THROTTLED
    assert "free again at 2024-02-05 23:01:12Z" in line.failure.detail


def test_many_symbols_wait_for_quota_rather_than_fail(tmp_path: Path) -> None:
    said: list[str] = []
    with agent_in(tmp_path, said, MDAGENT_SOURCES__YAHOO__LIMITS="[{limit: 2, per: 10s}]") as agent:
        report = agent.fetch([ask(s) for s in ("AAPL", "MSFT", "NVDA", "IBM")], source="yahoo").report
        assert [line.failure for line in report.lines] == [None] * 4
        assert agent.clock.now() - NOW >= timedelta(seconds=12)
    assert any("waiting" in text for text in said)


# Planning, quotes, searches


def test_a_plan_sends_nothing(agent: Agent) -> None:
    report = agent.plan([ask(), ask("MSFT"), ask()])
    assert [line.requests for line in report.lines] == [1, 1]
    assert agent.fetch([ask()]).report.requests == 1
    assert [line.requests for line in agent.plan([ask(), ask("MSFT")]).lines] == [0, 1]


def test_a_quote_or_why_there_is_none(agent: Agent) -> None:
    good, bad = agent.quote([Symbol.parse("AAPL"), Symbol.parse("NOSUCH")])
    assert isinstance(good, Quote)
    assert good.currency == "USD"
    assert isinstance(bad, Failure)
    assert bad.kind is FailureKind.UNKNOWN_SYMBOL


def test_a_search_finds_symbols(agent: Agent) -> None:
    found = agent.search("iberdrola")
    assert isinstance(found, list)
    assert [x.symbol.ticker for x in found] == ["IBE.MC"]


# Settings that change under way


def published(folder: Path) -> None:
    with open_ledger(settings(folder).ledger, VirtualClock(NOW)) as ledger:
        publish_epoch(ledger, "new", {})


@pytest.fixture
def renewed(tmp_path: Path) -> Iterator[tuple[Agent, list[str], dict[str, Any]]]:
    """An agent whose settings can be changed: what it said, and where `now` is what the files say."""
    said: list[str] = []
    files: dict[str, Any] = {"now": settings(tmp_path), "reads": 0}

    def renew() -> Settings:
        files["reads"] += 1
        if isinstance(files["now"], Exception):
            raise files["now"]
        return files["now"]  # type: ignore[no-any-return]

    with Agent(settings(tmp_path), VirtualClock(NOW), said.append, renew) as agent:
        assert epoch_number(agent.ledger) == 0
        yield agent, said, files


def test_published_settings_are_adopted_whole_before_the_next_request(renewed: tuple[Agent, list[str], Any], tmp_path: Path) -> None:
    agent, said, files = renewed
    before = agent.policy("yahoo")
    limits = {"MDAGENT_SOURCES__YAHOO__LIMITS": "[{limit: 7, per: 1m}]", "MDAGENT_SOURCES__YAHOO__TIMEOUT__TOTAL": "3"}
    files["now"] = settings(tmp_path, **limits)
    assert agent.policy("yahoo") == before, "what nobody published is not adopted"
    published(tmp_path)
    after = agent.policy("yahoo")
    assert after.windows == (Window(7, 60.0),)
    assert after.limits.total == 3.0
    assert said == ["adopted the settings of epoch 1"]
    agent.policy("yahoo")
    assert files["reads"] == 1, "once an epoch"


def test_settings_that_cannot_be_read_are_not_adopted_and_it_is_said_why(renewed: tuple[Agent, list[str], Any], tmp_path: Path) -> None:
    agent, said, files = renewed
    before = agent.policy("yahoo")
    files["now"] = ConfigError("mdagent.yaml: sources.yahoo.limits: 'many' is not a list")
    published(tmp_path)
    assert agent.policy("yahoo") == before
    assert said == ["the settings of epoch 1 were not adopted, the old ones stay: mdagent.yaml: sources.yahoo.limits: 'many' is not a list"]
    agent.policy("yahoo")
    assert len(said) == 1
    files["now"] = settings(tmp_path, MDAGENT_SOURCES__YAHOO__LIMITS="[{limit: 7, per: 1m}]")
    published(tmp_path)
    assert agent.policy("yahoo").windows == (Window(7, 60.0),)


def test_where_the_bars_go_cannot_change_under_a_run(renewed: tuple[Agent, list[str], Any], tmp_path: Path) -> None:
    agent, _, files = renewed
    store = agent.store.path
    elsewhere = load(Flags(), {"MDAGENT_HOME": str(tmp_path / "other")}, tmp_path).settings
    files["now"] = elsewhere._replace(color="never")
    published(tmp_path)
    agent.policy("yahoo")
    assert agent.settings.color == "never"
    assert (agent.settings.world, agent.store.path, agent.settings.ledger) == ("sandbox", store, settings(tmp_path).ledger)


def test_settings_are_adopted_between_two_requests_of_one_fetch(renewed: tuple[Agent, list[str], Any], tmp_path: Path) -> None:
    agent, said, files = renewed
    files["now"] = settings(tmp_path, MDAGENT_SOURCES__YAHOO__LIMITS="[{limit: 1, per: 1h}]")
    agent.progress = lambda done, *_: published(tmp_path) if done == 1 else None
    report = agent.fetch([ask(f"SYM{n:05}") for n in range(1, 41)], source="yahoo").report
    assert "adopted the settings of epoch 1" in said
    kinds = [line.failure.kind if line.failure else None for line in report.lines]
    assert kinds[0] is None
    assert FailureKind.THROTTLED in kinds


def test_without_a_way_to_read_settings_anew_the_old_ones_stay(agent: Agent, tmp_path: Path) -> None:
    before = agent.policy("yahoo")
    published(tmp_path)
    assert agent.policy("yahoo") == before


# A clock that is wrong


def test_a_session_that_is_on_is_not_finished_because_our_clock_is_ahead_of_the_provider(tmp_path: Path) -> None:
    """What it tells of that day is half a bar; once our clock is right, it is asked for again."""
    from mdagent.wire.sandbox import SandboxTransport

    noon, told = datetime(2024, 2, 5, 17, 0, tzinfo=UTC), settings(tmp_path)
    market = SandboxTransport(VirtualClock(noon))

    def last(clock: VirtualClock) -> tuple[Any, ...]:
        with Agent(told, clock, around=lambda _: market) as made:
            return made.fetch([ask(end=f"{clock.now():%Y-%m-%d %H:%M}")]).rows[-1]

    ahead = last(VirtualClock(noon + timedelta(days=1)))
    assert (f"{ahead[2]:%Y-%m-%d}", ahead[-1]) == ("2024-02-05", True), "provisional"
    evening = VirtualClock(datetime(2024, 2, 5, 22, 0, tzinfo=UTC))
    market = SandboxTransport(evening)
    whole = last(evening)
    assert (f"{whole[2]:%Y-%m-%d}", whole[-1]) == ("2024-02-05", False), "final"
    assert whole[3:8] != ahead[3:8]
