"""`mdagent sources status`: one word for each state, and the numbers beside it."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mdagent.clock import VirtualClock
from mdagent.guard.limits import Grant, Window
from mdagent.guard.outcome import Attempt, Failure, FailureKind
from mdagent.sources import NAMES
from mdagent.store.ledger import open_ledger
from mdagent.store.quota import Lesson, Reservation, Rules
from tests.cli.shell import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdagent.store.ledger import Ledger
    from tests.cli.shell import Shell

LIVE = {"MDAGENT_SANDBOX": ""}
HEADER = (
    "source,state,why,until,sent_1h,failed_1h,median_ms,quota_left,last_request,last_failure,since,next_probe,success_1h,p95_ms,sent_24h,"
    "success_24h,median_ms_24h,p95_ms_24h,quota_resets,usd_today,usd_month,grade,score,waiting"
)
DOWN, SLOW_DOWN, KEY = FailureKind.SERVER_ERROR, FailureKind.RATE_LIMITED, FailureKind.AUTH


class Steady:
    """Dice that always fall on the middle."""

    def uniform(self, low: float, high: float) -> float:
        return (low + high) / 2


@contextmanager
def ledger_of(shell: Shell) -> Iterator[Ledger]:
    """The ledger of that prompt, while no command runs."""
    with open_ledger(shell.home / "ledger.db", shell.clock, Steady()) as ledger:
        yield ledger


def slowed(shell: Shell) -> None:
    """Yahoo refuses a request that its quota allowed."""
    rules, minute = Rules("yahoo"), (Window(10, 60.0),)
    with ledger_of(shell) as ledger:
        grant = ledger.reserve("yahoo", minute, what=Reservation("bars", "", "run-7", "AAPL"), rules=rules)
        assert isinstance(grant, Grant)
        refused = Failure(FailureKind.RATE_LIMITED, "too many requests", 429)
        attempt = Attempt("yahoo", "bars", "query1.example", shell.clock.now(), 9.0, 429, 10, refused)
        ledger.settle(grant.token, attempt, refund=False, lesson=Lesson("yahoo", minute, rules, grant.generations))


def ask(
    ledger: Ledger, clock: VirtualClock, kind: FailureKind | None = None, *, ms: float = 100.0, usd: float = 0.0, endpoint: str = "bars"
) -> int:
    """One request to yahoo that ends so; its row."""
    rules = Rules("yahoo")
    what = Reservation(endpoint, "query1.example", "run-7", "AAPL", usd=usd, interval="1d")
    grant = ledger.reserve("yahoo", (), what=what, rules=rules)
    assert isinstance(grant, Grant), grant
    failure = Failure(kind, f"it said {kind.value}") if kind else None
    attempt = Attempt("yahoo", endpoint, "query1.example", clock.now(), ms, 500 if kind else 200, 1000, failure)
    ledger.settle(grant.token, attempt, refund=False, lesson=Lesson("yahoo", (), rules, grant.generations))
    return grant.token


def yahoo(shell: Shell, code: int = 0, /, **environ: str) -> dict[str, Any]:
    """What the status says of yahoo."""
    said = shell.run("sources", "status", "--json", **environ)
    assert said.code == code, said.err
    row: dict[str, Any] = next(row for row in said.json if row["source"] == "yahoo")
    return row


def test_the_columns_and_the_sources_are_all_there(shell: Shell) -> None:
    said = shell.good("sources", "status", "--csv")
    assert said.out.splitlines()[0] == HEADER
    assert [row["source"] for row in said.rows] == list(NAMES)


# States told apart


def test_three_failures_in_a_row_open_the_breaker_until_a_probe_may_go(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for _ in range(3):
            ask(ledger, shell.clock, DOWN)
    row = yahoo(shell, 4)
    assert row["state"] == "breaker open"
    assert "3 failures in a row" in row["why"]
    assert (row["since"], row["until"], row["next_probe"]) == ("2024-02-05T22:00:00Z", "2024-02-05T22:00:30Z", "2024-02-05T22:00:30Z")
    assert (row["sent_1h"], row["failed_1h"], row["success_1h"]) == (3, 3, 0)
    assert row["last_failure"] == "SERVER_ERROR: it said SERVER_ERROR"
    shell.clock.pause(31)
    after = yahoo(shell)
    assert (after["state"], after["until"], after["next_probe"]) == ("breaker open", None, "2024-02-05T22:00:31Z"), "the next one tests it"


def test_a_source_under_test_is_told_and_by_whom_it_is_tested(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for _ in range(3):
            ask(ledger, shell.clock, DOWN)
        shell.clock.pause(31)
        ask(ledger, shell.clock)
    row = yahoo(shell)
    assert row["state"] == "being tested"
    assert row["next_probe"] == "2024-02-05T22:00:31Z"
    with ledger_of(shell) as ledger:
        assert isinstance(ledger.reserve("yahoo", (), what=Reservation("bars", "", "run-8", "AAPL"), rules=Rules("yahoo")), Grant)
    assert (yahoo(shell, 4)["state"], yahoo(shell, 4)["until"]) == ("being tested", "2024-02-05T22:00:51Z"), "while the probe is out"


def test_a_source_that_is_shaky_still_serves(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for kind in (None, None, None, None, DOWN):
            ask(ledger, shell.clock, kind)
    row = yahoo(shell)
    assert row["state"] == "degraded"
    assert "1 of 5 outcomes failed" in row["why"]


def test_a_source_whose_key_was_refused_is_forced_open_by_auth(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock, KEY)
    row = yahoo(shell, 4)
    assert (row["state"], row["until"], row["next_probe"]) == ("forced open", None, None)
    assert row["why"].startswith("by AUTH: it said AUTH")


def test_an_endpoint_that_is_open_is_told_beside_a_source_that_serves(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        for _ in range(3):
            ask(ledger, shell.clock, FailureKind.SCHEMA, endpoint="quote")
    row = yahoo(shell)
    assert row["state"] == "degraded"
    assert row["why"].startswith("quote: breaker open until 2024-02-05 22:00:30Z, 3 failures in a row")


def test_a_breaker_that_only_observes_leaves_the_source_ready_and_says_what_it_would_do(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock, KEY)
    row = yahoo(shell, MDAGENT_SOURCES__YAHOO__OBSERVE_ONLY="true")
    assert row["state"] == "ready"
    assert row["why"].startswith("observed only, it would be forced open: it said AUTH")


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("yahoo asked to be left alone (RATE_LIMITED)", "throttled"),
        ("yahoo asked to be left alone (SERVER_ERROR)", "throttled"),
        ("yahoo asked to be left alone (QUOTA_EXHAUSTED)", "quota spent"),
        ("yahoo says that nothing is left of its quota", "quota spent"),
    ],
)
def test_a_block_is_a_throttle_or_a_spent_quota_by_its_reason(shell: Shell, reason: str, state: str) -> None:
    with ledger_of(shell) as ledger:
        ledger.block("yahoo", 90.0, reason)
    row = yahoo(shell, 4)
    assert (row["state"], row["why"], row["since"], row["until"]) == (state, reason, "2024-02-05T22:00:00Z", "2024-02-05T22:01:30Z")
    shell.clock.pause(91)
    assert yahoo(shell)["state"] == "ready"


def test_a_quota_that_is_spent_says_when_it_is_free_again(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock)
        ask(ledger, shell.clock)
    row = yahoo(shell, 4, MDAGENT_SOURCES__YAHOO__LIMITS="[{limit: 2, per: day, zone: UTC}]")
    assert (row["state"], row["until"]) == ("quota spent", "2024-02-06T00:01:00Z")
    assert (row["quota_left"], row["quota_resets"]) == ("0 of 2 per day (UTC)", "2 per day (UTC) at 2024-02-06 00:01:00Z")


@pytest.mark.parametrize("bound", ["MDAGENT_SOURCES__YAHOO__BUDGET__DAY", "MDAGENT_BUDGET__MONTH"])
def test_a_budget_that_is_spent_is_not_a_quota(shell: Shell, bound: str) -> None:
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock, usd=0.25)
    price = {"MDAGENT_SOURCES__YAHOO__COST": "0.25", bound: "0.4"}
    row = yahoo(shell, 4, **price)
    assert row["state"] == "budget spent"
    assert "0.2500 is spent" in row["why"]
    assert (row["usd_today"], row["usd_month"]) == (0.25, 0.25)
    assert yahoo(shell, **price | {bound: "0.5"})["state"] == "ready"


def test_a_source_that_refuses_everything_for_its_plan_is_not_entitled(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock, FailureKind.PLAN_LIMIT)
        ask(ledger, shell.clock, FailureKind.PLAN_LIMIT, endpoint="quote")
    row = yahoo(shell, 4)
    assert row["state"] == "not entitled"
    assert row["why"].endswith("refused by the plan: it said PLAN_LIMIT")
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock, endpoint="search")
    assert yahoo(shell)["state"] == "ready", "one thing it does tell"
    shell.clock.pause(86401)
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock, FailureKind.PLAN_LIMIT)
    assert yahoo(shell, 4)["state"] == "not entitled", "of the last day"


def test_no_key_retired_and_disabled_are_no_faults(shell: Shell) -> None:
    shell.clock.set(datetime(2026, 11, 24, 12, tzinfo=UTC))
    rows = {row["source"]: row for row in shell.good("sources", "status", "--json", **LIVE, MDAGENT_SOURCES__YAHOO__ENABLED="false").json}
    assert (rows["iexcloud"]["state"], rows["iexcloud"]["since"]) == ("retired", "2024-08-31T00:00:00Z")
    assert (rows["polygon"]["state"], rows["polygon"]["why"]) == ("no key", "no key: set MDAGENT_POLYGON_API_KEY")
    assert (rows["yahoo"]["state"], rows["yahoo"]["why"]) == ("disabled", "sources.yahoo.enabled is false")


# Numbers


def test_rates_and_times_are_of_an_hour_and_of_a_day(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock, DOWN, ms=900.0)
        ask(ledger, shell.clock, FailureKind.NO_DATA, ms=300.0)
        shell.clock.pause(2 * 3600)
        for ms in (10.0, 20.0, 30.0):
            ask(ledger, shell.clock, ms=ms)
    row = yahoo(shell)
    assert (row["sent_1h"], row["success_1h"], row["median_ms"], row["p95_ms"]) == (3, 1, 20, 30)
    assert (row["sent_24h"], row["success_24h"], row["median_ms_24h"], row["p95_ms_24h"]) == (5, 0.8, 30, 900)
    assert row["last_request"] == "2024-02-06T00:00:00Z"
    assert row["last_failure"] == "SERVER_ERROR: it said SERVER_ERROR"


def test_the_last_request_is_told_however_long_ago(shell: Shell) -> None:
    with ledger_of(shell) as ledger:
        ask(ledger, shell.clock)
    shell.clock.pause(30 * 86400)
    row = yahoo(shell)
    assert (row["last_request"], row["sent_24h"], row["last_failure"]) == ("2024-02-05T22:00:00Z", 0, None)


def test_the_grade_is_the_mean_of_the_late_deliveries(shell: Shell) -> None:
    assert yahoo(shell)["grade"] is None
    with ledger_of(shell) as ledger:
        for score in (0.0, *[90.0, 100.0] * 10):
            ledger.judge(ask(ledger, shell.clock), 20, 0, score)
            shell.clock.pause(1)
    assert (yahoo(shell)["grade"], yahoo(shell)["score"]) == ("A", 95)


def test_what_another_key_did_is_not_told_of_this_one(shell: Shell) -> None:
    shell.good("sources", "probe", "polygon")
    rows = {row["source"]: row for row in shell.good("sources", "status", "--json").json}
    assert (rows["polygon"]["sent_1h"], rows["polygon"]["success_1h"]) == (1, 1)
    other = shell.run("sources", "status", "--json", MDAGENT_POLYGON_API_KEY="canary-4711-key").json
    assert next(row for row in other if row["source"] == "polygon")["sent_1h"] == 0


# How it is shown


def test_a_person_reads_a_card_of_each_source(shell: Shell) -> None:
    shell.screens = (True, True)
    out = shell.good("sources", "status").out
    assert out.startswith(f"{NAMES[0]}\n")
    assert "  state          ready\n" in out


class Impatient(VirtualClock):
    """Ctrl-C after so many pauses."""

    def __init__(self, start: datetime, pauses: int) -> None:
        super().__init__(start)
        self.paused: list[float] = []
        self._left = pauses

    def pause(self, seconds: float) -> None:
        super().pause(seconds)
        self.paused.append(seconds)
        if len(self.paused) == self._left:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("words", "seconds"), [(("--watch",), 2.0), (("--watch", "5"), 5.0), (("--watch=.5",), 0.5), (("--watch", "--no-color"), 2.0)]
)
def test_watch_draws_anew_until_ctrl_c(shell: Shell, words: tuple[str, ...], seconds: float) -> None:
    shell.screens = (True, True)
    shell.clock = Impatient(NOW, 3)
    with ledger_of(shell) as ledger:
        ledger.block("yahoo", 1.5 * seconds, "yahoo asked to be left alone (RATE_LIMITED)")
    said = shell.run("sources", "status", *words)
    assert said.code == 130
    assert shell.clock.paused == [seconds] * 3
    frames = said.out.split("\x1b[H\x1b[2J")[1:]
    assert [f"every {seconds:g} s; Ctrl-C ends it" in frame for frame in frames] == [True] * 3
    assert [f"{NOW + timedelta(seconds=i * seconds):%H:%M:%S}Z," in frame for i, frame in enumerate(frames)] == [True] * 3
    assert ["yahoo: yahoo asked to be left alone (RATE_LIMITED)" in frame for frame in frames] == [True, True, False]
    assert ["throttled" in frame for frame in frames] == [True, True, False]


def test_watch_on_a_dumb_terminal_draws_one_below_the_other(shell: Shell) -> None:
    shell.screens = (True, True)
    shell.clock = Impatient(NOW, 2)
    said = shell.run("sources", "status", "--watch", TERM="dumb")
    assert said.code == 130
    assert "\x1b" not in said.out
    assert said.out.count("Ctrl-C ends it") == 2


@pytest.mark.parametrize(
    ("screen", "words", "told"),
    [
        (False, ("--watch",), "--watch needs a terminal: standard output is none"),
        (False, ("--watch", "3", "--json"), "--watch needs a terminal"),
        (True, ("--watch", "--csv"), "--watch draws on a terminal, not csv"),
        (True, ("--watch", "0"), "0.1"),
        (True, ("--watch", "soon"), "soon"),
        (True, ("--json", "--csv"), "two formats are asked for"),
        (True, ("--format", "parquet"), "parquet is not text"),
    ],
)
def test_a_wrong_word_is_told_and_nothing_is_drawn(shell: Shell, screen: bool, words: tuple[str, ...], told: str) -> None:
    shell.screens = (screen, screen)
    said = shell.run("sources", "status", *words)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
